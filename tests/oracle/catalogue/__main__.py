"""`python -m tests.oracle.catalogue [NAME…]`: run the catalogue, print what came of it."""

from __future__ import annotations

import sys

from tests.oracle.catalogue import operations
from tests.oracle.catalogue.finding import DIFFERS, EQUAL, REFUSED

found = operations.run(set(sys.argv[1:]) or None)
for verdict in (REFUSED, DIFFERS):
    for finding in found.having(verdict):
        print(verdict, finding.place, finding.detail[:200].replace("\n", " "), sep=" | ")
print(len(found.covered), "covered", len(found.absent), "absent")
for verdict in (EQUAL, REFUSED, DIFFERS):
    print(verdict, len(found.having(verdict)))
