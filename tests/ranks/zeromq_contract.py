"""A rank of a ZeroMQ mesh in a process of its own; the test plays the coordinator on our pipes.

we print our address; we read {"rank", "addresses", "then"}; we keep the contract, say so,
and end as told: "close", or "hang" in a wait until we are killed.
"""

from __future__ import annotations

import json
import sys

from ddp.comm.zeromq import Listener
from ddp.errors import PeerLost
from tests.comm import contract

listener = Listener(sys.argv[1])
print(listener.address, flush=True)
orders = json.loads(sys.stdin.readline())
mesh = listener.connect(orders["rank"], orders["addresses"], bytes(16))
for check in contract.GENTLE:
    check(mesh)
print("kept the contract", flush=True)
try:
    if orders["victim"] == orders["rank"]:
        sys.stdin.read()
    if orders["victim"] is not None:
        mesh.barrier(contract.LIMIT_S)
    contract.a_wait_in_vain_names_the_ranks_awaited(mesh)
    contract.cancel_ends_every_wait_with_its_error(mesh)
except PeerLost as error:
    print(error, flush=True)
mesh.close()
