"""What a run shows and leaves behind: progress line, metrics.jsonl, checkpoints' state, summary.

Nothing in here decides anything.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, TextIO

import msgspec

from ddp.checkpoint import Snapshot, fingerprint
from ddp.config import Config, to_dict
from ddp.metrics import MetricsLog, Summary, read_summary, write_summary
from workers import events as c
from workers.progress import Progress, Standing


class Records:
    """The papers of one run, kept by the process that hosts the coordinator."""

    def __init__(
        self,
        config: Config,
        size: int,
        out: Path,
        transport: str,
        stream: TextIO,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._config, self._size, self._out, self._transport = config, size, out, transport
        self._stream, self._clock = stream, clock
        self._progress = self._new_progress()
        self._log: MetricsLog | None = None
        self._started_s = clock()
        self._step = 0
        self._samples = 0
        self._begin = c.Begin(0, 0, 1)
        self._train_loss: float | None = None
        self._evaluation: c.RecordEvaluation | None = None
        self._skipped = 0

    def _new_progress(self) -> Progress:
        # Open MPI gives a rank a terminal even where its own output goes to a file.
        live = self._stream.isatty() and self._transport != "mpi"
        return Progress(self._stream, self._clock, live=live)

    def start(self, snapshot: Snapshot | None, resume: bool) -> None:
        """Say where training begins. Nothing is written before all workers are ready."""
        self._step = 0 if snapshot is None else snapshot.step
        if snapshot is not None:
            self._train_loss = c.Totals(**snapshot.state["totals"]).mean_loss
            self._skipped = snapshot.state["skipped"]
            self.announce(f"going on after step {snapshot.step}, from {self._out}")
        elif resume:
            self.announce(f"no checkpoint in {self._out} yet: beginning at step 0")

    def begin(self, begin: c.Begin) -> None:
        """All workers are ready."""
        self._begin = begin
        self._log = MetricsLog(self._out, begin.step)
        self._started_s = self._clock()
        self._progress = self._new_progress()
        plural = "s" if self._size != 1 else ""
        self.announce(
            f"training {self._config.name}: {begin.total_steps} steps, "
            f"{self._config.train.shards} shards on {self._size} worker{plural} "
            f"({self._transport}), into {self._out}\n{', '.join(begin.workers)}"
        )

    def step(self, record: c.RecordStep, totals: c.Totals) -> None:
        """A step is committed on every worker."""
        assert self._log is not None
        self._step = record.step + 1
        self._samples += record.samples
        self._skipped += not record.applied
        self._train_loss = totals.mean_loss
        self._log.write(_row(record))
        self._progress.update(
            Standing(
                step=self._step,
                total_steps=self._begin.total_steps,
                epoch=record.epoch + 1,
                epochs=-(-self._begin.total_steps // self._begin.epoch_steps),
                loss=record.loss if totals.mean_loss is None else totals.mean_loss,
                accuracy=None if record.correct is None else totals.accuracy,
                samples=self._samples,
            )
        )

    def evaluation(self, record: c.RecordEvaluation) -> None:
        """The test set has been evaluated."""
        self._evaluation = record
        accuracy = "" if record.accuracy is None else f", test accuracy {record.accuracy:.2%}"
        epochs, inside = divmod(record.step, self._begin.epoch_steps)
        when = f"step {record.step}" if inside else f"epoch {epochs}"
        self.announce(f"after {when}: test loss {record.loss:.4f}{accuracy}")

    def announce(self, text: str) -> None:
        self._progress.announce(text)

    def checkpoint_state(self, order: c.WriteCheckpoint) -> dict[str, Any]:
        """The JSON part of a checkpoint."""
        train = self._config.train
        return {
            "epoch": order.step // self._begin.epoch_steps,
            "position": order.step,
            "seed": self._config.seed,
            "shards": train.shards,
            "kernels": order.kernels,
            "totals": msgspec.to_builtins(order.totals),
            "skipped": order.skipped,
            "config": to_dict(self._config),
        }

    def finish(self, snapshot: Snapshot | None) -> None:
        """The run is complete: write the summary and say how it went."""
        assert snapshot is not None, "a run ends with a checkpoint"
        standing = read_summary(self._out)
        done = fingerprint(snapshot.model, snapshot.optimizer)
        if standing is not None and standing.fingerprint == done and not self._samples:
            self._progress.announce(
                f"this run was complete already\n{_closing(standing, self._out)}"
            )
            return
        evaluation = self._evaluation
        wall_s = self._clock() - self._started_s
        assert self._config.train.shards is not None
        summary = Summary(
            fingerprint=done,
            steps=snapshot.step,
            skipped_steps=self._skipped,
            epochs=snapshot.step / self._begin.epoch_steps,
            train_loss=self._train_loss,
            test_loss=None if evaluation is None else evaluation.loss,
            test_accuracy=None if evaluation is None else evaluation.accuracy,
            workers=self._size,
            shards=self._config.train.shards,
            transport=self._transport,
            wall_s=wall_s,
            samples_per_s=self._samples / wall_s if wall_s > 0 else 0.0,
        )
        write_summary(self._out, summary)
        self._progress.close()
        self._progress.announce(_closing(summary, self._out))
        self._tell_after(snapshot)

    def _tell_after(self, snapshot: Snapshot) -> None:
        """Print what the configuration's `train.after` says of the trained model."""
        if self._config.train.after is None:
            return
        from ddp.build import text_after  # a coordinator loads a model's code for nothing else

        try:
            text = text_after(self._config, snapshot.model)
        except Exception as error:  # the user's code; the run itself is complete and on disk
            text = f"'train.after' failed: {type(error).__name__}: {error}"
        if text is not None:
            self._progress.announce(text)

    def close(self) -> None:
        self._progress.close()
        if self._log is not None:
            self._log.close()


def _row(record: c.RecordStep) -> dict[str, Any]:
    """The line of metrics.jsonl for a step."""
    return {
        "step": record.step + 1,
        "epoch": record.epoch + 1,
        "loss": record.loss,
        "accuracy": None if record.correct is None else record.correct / record.samples,
        "norm": record.norm,
        "clip": record.clip,
        "lr": record.lr,
        "applied": record.applied,
        "samples": record.samples,
        "seconds": list(record.seconds),
    }


def _closing(summary: Summary, out: Path) -> str:
    accuracy = (
        "" if summary.test_accuracy is None else f", test accuracy {summary.test_accuracy:.2%}"
    )
    skipped = f", {summary.skipped_steps} skipped as not finite" if summary.skipped_steps else ""
    return (
        f"finished {summary.steps} steps in {summary.wall_s:.1f} s "
        f"({summary.samples_per_s:,.0f} samples/s){skipped}{accuracy}\n"
        f"checkpoint   {out / f'step-{summary.steps:08d}'}\n"
        f"fingerprint  {summary.fingerprint}"
    )
