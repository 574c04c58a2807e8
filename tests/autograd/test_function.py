"""`autograd.Function`: operations users write."""

from __future__ import annotations

from typing import Any

import pytest

Lib = Any


def leaf(lib: Lib, *values: float) -> Any:
    return lib.tensor(list(values), requires_grad=True)


def exp_function(lib: Lib) -> Any:
    class Exp(lib.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            y = x.exp()
            ctx.save_for_backward(y)
            ctx.note = "kept"
            return y

        @staticmethod
        def backward(ctx, dy):
            (y,) = ctx.saved_tensors
            return dy * y

    return Exp


def two_functions(lib: Lib, backward: Any, **others: Any) -> Any:
    """y = (a·b, a+b) with a backward of the test's choice."""

    def forward(ctx, a, b):
        ctx.save_for_backward(a, b)
        for name in others:
            others[name](ctx)
        return a * b, a + b

    members = {"forward": staticmethod(forward), "backward": staticmethod(backward)}
    return type("Two", (lib.autograd.Function,), members)


def test_a_function_has_its_own_gradient_and_name(lib: Lib) -> None:
    x = leaf(lib, 0.0, 1.0)
    y = exp_function(lib).apply(x)
    assert y.grad_fn.name() == "ExpBackward"
    assert y.grad_fn.note == "kept"
    y.sum().backward()
    assert x.grad.tolist() == pytest.approx([1.0, 2.718282])


def test_users_may_keep_things_under_any_name(lib: Lib) -> None:
    class Named(lib.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            ctx.saved = ctx.hooks = ctx.function = ctx.num_outputs = x * 3
            ctx.edges = ctx.needs = ctx.variable = ctx.shape = "mine"
            return x * 3

        @staticmethod
        def backward(ctx, dy):
            return dy * ctx.saved + ctx.num_outputs * 0

    x = leaf(lib, 2.0)
    Named.apply(x).backward()
    assert x.grad.tolist() == [6.0]


def test_setup_context_takes_the_place_of_ctx_in_forward(lib: Lib) -> None:
    class Scale(lib.autograd.Function):
        @staticmethod
        def forward(x, factor):
            return x * factor

        @staticmethod
        def setup_context(ctx, inputs, output):
            _, ctx.factor = inputs

        @staticmethod
        def backward(ctx, dy):
            return dy * ctx.factor, None

    x = leaf(lib, 2.0)
    Scale.apply(x, 5).backward()
    assert x.grad.tolist() == [5.0]


def test_nothing_is_recorded_in_forward_but_inputs_keep_their_flag(lib: Lib) -> None:
    seen = []

    class Look(lib.autograd.Function):
        @staticmethod
        def forward(ctx, x, number, w):
            seen.append((lib.is_grad_enabled(), x.requires_grad, ctx.needs_input_grad))
            return x * number

        @staticmethod
        def backward(ctx, dy):
            seen.append((lib.is_grad_enabled(), ctx.needs_input_grad))
            return dy, None, None

    Look.apply(leaf(lib, 1.0), 2, lib.ones(1)).backward()
    assert seen == [(False, True, (True, False, False)), (False, (True, False, False))]


def test_only_tensors_are_saved(lib: Lib) -> None:
    class Wrong(lib.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            ctx.save_for_backward(3)
            return x * 2

    with pytest.raises(TypeError, match="save_for_backward can only save variables, but argument"):
        Wrong.apply(leaf(lib, 1.0))


def test_saved_tensors_are_freed_and_their_versions_checked(lib: Lib) -> None:
    y = exp_function(lib).apply(leaf(lib, 1.0))
    y.backward()
    with pytest.raises(RuntimeError, match="a second time"):
        _ = y.grad_fn.saved_tensors
    with pytest.raises(RuntimeError, match="a second time"):
        y.backward()
    z = exp_function(lib).apply(leaf(lib, 1.0))
    z.detach().add_(1)
    with pytest.raises(RuntimeError, match="has been modified by an inplace operation"):
        z.backward()


def test_gradients_of_unused_outputs_arrive_as_zeros(lib: Lib) -> None:
    def backward(ctx, dproduct, dsum):
        a, b = ctx.saved_tensors
        assert dsum.tolist() == [0.0]
        return dproduct * b + dsum, dproduct * a + dsum

    a, b = leaf(lib, 2.0), leaf(lib, 3.0)
    two_functions(lib, backward).apply(a, b)[0].backward()
    assert (a.grad.tolist(), b.grad.tolist()) == ([3.0], [2.0])


def test_or_as_none_if_the_function_prefers(lib: Lib) -> None:
    def backward(ctx, dproduct, dsum):
        assert dsum is None
        return dproduct * 1, None

    a, b = leaf(lib, 2.0), leaf(lib, 3.0)
    function = two_functions(lib, backward, prefer=lambda ctx: ctx.set_materialize_grads(False))
    function.apply(a, b)[0].backward()
    assert a.grad.tolist() == [1.0]
    assert b.grad is None


def test_outputs_can_be_marked_as_not_differentiable(lib: Lib) -> None:
    class Sorted(lib.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            noise = x * 0
            order = lib.tensor([0])
            ctx.mark_non_differentiable(noise)
            return x * 2, noise, order

        @staticmethod
        def backward(ctx, dy, dnoise, dorder):
            assert dnoise.tolist() == [0.0]
            return dy * 2

    x = leaf(lib, 1.0)
    y, noise, order = Sorted.apply(x)
    assert (y.requires_grad, noise.requires_grad, order.requires_grad) == (True, False, False)
    y.backward()
    assert x.grad.tolist() == [2.0]


def test_an_input_changed_in_place_is_returned_as_itself(lib: Lib) -> None:
    class Double(lib.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            x.mul_(2)
            ctx.mark_dirty(x)
            return x

        @staticmethod
        def backward(ctx, dy):
            return dy * 2

    x = leaf(lib, 3.0)
    y = x * 1
    version = y._version
    z = Double.apply(y)
    assert z is y
    assert y._version > version
    assert y.grad_fn.name() == "DoubleBackward"
    z.backward()
    assert x.grad.tolist() == [2.0]
    with pytest.raises(RuntimeError, match="a leaf Variable that requires grad"):
        Double.apply(leaf(lib, 1.0))


def test_an_input_returned_unchanged_is_another_object(lib: Lib) -> None:
    class Same(lib.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            return x

        @staticmethod
        def backward(ctx, dy):
            return dy * 9

    x = leaf(lib, 3.0)
    y = Same.apply(x)
    assert y is not x
    y.backward()
    assert x.grad.tolist() == [9.0]


def test_outputs_that_are_no_tensors_pass_through(lib: Lib) -> None:
    class Pair(lib.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            return x * 2, "text"

        @staticmethod
        def backward(ctx, dy, dtext):
            assert dtext is None
            return dy * 2

    x = leaf(lib, 1.0)
    y, text = Pair.apply(x)
    assert text == "text"
    y.backward()
    assert x.grad.tolist() == [2.0]


@pytest.mark.parametrize(
    ("gradients", "message"),
    [
        (lambda lib, dy: dy, r"returned an incorrect number of gradients \(expected 2, got 1\)"),
        (lambda lib, dy: (dy, dy, dy), "returned an incorrect number of gradients"),
        (lambda lib, dy: (dy, dy), "different than None at position 2"),
        (lambda lib, dy: (lib.ones(4), None), "returned an invalid gradient at index 0 - got"),
    ],
)
def test_the_gradients_must_fit_the_arguments(lib: Lib, gradients: Any, message: str) -> None:
    class Wrong(lib.autograd.Function):
        @staticmethod
        def forward(ctx, x, number):
            return x * number

        @staticmethod
        def backward(ctx, dy):
            return gradients(lib, dy)

    with pytest.raises(RuntimeError, match=message):
        Wrong.apply(leaf(lib, 1.0, 2.0, 3.0), 2).sum().backward()


def test_a_broadcast_gradient_is_summed_and_extra_nones_are_dropped(lib: Lib) -> None:
    class Wide(lib.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            return x.expand(5, 1) * 1

        @staticmethod
        def backward(ctx, dy):
            return dy * 2, None, None

    x = leaf(lib, 1.0)
    Wide.apply(x).sum().backward()
    assert x.grad.tolist() == [10.0]


def test_none_means_no_gradient(lib: Lib) -> None:
    class Stop(lib.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            return x * 2

        @staticmethod
        def backward(ctx, dy):
            return None

    x = leaf(lib, 1.0)
    (Stop.apply(x) + x).backward()
    assert x.grad.tolist() == [1.0]


def test_under_no_grad_a_function_leaves_no_node(lib: Lib) -> None:
    with lib.no_grad():
        assert exp_function(lib).apply(leaf(lib, 1.0)).grad_fn is None
    assert exp_function(lib).apply(lib.ones(1)).grad_fn is None


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_a_function_is_not_called_as_an_instance(lib: Lib) -> None:
    with pytest.raises(RuntimeError, match="Legacy autograd function with non-static forward"):
        exp_function(lib)()(leaf(lib, 1.0))


def test_making_an_instance_warns(lib: Lib) -> None:
    with pytest.warns(DeprecationWarning, match="should not be instantiated"):
        exp_function(lib)()


def test_once_differentiable_leaves_the_gradient_as_it_is(lib: Lib) -> None:
    if lib.__name__ == "ddp":
        from ddp.autograd.function import once_differentiable
    else:
        from torch.autograd.function import once_differentiable

    class Double(lib.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            return x * 2

        @staticmethod
        @once_differentiable
        def backward(ctx, dy):
            return dy * 2

    x = leaf(lib, 1.0)
    Double.apply(x).backward()
    assert x.grad.tolist() == [2.0]


def test_arguments_by_name_count_as_if_given_by_place(lib: Lib) -> None:
    seen = []

    class Scale(lib.autograd.Function):
        @staticmethod
        def forward(ctx, x, factor=1):
            seen.append(ctx.needs_input_grad)
            ctx.factor = factor
            return x * factor

        @staticmethod
        def backward(ctx, dy):
            return (dy * ctx.factor, None)[: len(ctx.needs_input_grad)]

    x = leaf(lib, 1.0)
    Scale.apply(x, factor=3).backward()
    Scale.apply(x=x, factor=5).backward()
    Scale.apply(x).backward()
    assert x.grad.tolist() == [9.0]
    assert seen == [(True, False), (True, False), (True,)]
    with pytest.raises(TypeError):
        Scale.apply(x, power=2)


def test_setup_context_gets_defaults_too(lib: Lib) -> None:
    class Scale(lib.autograd.Function):
        @staticmethod
        def forward(x, factor=4):
            return x * factor

        @staticmethod
        def setup_context(ctx, inputs, output):
            ctx.factor = inputs[1]

        @staticmethod
        def backward(ctx, dy):
            return dy * ctx.factor, None

    x = leaf(lib, 1.0)
    Scale.apply(x).backward()
    assert x.grad.tolist() == [4.0]


def identity_with_another_gradient(lib: Lib, forward: Any) -> Any:
    members = {"forward": staticmethod(forward), "backward": staticmethod(lambda ctx, dy: dy * 9)}
    return type("Same", (lib.autograd.Function,), members)


@pytest.mark.parametrize("forward", [lambda ctx, x: x, lambda ctx, x: x.view(-1)])
@pytest.mark.parametrize("of_leaf", [True, False])
def test_a_view_of_an_input_is_not_written_to(lib: Lib, forward: Any, of_leaf: bool) -> None:
    function, x = identity_with_another_gradient(lib, forward), leaf(lib, 1.0, 2.0)
    for part in (slice(None), slice(1)):
        y = function.apply(x if of_leaf else x * 1)
        assert y.grad_fn.name() == "SameBackward"
        assert y._base is not None
        with pytest.raises(RuntimeError, match="This view was created inside a custom Function"):
            y[part].add_(1)


def test_a_new_output_may_be_written_to(lib: Lib) -> None:
    x = leaf(lib, 1.0)
    y = identity_with_another_gradient(lib, lambda ctx, x: x * 1).apply(x)
    y.view(-1).add_(1)
    y.backward()
    assert x.grad.tolist() == [9.0]
