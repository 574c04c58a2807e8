"""`python -m tests.oracle.catalogue [NAME…]`: run the catalogue, print what came of it.

With names (`conv2d`, `BatchNorm1d`, `Adam`), those only. Exit status 1 if something is wrong.
"""

from __future__ import annotations

import sys

from tests.oracle.catalogue import excuses, modules, operations, optimizers
from tests.oracle.catalogue.report import report


def main(names: list[str]) -> int:
    """Run and print; 0 if nothing differs without an excuse."""
    wrong = 0
    for database in (operations, modules, optimizers):
        told = report(database.run(set(names) or None), excuses.load())
        print(*told.lines(wide=True), sep="\n", flush=True)
        wrong += len(told.wrong)
    return int(wrong > 0)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
