"""A program for `ddp` under PyTorch's names, and the same program on PyTorch itself.

    import ddp as torch                        import torch
    import ddp.nn as nn                        import torch.nn as nn
    from ddp.utils.data import DataLoader      from torch.utils.data import DataLoader

Nothing but these lines differs.
"""

from __future__ import annotations

import re

IMPORT = re.compile(r"^(\s*)(import|from) ddp\b(?!\.data\b)", re.MULTILINE)
LIBRARIES = ("ddp", "torch")


def for_library(source: str, library: str) -> str:
    """`source`, which imports from `ddp`, with its imports taken from `library` instead."""
    if library == "ddp":
        return source
    moved = IMPORT.sub(rf"\1\2 {library}", source)
    return moved.replace(f"import {library} as {library}\n", f"import {library}\n")
