"""Pages of 2 MiB for the memory of workers, said to glibc before a process starts.

A matrix product reads rows that lie kilobytes apart, and with pages of 4 KiB the processor looks
up an address for each: measured, a transformer's step takes 1 to 10 % longer. Linux gives large
pages to those who ask (`madvise`, its default); glibc 2.35 and later asks for its heap if told so
in the environment. What the user has set stays as it is.
"""

from __future__ import annotations

from collections.abc import Mapping

VARIABLE = "GLIBC_TUNABLES"


def huge_pages(environ: Mapping[str, str]) -> dict[str, str]:
    """The variable to add to `environ` so that a process's heap is on large pages."""
    return {} if VARIABLE in environ else {VARIABLE: "glibc.malloc.hugetlb=1"}
