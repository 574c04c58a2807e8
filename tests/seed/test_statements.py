"""Every statement in the notes about autograd, modules, losses, clipping and hooks.

Where the notes were wrong, what is right stands here, and the wrong spelling is an error.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

# -- gradients ----------------------------------------------------------------------------------


def test_the_gradient_of_each_parameter_is_stored_in_its_grad(torch: Any, nn: Any) -> None:
    model = nn.Linear(2, 1)
    assert model.weight.grad is None
    model(torch.tensor([[3.0, 5.0]])).sum().backward()
    assert model.weight.grad.tolist() == [[3.0, 5.0]]
    assert model.bias.grad.tolist() == [1.0]


def test_existing_gradients_are_added_to_until_they_are_cleared(torch: Any, nn: Any) -> None:
    net, x = nn.Linear(2, 1), torch.tensor([[3.0, 5.0]])
    net(x).sum().backward()
    net(x).sum().backward()
    assert net.weight.grad.tolist() == [[6.0, 10.0]]
    net.zero_grad()
    assert net.weight.grad is None
    net(x).sum().backward()
    assert net.weight.grad.tolist() == [[3.0, 5.0]]


def test_backwards_is_no_method(torch: Any) -> None:
    loss = torch.ones(1, requires_grad=True).sum()
    with pytest.raises(AttributeError, match="'Tensor' object has no attribute 'backwards'"):
        loss.backwards()


def test_the_walk_back_starts_with_one(torch: Any) -> None:
    x = torch.tensor(2.0, requires_grad=True)
    (x * x).backward()
    assert x.grad.item() == 4.0
    x.grad = None
    (x * x).backward(torch.tensor(1.0))
    assert x.grad.item() == 4.0


def test_only_one_element_has_a_default_gradient(torch: Any) -> None:
    x = torch.ones(2, requires_grad=True)
    with pytest.raises(RuntimeError, match="grad can be implicitly created only for scalar"):
        (x * 2).backward()


def test_every_operation_puts_a_node_into_the_history(torch: Any) -> None:
    a = torch.ones(2, requires_grad=True)
    c = (a * 3).exp()
    assert a.grad_fn is None
    assert c.grad_fn.name() == "ExpBackward0"
    ((before, _),) = c.grad_fn.next_functions
    assert before.name() == "MulBackward0"


def test_a_function_defines_forward_and_backward_of_an_operation(torch: Any) -> None:
    class Cube(torch.autograd.Function):
        @staticmethod
        def forward(ctx: Any, x: Any) -> Any:
            ctx.save_for_backward(x)
            return x * x * x

        @staticmethod
        def backward(ctx: Any, grad: Any) -> Any:
            (x,) = ctx.saved_tensors
            return grad * 3 * x * x

    x = torch.tensor([2.0, -1.0], requires_grad=True)
    Cube.apply(x).sum().backward()
    assert x.grad.tolist() == [12.0, 3.0]


# -- freezing and no_grad -----------------------------------------------------------------------


def test_a_frozen_parameter_gets_no_gradient_and_is_not_trained(torch: Any, nn: Any) -> None:
    model = nn.Sequential(nn.Linear(3, 4), nn.Linear(4, 2))
    for parameter in model[0].parameters():
        parameter.requires_grad = False
    frozen, learning = model[0].weight.tolist(), model[1].weight.tolist()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    model(torch.ones(1, 3)).sum().backward()
    optimizer.step()
    assert model[0].weight.grad is None
    assert model[0].weight.tolist() == frozen
    assert model[1].weight.tolist() != learning


def test_a_frozen_layer_still_passes_gradients_on(torch: Any, nn: Any) -> None:
    first, second = nn.Linear(2, 2), nn.Linear(2, 1)
    second.requires_grad_(False)
    second(first(torch.ones(1, 2))).sum().backward()
    assert first.weight.grad is not None
    assert second.weight.grad is None


def test_no_grad_is_more_than_freezing_nothing_is_recorded_at_all(torch: Any, nn: Any) -> None:
    first, second = nn.Linear(2, 2), nn.Linear(2, 1)
    with torch.no_grad():
        out = second(first(torch.ones(1, 2))).sum()
    assert (out.requires_grad, out.grad_fn) == (False, None)
    with pytest.raises(RuntimeError, match="does not require grad and does not have a grad_fn"):
        out.backward()


# -- modules ------------------------------------------------------------------------------------


def test_a_parameter_is_registered_by_being_assigned(torch: Any, nn: Any) -> None:
    class Scale(nn.Module):  # type: ignore[misc]
        def __init__(self) -> None:
            super().__init__()
            self.factor = nn.Parameter(torch.ones(3))
            self.not_learned = torch.ones(3)

        def forward(self, x: Any) -> Any:
            return self.factor * x

    module = Scale()
    assert [name for name, _ in module.named_parameters()] == ["factor"]
    assert isinstance(module.factor, torch.Tensor)
    module(torch.tensor([1.0, 2.0, 3.0])).sum().backward()  # no backward function was written
    assert module.factor.grad.tolist() == [1.0, 2.0, 3.0]


def test_modules_are_used_in_other_modules(torch: Any, nn: Any) -> None:
    net = nn.Sequential(nn.Sequential(nn.Linear(3, 4), nn.ReLU()), nn.Linear(4, 2))
    assert [name for name, _ in net.named_parameters()] == [
        "0.0.weight",
        "0.0.bias",
        "1.weight",
        "1.bias",
    ]
    assert net(torch.ones(5, 3)).shape == (5, 2)


def test_a_module_exports_and_loads_its_state(torch: Any, nn: Any) -> None:
    one, other = nn.Linear(3, 4), nn.Linear(3, 4)
    other.load_state_dict(one.state_dict())
    assert other.weight.tolist() == one.weight.tolist()


def test_single_samples_are_taken_too_except_by_batch_norm(torch: Any, nn: Any) -> None:
    image = torch.ones(3, 8, 8)
    assert nn.Conv2d(3, 6, 3)(image).shape == (6, 6, 6)
    assert nn.MaxPool2d(2)(image).shape == (3, 4, 4)
    assert nn.CrossEntropyLoss()(torch.zeros(4), torch.tensor(1)).item() == pytest.approx(np.log(4))
    with pytest.raises(ValueError, match=r"expected 4D input \(got 3D input\)"):
        nn.BatchNorm2d(3)(image)


# -- optimizers ---------------------------------------------------------------------------------


@pytest.mark.parametrize("rule", ["SGD", "Adam", "RMSprop"])
def test_an_optimizer_is_exchanged_by_its_name(torch: Any, nn: Any, rule: str) -> None:
    x, target = torch.randn(16, 3), torch.randn(16, 1)
    net, criterion = nn.Linear(3, 1), nn.MSELoss()
    optimizer = getattr(torch.optim, rule)(net.parameters(), lr=0.01)
    losses = []
    for _ in range(20):
        optimizer.zero_grad()
        loss = criterion(net(x), target)
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < losses[0]


def test_rmsprop_has_no_capital_p(torch: Any) -> None:
    assert not hasattr(torch.optim, "RMSProp")


# -- losses -------------------------------------------------------------------------------------


def test_a_loss_tells_how_far_the_output_is_from_the_target(torch: Any, nn: Any) -> None:
    output, target = torch.tensor([1.0, 5.0]), torch.tensor([1.0, 2.0])
    assert nn.MSELoss()(output, target).item() == 4.5
    assert (output - target).abs().sum().item() == 3.0  # and one can be defined by oneself


def test_cross_entropy_of_two_classes_expects_two_outputs(torch: Any, functional: Any) -> None:
    logits = torch.tensor([[-2.34, 3.61]])
    assert functional.cross_entropy(logits, torch.tensor([1])).item() < 0.01
    assert functional.cross_entropy(logits, torch.tensor([0])).item() > 5


def test_softmax_gives_the_probability_of_each_class(torch: Any, functional: Any) -> None:
    probabilities = functional.softmax(torch.tensor([-2.34, 3.61]), dim=0)
    np.testing.assert_allclose(probabilities.tolist(), [0.0026, 0.9974], atol=5e-5)
    assert probabilities.sum().item() == pytest.approx(1)


def test_two_outputs_with_softmax_mean_as_much_as_one_with_sigmoid(
    torch: Any, functional: Any
) -> None:
    two = torch.randn(8, 2, dtype=torch.float64, requires_grad=True)
    labels = torch.tensor([0, 1, 1, 0, 1, 0, 0, 1])
    one = two[:, 1] - two[:, 0]
    np.testing.assert_allclose(
        torch.sigmoid(one).tolist(), functional.softmax(two, dim=1)[:, 1].tolist(), rtol=1e-14
    )
    by_two = functional.cross_entropy(two, labels)
    by_one = functional.binary_cross_entropy_with_logits(one, labels.double())
    assert by_two.item() == pytest.approx(by_one.item(), rel=1e-15)
    by_two.backward()
    np.testing.assert_allclose(two.grad.sum(1).tolist(), np.zeros(8), atol=1e-16)


def test_binary_cross_entropy_expects_one_output_whose_sigmoid_is_the_probability(
    torch: Any, nn: Any
) -> None:
    logit = torch.tensor([-2.34])
    probability = torch.sigmoid(logit).item()
    assert probability == pytest.approx(0.0879, abs=5e-5)
    loss = nn.BCEWithLogitsLoss()(logit, torch.tensor([1.0]))
    assert loss.item() == pytest.approx(-np.log(probability))


# -- clipping -----------------------------------------------------------------------------------


@pytest.fixture
def with_gradients(torch: Any, nn: Any) -> Any:
    """Two parameters with the gradients (3, 0) and (0, 4)."""
    parameters = [nn.Parameter(torch.ones(2)) for _ in range(2)]
    parameters[0].grad, parameters[1].grad = torch.tensor([3.0, 0.0]), torch.tensor([0.0, 4.0])
    return parameters


def test_the_norm_is_that_of_all_gradients_as_one_vector(torch: Any, with_gradients: Any) -> None:
    norm = torch.nn.utils.clip_grad_norm_(with_gradients, max_norm=1)
    assert norm.item() == 5.0
    np.testing.assert_allclose(with_gradients[0].grad.tolist(), [0.6, 0.0], rtol=1e-6)
    np.testing.assert_allclose(with_gradients[1].grad.tolist(), [0.0, 0.8], rtol=1e-6)


def test_gradients_are_clipped_in_place_and_parameters_never(
    torch: Any, with_gradients: Any
) -> None:
    gradient = with_gradients[0].grad
    torch.nn.utils.clip_grad_value_(with_gradients, clip_value=2)
    assert with_gradients[0].grad is gradient
    assert gradient.tolist() == [2.0, 0.0]
    assert with_gradients[0].tolist() == [1.0, 1.0]


def test_the_bound_of_the_norm_is_called_max_norm(torch: Any, with_gradients: Any) -> None:
    with pytest.raises(TypeError, match="unexpected keyword argument 'clip_norm'"):
        torch.nn.utils.clip_grad_norm_(with_gradients, clip_norm=1)


# -- hooks --------------------------------------------------------------------------------------


@pytest.fixture
def graph(torch: Any) -> Any:
    """a, and c = 3a: a leaf and an intermediate tensor."""
    a = torch.tensor([1.0, 2.0], requires_grad=True)
    return a, a * 3


def test_a_hook_that_returns_nothing_only_looks(graph: Any) -> None:
    a, c = graph
    seen: list[Any] = []
    c.register_hook(lambda grad: seen.append(grad.tolist()))
    c.sum().backward()
    assert seen == [[1.0, 1.0]]
    assert a.grad.tolist() == [3.0, 3.0]


def test_what_a_hook_returns_replaces_the_gradient(graph: Any) -> None:
    a, c = graph
    c.register_hook(lambda grad: grad + 2)
    c.sum().backward()
    assert a.grad.tolist() == [9.0, 9.0]


def test_hooks_are_called_in_the_order_they_were_added(graph: Any) -> None:
    a, c = graph
    c.register_hook(lambda grad: grad + 2)
    c.register_hook(lambda grad: grad * 10)
    c.sum().backward()
    assert a.grad.tolist() == [90.0, 90.0]  # (1 + 2) · 10 · 3


def test_retain_grad_keeps_the_gradient_of_an_intermediate_tensor(graph: Any) -> None:
    _, c = graph
    c.retain_grad()
    (c * 2).sum().backward()
    assert c.grad.tolist() == [2.0, 2.0]


@pytest.mark.filterwarnings("ignore:The .grad attribute of a Tensor that is not a leaf")
def test_without_retain_grad_an_intermediate_tensor_has_none(graph: Any) -> None:
    _, c = graph
    c.sum().backward()
    assert c.grad is None


def test_the_hook_of_an_intermediate_tensor_runs_before_the_node_that_made_it(graph: Any) -> None:
    _, c = graph
    calls: list[str] = []
    c.grad_fn.register_hook(lambda *_: calls.append("the node is done"))
    c.register_hook(lambda grad: calls.append("hook"))
    c.grad_fn.register_prehook(lambda *_: calls.append("pre-hook of the node"))
    c.sum().backward()
    assert calls == ["hook", "pre-hook of the node", "the node is done"]


def test_the_hooks_of_a_tensor_are_kept_in_a_dictionary(graph: Any) -> None:
    _, c = graph
    handle = c.register_hook(lambda grad: None)
    assert list(c._backward_hooks) == [handle.id]
    handle.remove()
    assert list(c._backward_hooks) == []
