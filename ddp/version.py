"""The version, stated once. Coordinator and workers must agree on it to the letter."""

VERSION = "0.1.0"
cuda = None  # which CUDA it was built with, as programs ask `torch.version.cuda`
