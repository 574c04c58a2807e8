"""Worker processes of a `DataLoader`: what runs in one, and how it is spoken to.

A worker answers requests in order through a pipe of its own, so nothing is shared and nothing is
locked. It ends when told so or when the pipe closes, which a thread of its own waits for: also
when the process that started it is killed, in the middle of a sample. Arrays go through the pipe
as raw memory after a pickled head. SIGINT is left to the process that started it.
"""

from __future__ import annotations

import contextlib
import io
import os
import pickle
import queue
import random
import signal
import threading
import traceback
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from multiprocessing.connection import Connection
from typing import Any

import numpy as np

from ddp.autograd.random import manual_seed
from ddp.autograd.tensor import Tensor, wrap
from ddp.utils.data.fetch import Collate, Fetcher

END, FAILED, BATCH = "end", "failed", "batch"  # kinds of answers
STOP, RESTART, FETCH = "stop", "restart", "fetch"  # kinds of requests


@dataclass(frozen=True, slots=True)
class WorkerInfo:
    """What a data set can learn about the worker process it is read in."""

    id: int
    num_workers: int
    seed: int
    dataset: Any


@dataclass(frozen=True)
class WorkerTask:
    """Everything a worker is given when it starts."""

    info: WorkerInfo
    base_seed: int
    batched: bool
    collate: Collate
    drop_last: bool
    init: Callable[[int], None] | None

    def fetcher(self) -> Fetcher:
        """A reader at the beginning of the data set."""
        return Fetcher(self.info.dataset, self.batched, self.collate, self.drop_last)


@dataclass(frozen=True)
class Failure:
    """An exception of a worker, on its way to the process that asked."""

    kind: type[BaseException]
    text: str

    def raise_again(self) -> None:
        """Raise the same type with the worker's traceback as its text."""
        try:
            error = self.kind(self.text)
        except Exception:  # a type that is made in another way
            raise RuntimeError(self.text) from None
        raise error


_info: WorkerInfo | None = None


def get_worker_info() -> WorkerInfo | None:
    """In a worker process: who it is. Elsewhere None."""
    return _info


def run(task: WorkerTask, pipe: Connection, inherited: Sequence[Connection]) -> None:
    """What a worker process does from start to end. `inherited` are other ends of pipes.

    They are copies that came with the fork; left open, they would keep pipes from closing.
    """
    global _info
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    for connection in inherited:
        connection.close()
    _info = task.info
    requests = Requests(pipe)
    threading.Thread(target=requests.read, daemon=True).start()
    with contextlib.suppress(BrokenPipeError, ConnectionResetError):
        _answer(task, pipe, requests)


class Requests:
    """What is asked, read by a thread, so that asking never waits for an answer."""

    def __init__(self, pipe: Connection) -> None:
        self._pipe = pipe
        self._queue: queue.SimpleQueue[tuple[str, Any]] = queue.SimpleQueue()
        self._stopped = threading.Event()

    def read(self) -> None:
        """Until told to stop; ends the process at once when there is no one left to ask."""
        try:
            while not self._stopped.is_set():
                request = receive(self._pipe)
                if request[0] == STOP:
                    self._stopped.set()
                self._queue.put(request)
        except (EOFError, OSError):
            os._exit(1)

    def next(self) -> tuple[str, Any]:
        """The next request; STOP overtakes all that were made before it."""
        request = self._queue.get()
        return (STOP, None) if self._stopped.is_set() else request


def _answer(task: WorkerTask, pipe: Connection, requests: Requests) -> None:
    failure = _caught(task.info.id, lambda: _seed_and_init(task))
    fetcher: Fetcher | None = None
    while True:
        kind, item = requests.next()
        if kind == STOP:
            return
        if kind == RESTART:
            fetcher = None
            continue
        answer: tuple[str, Any] = (FAILED, failure)
        if failure is None:
            try:
                fetcher = fetcher or task.fetcher()
                answer = (BATCH, fetcher.fetch(item))
            except StopIteration:
                answer = (END, None)
            except Exception as error:
                answer = (FAILED, _failure(task.info.id, error))
        try:
            send(pipe, answer)
        except (pickle.PicklingError, TypeError, AttributeError, RuntimeError) as error:
            send(pipe, (FAILED, _failure(task.info.id, error)))


def _seed_and_init(task: WorkerTask) -> None:
    """Seed this process's random sources as PyTorch does: base seed + worker, NumPy by a hash."""
    random.seed(task.info.seed)
    manual_seed(task.info.seed)
    entropy = [task.info.id, task.base_seed & 0xFFFFFFFF, task.base_seed >> 32, 0]
    np.random.seed(np.random.SeedSequence(entropy).generate_state(4))  # noqa: NPY002
    if task.init is not None:
        task.init(task.info.id)


def _caught(worker: int, action: Callable[[], None]) -> Failure | None:
    try:
        action()
    except Exception as error:
        return _failure(worker, error)
    return None


def _failure(worker: int, error: BaseException) -> Failure:
    name, original = type(error).__name__, "".join(traceback.format_exception(error))
    text = f"Caught {name} in DataLoader worker process {worker}.\nOriginal {original}"
    try:
        pickle.dumps(type(error))
    except Exception:  # a class made inside a function, which has no name elsewhere
        return Failure(RuntimeError, text)
    return Failure(type(error), text)


class _Pickler(pickle.Pickler):
    """Tensors as their memory; what made them stays behind."""

    def reducer_override(self, obj: Any) -> Any:
        if not isinstance(obj, Tensor):
            return NotImplemented
        if not obj.is_leaf:
            raise RuntimeError(
                "a tensor made by recorded operations cannot leave a worker process: detach() it"
            )
        return _tensor, (obj.array, obj.requires_grad)


def _tensor(array: Any, requires_grad: bool) -> Tensor:
    tensor = wrap(array)
    tensor.requires_grad = requires_grad
    return tensor


def send(pipe: Connection, message: Any) -> None:
    """Write a message: a pickled head with the sizes of the arrays' memory, then that memory."""
    buffers: list[pickle.PickleBuffer] = []
    body = io.BytesIO()
    _Pickler(body, 5, buffer_callback=buffers.append).dump(message)
    parts = [buffer.raw() for buffer in buffers]
    pipe.send_bytes(pickle.dumps((body.getvalue(), [part.nbytes for part in parts])))
    for part in parts:
        if part.nbytes:
            pipe.send_bytes(part)


def receive(pipe: Connection) -> Any:
    """Read what `send` wrote; arrays are over fresh, writable memory."""
    body, sizes = pickle.loads(pipe.recv_bytes())
    parts = [bytearray(size) for size in sizes]
    for part in parts:
        if part:
            pipe.recv_bytes_into(part)
    return pickle.loads(body, buffers=parts)
