"""Checkpoints: written whole or not at all, checked byte by byte before they are believed."""

from ddp.checkpoint.environment import blas_kernel, versions
from ddp.checkpoint.generations import load, newest, prune, save
from ddp.checkpoint.run_directory import RunDirectory, claim
from ddp.checkpoint.snapshot import Snapshot, fingerprint, require_match

__all__ = [
    "RunDirectory",
    "Snapshot",
    "blas_kernel",
    "claim",
    "fingerprint",
    "load",
    "newest",
    "prune",
    "require_match",
    "save",
    "versions",
]
