"""Arrays as runs of bytes of bounded length, the unit in which transports send.

Sender and receiver cut arrays of the same sizes at the same places, so a piece needs no address:
the n-th piece that comes from a rank is the n-th that is awaited from it.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ddp.comm.communicator import Arrays

# Far below MPI's limit of 2^31 elements per message, small enough that the copy out of the
# transport's memory overlaps with what is still under way, and a bound on what one frame can make
# a receiver allocate. Large enough that the cost per message (about 0.1 ms) does not matter.
PIECE_BYTES = 4 << 20

Piece = NDArray[np.uint8]


def cut(arrays: Arrays) -> list[Piece]:
    """Views of the memory of C-contiguous `arrays`, in order; empty arrays give no piece."""
    flat = [array.reshape(-1).view(np.uint8) for array in arrays]
    return [
        memory[start : start + PIECE_BYTES]
        for memory in flat
        for start in range(0, memory.size, PIECE_BYTES)
    ]
