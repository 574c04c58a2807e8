"""Backward hooks of modules: what they see, what they change, in which order.

Each test runs on PyTorch too where `-m oracle` asks for it.
"""

from __future__ import annotations

from typing import Any

import pytest


def doubler(lib: Any) -> tuple[Any, Any]:
    """A linear layer with the weight 2, and its input 3, which requires a gradient."""
    layer = lib.nn.Linear(1, 1, bias=False)
    layer.load_state_dict({"weight": lib.tensor([[2.0]])})
    return layer, lib.tensor([[3.0]], requires_grad=True)


def test_a_hook_sees_the_gradients_of_inputs_and_outputs(lib: Any) -> None:
    layer, x = doubler(lib)
    seen = []
    layer.register_full_backward_hook(
        lambda module, grad_input, grad_output: seen.append((module, grad_input, grad_output))
    )
    (5 * layer(x)).backward()
    ((module, grad_input, grad_output),) = seen
    assert module is layer
    assert [grad.tolist() for grad in grad_input] == [[[10.0]]]
    assert [grad.tolist() for grad in grad_output] == [[[5.0]]]


def test_a_hooks_answer_changes_the_inputs_gradient_only(lib: Any) -> None:
    layer, x = doubler(lib)
    layer.register_full_backward_hook(lambda module, grad_input, _: (grad_input[0] * 100,))
    layer(x).backward()
    assert x.grad.tolist() == [[200.0]]
    assert layer.weight.grad.tolist() == [[3.0]]


def test_a_pre_hooks_answer_changes_all_gradients(lib: Any) -> None:
    layer, x = doubler(lib)
    layer.register_full_backward_pre_hook(lambda module, grad_output: (grad_output[0] * 100,))
    layer(x).backward()
    assert x.grad.tolist() == [[200.0]]
    assert layer.weight.grad.tolist() == [[300.0]]


def test_hooks_run_in_the_order_added_those_with_prepend_first(lib: Any) -> None:
    layer, x = doubler(lib)
    order: list[str] = []

    def noting(name: str) -> Any:
        return lambda *_: order.append(name)

    layer.register_full_backward_hook(noting("first"))
    layer.register_full_backward_hook(noting("second"))
    layer.register_full_backward_hook(noting("prepended"), prepend=True)
    layer.register_full_backward_pre_hook(noting("pre"))
    layer(x).backward()
    assert order == ["pre", "prepended", "first", "second"]


def test_a_removed_hook_runs_no_more(lib: Any) -> None:
    layer, x = doubler(lib)
    handle = layer.register_full_backward_hook(lambda *_: pytest.fail("removed"))
    handle.remove()
    layer(x).backward()


def test_a_module_without_a_differentiable_input_warns_and_shows_none(lib: Any) -> None:
    layer, x = doubler(lib)
    seen = []
    layer.register_full_backward_hook(lambda module, grad_input, _: seen.append(grad_input))
    with pytest.warns(UserWarning, match="Full backward hook is firing"):
        layer(x.detach()).backward()
    assert seen == [(None,)]


def test_every_call_has_its_own_gradients(lib: Any) -> None:
    layer, x = doubler(lib)
    seen = []
    layer.register_full_backward_hook(
        lambda module, grad_input, grad_output: seen.append(grad_output[0].item())
    )
    layer(layer(x)).backward()
    assert seen == [1.0, 2.0]


def test_a_wrong_number_of_gradients_is_refused(lib: Any) -> None:
    layer, x = doubler(lib)
    layer.register_full_backward_hook(lambda module, grad_input, _: grad_input * 2)
    with pytest.raises(RuntimeError, match="returned an invalid number of grad_input, got 2, but"):
        layer(x).backward()


def test_outputs_nobody_used_show_none(lib: Any) -> None:
    class Split(lib.nn.Module):  # type: ignore[misc]
        def forward(self, x: Any) -> Any:
            return x * 2, x * 3

    module = Split()
    seen = []
    module.register_full_backward_hook(lambda _, grad_input, grad_output: seen.append(grad_output))
    x = lib.tensor([1.0], requires_grad=True)
    module(x)[1].backward()
    ((unused, used),) = seen
    assert unused is None or unused.tolist() == [0.0]
    assert used.tolist() == [1.0]
    assert x.grad.tolist() == [3.0]
