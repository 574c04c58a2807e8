"""Hooks around steps and state dicts, and the hints that are accepted or refused."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from ddp.autograd.tensor import Tensor
from ddp.nn.parameter import Parameter
from ddp.optim import SGD, Adam, AdamW, Optimizer


def optimizer_with_gradient() -> tuple[Parameter, SGD]:
    p = Parameter(Tensor(np.ones(1, np.float32)))
    p.grad = Tensor(np.ones(1, np.float32))
    return p, SGD([p], lr=0.5)


def test_step_hooks_run_around_the_step_until_removed() -> None:
    p, optimizer = optimizer_with_gradient()
    seen: list[tuple[str, float]] = []

    def note(name: str) -> Any:
        return lambda of, args, kwargs: seen.append((name, float(p.array[0])))

    before = optimizer.register_step_pre_hook(note("before"))
    optimizer.register_step_post_hook(note("after"))
    optimizer.step()
    before.remove()
    optimizer.step()
    assert seen == [("before", 1.0), ("after", 0.5), ("after", 0.0)]


def test_a_pre_hook_may_replace_the_arguments_of_a_step() -> None:
    _, optimizer = optimizer_with_gradient()
    optimizer.register_step_pre_hook(lambda of, args, kwargs: (args, {"closure": lambda: 7}))
    assert optimizer.step() == 7


def test_a_pre_hook_that_returns_something_else_is_refused() -> None:
    _, optimizer = optimizer_with_gradient()
    optimizer.register_step_pre_hook(lambda of, args, kwargs: 3)
    with pytest.raises(RuntimeError, match=r"None or a tuple of \(new_args, new_kwargs\)"):
        optimizer.step()


def test_the_step_of_a_users_own_optimizer_has_hooks_too() -> None:
    class Sign(Optimizer):
        def step(self, closure: Any = None) -> None:
            for param in self.param_groups[0]["params"]:
                param.array -= np.sign(param.grad.array)

    p = Parameter(Tensor(np.ones(1, np.float32)))
    p.grad = Tensor(np.ones(1, np.float32))
    optimizer = Sign([p], {})
    seen = []
    optimizer.register_step_post_hook(lambda of, args, kwargs: seen.append(p.item()))
    optimizer.step()
    assert seen == [0.0]


def test_state_dict_hooks_see_and_may_replace_the_dict() -> None:
    _, optimizer = optimizer_with_gradient()
    order: list[str] = []
    optimizer.register_state_dict_pre_hook(lambda of: order.append("pre"))
    optimizer.register_state_dict_post_hook(lambda of, saved: {**saved, "note": 1})
    optimizer.register_state_dict_post_hook(lambda of, saved: order.append("first"), prepend=True)
    assert optimizer.state_dict()["note"] == 1
    assert order == ["pre", "first"]


def test_load_hooks_may_replace_what_is_loaded_and_leave_the_given_dict() -> None:
    _, optimizer = optimizer_with_gradient()
    saved = optimizer.state_dict()

    def faster(of: Optimizer, loaded: dict[str, Any]) -> dict[str, Any]:
        loaded["param_groups"] = [{**loaded["param_groups"][0], "lr": 9.0}]
        return loaded

    done: list[float] = []
    optimizer.register_load_state_dict_pre_hook(faster)
    optimizer.register_load_state_dict_post_hook(lambda of: done.append(of.param_groups[0]["lr"]))
    optimizer.load_state_dict(saved)
    assert done == [9.0]
    assert saved["param_groups"][0]["lr"] == 0.5


def test_a_learning_rate_may_be_a_tensor() -> None:
    p = Parameter(Tensor(np.ones(1, np.float32)))
    p.grad = Tensor(np.ones(1, np.float32))
    SGD([p], lr=Tensor(np.array(0.25, np.float32))).step()  # type: ignore[arg-type]
    assert (p.array[0], p.dtype) == (0.75, np.float32)
    with pytest.raises(ValueError, match="Tensor lr must be 1-element"):
        SGD([p], lr=Tensor(np.ones(2, np.float32)))  # type: ignore[arg-type]


def test_hints_for_what_is_not_there_are_refused_by_name() -> None:
    p = Parameter(Tensor(np.ones(1, np.float32)))
    with pytest.raises(NotImplementedError, match="capturable=True"):
        AdamW([p], capturable=True)
    with pytest.raises(NotImplementedError, match="differentiable=True"):
        SGD([p], differentiable=True)
    with pytest.raises(RuntimeError, match="`fused` and `foreach` cannot be `True` together"):
        Adam([p], fused=True, foreach=True)


def test_betas_may_be_tensors_but_only_both() -> None:
    p = Parameter(Tensor(np.ones(1, np.float32)))
    p.grad = Tensor(np.ones(1, np.float32))
    betas = tuple(Tensor(np.array(beta, np.float32)) for beta in (0.5, 0.75))
    optimizer = Adam([p], lr=0.5, betas=betas)  # type: ignore[arg-type]
    optimizer.step()
    assert p.array[0] == pytest.approx(0.5)
    assert optimizer.state[p]["exp_avg"].item() == 0.5
    with pytest.raises(ValueError, match="either both floats or both Tensors"):
        Adam([p], betas=(0.9, betas[1]))  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="lr as a Tensor is not supported"):
        Adam([p], lr=betas[0], foreach=True)  # type: ignore[arg-type]


def test_groups_are_all_named_or_none_is() -> None:
    a, b = (Parameter(Tensor(np.ones(1, np.float32))) for _ in range(2))
    with pytest.raises(ValueError, match="Some param names are missing"):
        SGD([("a", a), b])
    with pytest.raises(ValueError, match="cannot add param group with names"):
        SGD([{"params": [a]}, {"params": [("b", b)]}])
