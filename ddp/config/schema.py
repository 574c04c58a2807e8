"""What a configuration holds: one frozen struct per TOML table, one comment per key.

Rules: a key has a type, a default only if every user would choose it, and its unit in its name.
What can be said of one key is said in its type; what ties keys together stands in
`__post_init__`. A refusal quotes the full key in single quotes, says what came and what is
expected; `ddp.config.reading` puts the file or the `--set` before it.

The optimizers' tables stand in optimizers.py. Left out: reading TOML (reading.py), what a resumed
run may change (resume.py), and whether a factory exists (imports.py): a worker without the user's
code can still read a configuration.
"""

from __future__ import annotations

from typing import Any, ClassVar, Literal

from msgspec import field, structs

from ddp.config.optimizers import AnyOptimizer
from ddp.config.section import (
    CallableName,
    Count,
    Factor,
    Natural,
    NotNegative,
    Positive,
    RunName,
    Section,
)
from ddp.errors import ConfigError

LOSSES = ("cross_entropy", "mse", "bce_with_logits")


class Model(Section, frozen=True, kw_only=True):
    """`[model]`: what is trained."""

    # "package.module:callable"; called with `args`, gives a ddp.nn.Module.
    factory: CallableName
    args: dict[str, Any] = field(default_factory=dict)
    # One of LOSSES, or "package.module:callable" of (output, target) giving the mean loss.
    loss: str = "cross_entropy"
    # A .pth or .safetensors file of initial weights, instead of those of the seed. The path is
    # relative to the working directory of each worker.
    weights: str | None = None
    # Modules or parameters that keep the seed's weights all the same, by name: a new last layer.
    fresh: list[str] = field(default_factory=list)
    # Modules or parameters that are not trained, by name. As in PyTorch, a frozen batch norm
    # still follows its running statistics.
    freeze: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        if self.fresh and self.weights is None:
            raise ConfigError("'model.fresh' has a meaning only together with 'model.weights'")
        if self.loss not in LOSSES and ":" not in self.loss:
            raise ConfigError(
                f"'model.loss' is '{self.loss}': expected one of {', '.join(LOSSES)}, "
                "or 'package.module:callable'"
            )


class Data(Section, frozen=True, kw_only=True):
    """`[data]`: what it is trained and tested on; either a factory or files.

    Paths are relative to the working directory of the process that reads them.
    """

    # "package.module:callable"; called with `args`, gives (training set, test set or None).
    factory: CallableName | None = None
    args: dict[str, Any] = field(default_factory=dict)
    # A .npz file with the arrays x and y, or a pair [x.npy, y.npy].
    train: str | list[str] | None = None
    test: str | list[str] | None = None
    # Inputs read from files are multiplied by this and become float32 (1/255 for bytes).
    scale: float | None = None
    # Labels read from files must lie in 0 … classes-1.
    classes: Count | None = None

    def __post_init__(self) -> None:
        if (self.factory is None) == (self.train is None):
            came = "neither" if self.factory is None else "both"
            raise ConfigError(
                f"'data.factory' and 'data.train': expected exactly one of them, got {came}"
            )
        if self.factory is None:
            self._refuse("args", self.args != {}, "data.factory")
        for key in ("test", "scale", "classes"):
            self._refuse(
                key, self.factory is not None and getattr(self, key) is not None, "data.train"
            )
        for key in ("train", "test"):
            self._check_paths(key)

    def _refuse(self, key: str, given: bool, companion: str) -> None:
        if given:
            raise ConfigError(f"'data.{key}' has a meaning only together with '{companion}'")

    def _check_paths(self, key: str) -> None:
        paths = getattr(self, key)
        names = [paths] if isinstance(paths, str) else paths or []
        kind = ".npz" if isinstance(paths, str) else ".npy"
        pair = paths is None or isinstance(paths, str) or len(paths) == 2
        if not pair or not all(name.endswith(kind) for name in names):
            raise ConfigError(
                f"'data.{key}' is {paths!r}: expected the path of a .npz file with the arrays "
                "x and y, or a pair of .npy files"
            )


class Schedule(Section, frozen=True, kw_only=True, tag_field="name"):
    """`[schedule]`: the learning rate over the steps; the formulas are in ddp.schedule."""

    name: ClassVar[str]
    # Whether the rate depends on the total number of steps, so that a longer run differs at once.
    uses_total_steps: ClassVar[bool] = False
    warmup_steps: Natural = 0  # optimizer steps on a straight line up to `optimizer.lr`
    warmup_factor: Factor = 1 / 3  # the line begins at this part of it (PyTorch's LinearLR)

    def arguments(self) -> dict[str, Any]:
        """The keyword arguments for ddp.schedule.learning_rate."""
        return structs.asdict(self)


class Constant(Schedule, frozen=True, kw_only=True, tag="constant"):
    """The same rate throughout."""

    name: ClassVar[str] = "constant"


class Cosine(Schedule, frozen=True, kw_only=True, tag="cosine"):
    """Half a cosine from `optimizer.lr` down to `final_lr`."""

    name: ClassVar[str] = "cosine"
    uses_total_steps: ClassVar[bool] = True
    final_lr: NotNegative = 0.0


class Linear(Schedule, frozen=True, kw_only=True, tag="linear"):
    """A straight line from `optimizer.lr` to `final_lr`."""

    name: ClassVar[str] = "linear"
    uses_total_steps: ClassVar[bool] = True
    final_lr: NotNegative = 0.0


class Step(Schedule, frozen=True, kw_only=True, tag="step"):
    """The rate times `gamma` after every `step_size` optimizer steps."""

    name: ClassVar[str] = "step"
    step_size: Count
    gamma: Positive = 0.1


class Train(Section, frozen=True, kw_only=True):
    """`[train]`: how long, and in what portions. Exactly one of `epochs` and `steps`."""

    epochs: Count | None = None  # passes over the training set
    steps: Count | None = None  # optimizer steps
    # Samples in an optimizer step over all workers; the last step of an epoch takes what is left.
    global_batch: Count
    # Parts a global batch is cut into. Decides bits; the number of workers does not, but cannot
    # exceed it. Unset: the number of workers at the first launch.
    shards: Count | None = None
    clip_norm: Positive | None = None  # largest global 2-norm of the gradient; unset: no clipping
    # Loops in NumPy, or compiled by numba, which must be installed (ddp.kernels). Decides bits.
    kernels: Literal["numpy", "numba"] = "numpy"
    skip_limit: Natural = 100  # steps in a row that may be skipped because they are not finite
    evaluate_every_epochs: Count = 1
    evaluation_batch: Count = 256  # samples
    # "package.module:callable" of the trained model, in evaluation mode; the run ends by printing
    # the text that it gives.
    after: CallableName | None = None

    def __post_init__(self) -> None:
        if (self.epochs is None) == (self.steps is None):
            came = "neither" if self.epochs is None else "both"
            raise ConfigError(
                f"'train.epochs' and 'train.steps': expected exactly one of them, got {came}"
                + (" (an empty --set train.epochs= takes one away)" if came == "both" else "")
            )
        if self.shards is not None and self.shards > self.global_batch:
            raise ConfigError(
                f"'train.global_batch' is {self.global_batch}: expected at least "
                f"'train.shards' = {self.shards}, a sample for every shard"
            )


class Checkpoint(Section, frozen=True, kw_only=True):
    """`[checkpoint]`: when one is written, and how many stay. One is always written at the end."""

    every_steps: Count | None = None
    every_epochs: Count | None = 1
    keep: Count = 3  # newest checkpoints that stay on disk


class Cluster(Section, frozen=True, kw_only=True):
    """`[cluster]`: the workers and their patience. Nothing here changes a bit of the result."""

    workers: Count | None = None  # unset: what the command line says, else one per core
    heartbeat_s: Positive = 1.0
    heartbeat_timeout_s: Positive = 10.0  # silence after which a worker counts as lost
    join_timeout_s: Positive = 60.0  # for all workers to arrive
    exchange_timeout_s: Positive = 600.0  # for one exchange or one step
    first_bucket_bytes: Count = 1 << 20  # 1 MiB and 25 MiB are PyTorch's defaults
    bucket_bytes: Count = 25 << 20
    # Whether workers on one host share memory; where they cannot, "auto" does without.
    shared_memory: Literal["auto", "off"] = "auto"
    # Accept a worker whose BLAS uses another CPU kernel: the bits may then differ between workers.
    allow_other_kernel: bool = False

    def __post_init__(self) -> None:
        if self.heartbeat_timeout_s <= 2 * self.heartbeat_s:
            raise ConfigError(
                f"'cluster.heartbeat_timeout_s' is {self.heartbeat_timeout_s}: expected more than "
                f"twice 'cluster.heartbeat_s' = {self.heartbeat_s}, or one late heartbeat "
                "ends the run"
            )


class Config(Section, frozen=True, kw_only=True):
    """A whole run. Equal configurations give equal bits."""

    name: RunName = "run"  # of the run directory; `load` sets the file's stem
    seed: Natural = 0  # of the initial weights, the order of samples, dropout and augmentation
    model: Model
    data: Data
    optimizer: AnyOptimizer
    schedule: Constant | Cosine | Linear | Step = Constant()
    train: Train
    checkpoint: Checkpoint = Checkpoint()
    cluster: Cluster = Cluster()

    def __post_init__(self) -> None:
        steps, warmup_steps = self.train.steps, self.schedule.warmup_steps
        if steps is not None and warmup_steps >= steps:
            raise ConfigError(
                f"'schedule.warmup_steps' is {warmup_steps}: expected fewer than "
                f"'train.steps' = {steps}"
            )
        workers, shards = self.cluster.workers, self.train.shards
        if workers is not None and shards is not None:
            require_shards(shards, workers)


def require_shards(shards: int, workers: int) -> None:
    """Raise ConfigError when there are fewer shards than workers."""
    if shards < workers:
        raise ConfigError(
            f"'train.shards' is {shards}: expected at least the number of workers, {workers}; "
            "a worker without a shard has nothing to compute"
        )
