"""`save` and `load`: tensors in PyTorch's `.pth` files and in `.safetensors`, without PyTorch.

What is read is plain data and tensors: nothing in a file is ever run. `pickle_machine` says why
that holds; `reading` and `writing` know PyTorch's two file formats, `files` the disk.
"""

from ddp.serialization.files import load as load
from ddp.serialization.files import save as save
