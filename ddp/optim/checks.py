"""Refusals of hyper-parameters that cannot be, with PyTorch's sentences."""

from __future__ import annotations

from ddp.autograd.tensor import Tensor


def check_at_least_zero(**values: float) -> None:
    """Refuse negative (and NaN) hyper-parameters with PyTorch's sentence."""
    for name, value in values.items():
        if isinstance(value, Tensor) and value.numel() != 1:
            raise ValueError(f"Tensor {name} must be 1-element")
        if not value >= 0.0:
            label = {"lr": "learning rate", "eps": "epsilon value"}.get(name, f"{name} value")
            raise ValueError(f"Invalid {label}: {value}")


def check_betas(betas: tuple[float, float]) -> None:
    """Refuse averaging weights outside [0, 1) with PyTorch's sentence."""
    for position, beta in enumerate(betas):
        if not 0.0 <= beta < 1.0:
            raise ValueError(f"Invalid beta parameter at index {position}: {beta}")


def check_tensors(lr: object, betas: tuple[object, object], foreach: bool | None) -> None:
    """Refuse numbers given as tensors where PyTorch's Adam does."""
    if isinstance(betas[0], Tensor) != isinstance(betas[1], Tensor):
        raise ValueError("betas must be either both floats or both Tensors")
    for name, value in (("lr", lr), ("betas[0]", betas[0]), ("betas[1]", betas[1])):
        if isinstance(value, Tensor) and foreach:
            raise ValueError(
                f"{name} as a Tensor is not supported for capturable=False and foreach=True"
            )


def check_hints(
    *,
    capturable: bool = False,
    differentiable: bool = False,
    foreach: bool | None = None,
    fused: bool | None = None,
) -> None:
    """Refuse what PyTorch's hints ask for and we do not have; the others change nothing here."""
    if capturable:
        raise NotImplementedError(
            "capturable=True is for steps recorded in a CUDA graph, which a library for CPUs does "
            "not have: leave it False"
        )
    if differentiable:
        raise NotImplementedError(
            "differentiable=True, gradients through an optimizer step, is not implemented: "
            "leave it False"
        )
    if foreach and fused:
        raise RuntimeError("`fused` and `foreach` cannot be `True` together.")
