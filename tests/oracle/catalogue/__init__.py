"""PyTorch's own catalogue of samples, run on PyTorch and on ours.

PyTorch's wheel carries the inputs its own tests use: for every operation (`op_db`), module
(`module_db`) and optimizer (`optim_db`) samples that must work and inputs that must be refused.
`python -m tests.oracle.catalogue` runs those both libraries have, compares values, gradients and
classes of error, and prints what is equal, what we refuse by name, and what is excused and why
(`excuses.toml`). Nothing else may differ: `tests/oracle/test_catalogue_*.py` hold that.
"""
