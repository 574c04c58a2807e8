"""Programs that measure, and the side-by-side comparison with PyTorch: `python -m benchmarks`."""
