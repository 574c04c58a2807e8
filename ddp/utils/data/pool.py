"""The worker processes of one `DataLoader` iterator, seen from the process that asks."""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import time
import weakref
from collections import deque
from collections.abc import Callable, Iterator
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from typing import Any

from ddp.utils.data.fetch import Collate
from ddp.utils.data.worker import (
    END,
    FAILED,
    FETCH,
    RESTART,
    STOP,
    WorkerInfo,
    WorkerTask,
    receive,
    run,
    send,
)

STOP_TIMEOUT_S = 5.0  # a worker that has not ended by then, after being told, is killed


class WorkerPool:
    """Deals the sampler's items out to workers in turn, and gives the batches back in that order.

    `prefetch` items per worker are under way ahead of what has been asked for. A worker that
    reaches the end of its copy of an iterable data set gets no more.
    """

    def __init__(
        self,
        dataset: Any,
        num_workers: int,
        prefetch: int,
        *,
        batched: bool,
        collate: Collate,
        drop_last: bool,
        base_seed: int,
        init: Callable[[int], None] | None,
        context: Any,
        timeout_s: float,
    ) -> None:
        self._prefetch = prefetch
        self._timeout_s = timeout_s
        self._pipes: list[Connection] = []
        self._processes: list[BaseProcess] = []
        self._close = weakref.finalize(self, _stop, os.getpid(), self._pipes, self._processes)
        context = multiprocessing.get_context(context) if _is_name(context) else context
        for worker in range(num_workers):
            info = WorkerInfo(worker, num_workers, base_seed + worker, dataset)
            self._start(context, WorkerTask(info, base_seed, batched, collate, drop_last, init))
        self._begin(iter(()))

    def _start(self, context: Any, task: WorkerTask) -> None:
        ours, theirs = context.Pipe()
        self._pipes.append(ours)
        inherited = self._pipes if context.get_start_method() == "fork" else []
        process = context.Process(target=run, args=(task, theirs, inherited), daemon=True)
        process.start()
        theirs.close()
        self._processes.append(process)

    def _begin(self, items: Iterator[Any]) -> None:
        self._items = items
        self._under_way: deque[int] = deque()  # the workers that owe an answer, in order
        self._active = [True] * len(self._pipes)
        self._turn = 0

    def start_epoch(self, items: Iterator[Any]) -> None:
        """Forget what is still under way, and deal out `items` from the beginning."""
        while self._under_way:
            self._receive(self._under_way.popleft())
        for pipe in self._pipes:
            send(pipe, (RESTART, None))
        self._begin(items)
        for _ in range(self._prefetch * len(self._pipes)):
            self._deal()

    def next_batch(self) -> Any:
        """The next batch in order. StopIteration at the end; a worker's exception is raised again.

        RuntimeError when a worker has died, or has not answered within the timeout.
        """
        while self._under_way:
            worker = self._under_way.popleft()
            kind, content = self._receive(worker)
            if kind == END:
                if self._active[worker]:
                    self._active[worker] = False
                    self._deal()
                continue
            if kind == FAILED:
                self.close()
                content.raise_again()
            self._deal()
            return content
        raise StopIteration

    def _deal(self) -> None:
        """Send one more item to the worker whose turn it is, if there is one of both."""
        for _ in self._pipes:
            worker, self._turn = self._turn, (self._turn + 1) % len(self._pipes)
            if self._active[worker]:
                break
        else:
            return
        try:
            item = next(self._items)
        except StopIteration:
            self._turn = worker
            return
        # If it has died, receiving its answer will say so.
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            send(self._pipes[worker], (FETCH, item))
        self._under_way.append(worker)

    def _receive(self, worker: int) -> tuple[str, Any]:
        pipe, process = self._pipes[worker], self._processes[worker]
        ready = wait([pipe, process.sentinel], self._timeout_s or None)
        if not ready:
            process.kill()
            self.close()
            raise RuntimeError(f"DataLoader timed out after {self._timeout_s} seconds")
        with contextlib.suppress(EOFError, OSError):
            if pipe.poll():  # also what a worker said before it died
                answer: tuple[str, Any] = receive(pipe)
                return answer
        process.join(STOP_TIMEOUT_S)
        self.close()
        raise RuntimeError(
            f"DataLoader worker (pid {process.pid}) exited unexpectedly with exit code "
            f"{process.exitcode}: a crash or lack of memory in the data set"
        )

    @property
    def is_closed(self) -> bool:
        """Whether the workers have been ended, by `close` or after a failure."""
        return not self._close.alive

    def close(self) -> None:
        """End the workers; nothing is left running."""
        self._under_way.clear()
        self._close()


def _is_name(context: Any) -> bool:
    return context is None or isinstance(context, str)


def _stop(owner: int, pipes: list[Connection], processes: list[BaseProcess]) -> None:
    """Ask every worker to end, and wait until it has.

    A forked process may come to free its copy of a pool, which is not its own to stop.
    """
    if os.getpid() != owner:
        return
    for pipe in pipes:
        with contextlib.suppress(OSError):
            send(pipe, (STOP, None))
    for pipe in pipes:
        pipe.close()
    deadline = time.monotonic() + STOP_TIMEOUT_S
    for process in processes:
        process.join(max(0.0, deadline - time.monotonic()))
        if process.is_alive():
            process.kill()
            process.join()
