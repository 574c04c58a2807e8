"""PyTorch's optimizers and schedulers: construction, golden values, state dicts, schedules."""

from __future__ import annotations

import inspect
import math
import warnings
from typing import Any

import pytest

Lib = Any


def parameters(lib: Lib, *shapes: int) -> list[Any]:
    return [lib.nn.Parameter(lib.ones(n)) for n in shapes]


# -- construction -------------------------------------------------------------------------------


def test_parameters_come_as_a_list_as_named_pairs_or_as_groups(lib: Lib) -> None:
    a, b = parameters(lib, 1, 1)
    sgd = lib.optim.SGD
    assert sgd([a, b]).param_groups[0]["params"] == [a, b]
    assert sgd(lib.nn.Linear(1, 1).named_parameters()).param_groups[0]["param_names"] == [
        "weight", "bias",
    ]  # fmt: skip
    groups = sgd([{"params": [a], "lr": 0.5}, {"params": b}], lr=0.1).param_groups
    assert [group["lr"] for group in groups] == [0.5, 0.1]


@pytest.mark.parametrize(
    ("make", "error", "words"),
    [
        (lambda t, p: t.SGD([]), ValueError, "optimizer got an empty parameter list"),
        (lambda t, p: t.SGD(p[0]), TypeError, "params argument given to the optimizer should be"),
        (lambda t, p: t.SGD([p[0] * 2]), ValueError, "can't optimize a non-leaf Tensor"),
        (lambda t, p: t.SGD([{"params": p}, {"params": p}]), ValueError,
         "some parameters appear in more than one parameter group"),
        (lambda t, p: t.SGD([{"params": set(p)}]), TypeError, "ordered collections"),
        (lambda t, p: t.SGD(p, lr=-1), ValueError, "Invalid learning rate: -1"),
        (lambda t, p: t.SGD(p, momentum=-1), ValueError, "Invalid momentum value: -1"),
        (lambda t, p: t.SGD(p, weight_decay=-1), ValueError, "Invalid weight_decay value: -1"),
        (lambda t, p: t.SGD(p, nesterov=True), ValueError,
         "Nesterov momentum requires a momentum and zero dampening"),
        (lambda t, p: t.SGD(p, momentum=0.9, dampening=0.1, nesterov=True), ValueError,
         "Nesterov momentum requires"),
        (lambda t, p: t.Adam(p, betas=(1.0, 0.9)), ValueError, "Invalid beta parameter at index 0"),
        (lambda t, p: t.Adam(p, eps=-1), ValueError, "Invalid epsilon value: -1"),
    ],
)  # fmt: skip
def test_what_cannot_be_is_refused(lib: Lib, make: Any, error: Any, words: str) -> None:
    with pytest.raises(error, match=words):
        make(lib.optim, parameters(lib, 1))


def test_a_parameter_twice_in_a_group_is_warned_of(lib: Lib) -> None:
    (p,) = parameters(lib, 1)
    with pytest.warns(UserWarning, match="optimizer contains a parameter group with duplicate par"):
        lib.optim.SGD([p, p])


DEFAULTS = {
    "SGD": {"lr": 1e-3, "momentum": 0, "dampening": 0, "weight_decay": 0, "nesterov": False},
    "Adam": {"lr": 1e-3, "betas": (0.9, 0.999), "eps": 1e-8, "weight_decay": 0, "amsgrad": False},
    "AdamW": {"lr": 1e-3, "betas": (0.9, 0.999), "eps": 1e-8, "weight_decay": 1e-2},
    "RMSprop": {"lr": 1e-2, "alpha": 0.99, "eps": 1e-8, "momentum": 0, "centered": False},
    "Adagrad": {"lr": 1e-2, "lr_decay": 0, "initial_accumulator_value": 0, "eps": 1e-10},
    "Adadelta": {"lr": 1.0, "rho": 0.9, "eps": 1e-6},
}


@pytest.mark.parametrize("name", DEFAULTS)
def test_defaults_are_pytorchs(lib: Lib, name: str) -> None:
    optimizer = getattr(lib.optim, name)(parameters(lib, 1))
    assert optimizer.defaults.items() >= DEFAULTS[name].items()
    assert optimizer.param_groups[0].items() >= DEFAULTS[name].items()
    if name in ("Adam", "AdamW"):
        assert optimizer.param_groups[0]["decoupled_weight_decay"] is (name == "AdamW")


def test_fused_is_a_keyword_that_programs_look_for(lib: Lib) -> None:
    assert "fused" in inspect.signature(lib.optim.AdamW).parameters


# -- steps --------------------------------------------------------------------------------------


def test_zero_grad_forgets_or_zeroes(lib: Lib) -> None:
    (p,) = parameters(lib, 2)
    optimizer = lib.optim.SGD([p], lr=0.1)
    p.grad = gradient = lib.ones(2)
    optimizer.zero_grad(set_to_none=False)
    assert p.grad is gradient
    assert gradient.tolist() == [0.0, 0.0]
    optimizer.zero_grad()
    assert p.grad is None


def test_a_parameter_without_gradient_is_passed_over(lib: Lib) -> None:
    used, unused = parameters(lib, 1, 1)
    optimizer = lib.optim.AdamW([used, unused], weight_decay=0.5)
    used.grad = lib.ones(1)
    optimizer.step()
    assert unused.item() == 1.0
    assert unused not in optimizer.state
    assert used in optimizer.state


def test_step_runs_a_closure_with_gradients_and_gives_its_value(lib: Lib) -> None:
    (p,) = parameters(lib, 1)
    optimizer = lib.optim.SGD([p], lr=0.1)

    def closure() -> Any:
        optimizer.zero_grad()
        loss = (p * p).sum()
        loss.backward()
        return loss

    with lib.no_grad():
        assert optimizer.step(closure).item() == 1.0
    assert p.item() == pytest.approx(0.8)
    assert optimizer.step() is None


def test_a_step_between_forward_and_backward_is_noticed(lib: Lib) -> None:
    (p,) = parameters(lib, 1)
    optimizer = lib.optim.SGD([p], lr=0.1)
    loss, p.grad = (p * p).sum(), lib.ones(1)
    version = p._version
    optimizer.step()
    assert p._version > version
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        loss.backward()


def test_maximising_negates_before_the_decay_is_added(lib: Lib) -> None:
    (p,) = parameters(lib, 1)
    p.grad = lib.ones(1)
    lib.optim.SGD([p], lr=0.1, weight_decay=0.1, maximize=True).step()
    assert p.item() == pytest.approx(1.09)


GOLDEN = [
    ("SGD", {"momentum": 0.9}, [0.9, 0.61, 0.048999]),
    ("SGD", {"momentum": 0.9, "dampening": 0.5}, [0.9, 0.71, 0.389]),
    ("SGD", {"momentum": 0.9, "nesterov": True, "weight_decay": 0.1}, [0.791, 0.306871, -0.517557]),
    ("Adam", {}, [0.9, 0.803482, 0.707682]),
    ("AdamW", {"weight_decay": 0.5}, [0.85, 0.710982, 0.579633]),
    ("Adam", {"weight_decay": 0.5, "amsgrad": True}, [0.9, 0.801553, 0.70365]),
    ("RMSprop", {}, [6e-8, -0.895323, -1.698827]),
    ("RMSprop", {"centered": True, "momentum": 0.9}, [-0.005038, -1.813025, -4.254155]),
    ("Adagrad", {}, [0.9, 0.810557, 0.730379]),
]  # fmt: skip


@pytest.mark.parametrize(("name", "options", "expected"), GOLDEN)
def test_three_steps(lib: Lib, name: str, options: dict[str, Any], expected: list[float]) -> None:
    first, second = lib.nn.Parameter(lib.tensor([1.0, 2.0])), lib.nn.Parameter(lib.tensor([3.0]))
    optimizer = getattr(lib.optim, name)([first, second], lr=0.1, **options)
    found = []
    for gradient in (1.0, 2.0, 3.0):
        first.grad, second.grad = lib.full((2,), gradient), lib.full((1,), gradient)
        optimizer.step()
        found.append(first[0].item())
    assert found == pytest.approx(expected, abs=1e-6, rel=2e-6)


# -- state --------------------------------------------------------------------------------------

STATES = [
    ("SGD", {}, set()),
    ("SGD", {"momentum": 0.9}, {"momentum_buffer"}),
    ("Adam", {}, {"step", "exp_avg", "exp_avg_sq"}),
    ("AdamW", {"amsgrad": True}, {"step", "exp_avg", "exp_avg_sq", "max_exp_avg_sq"}),
    ("RMSprop", {"momentum": 0.9, "centered": True},
     {"step", "square_avg", "momentum_buffer", "grad_avg"}),
    ("Adagrad", {}, {"step", "sum"}),
    ("Adadelta", {}, {"step", "square_avg", "acc_delta"}),
]  # fmt: skip


@pytest.mark.parametrize(("name", "options", "keys"), STATES)
def test_the_state_of_a_parameter(lib: Lib, name: str, options: Any, keys: set[str]) -> None:
    (p,) = parameters(lib, 2)
    optimizer = getattr(lib.optim, name)([p], **options)
    assert bool(optimizer.state) is (name == "Adagrad")  # which makes its sums when constructed
    p.grad = lib.ones(2)
    optimizer.step()
    state = {k: v for k, v in optimizer.state[p].items() if v is not None}
    assert set(state) == keys
    if "step" in keys:
        step = state["step"]
        assert (step.item(), step.shape, step.dtype) == (1.0, (), lib.float32)


def test_a_state_dict_numbers_parameters_across_groups(lib: Lib) -> None:
    a, b, c = parameters(lib, 1, 2, 3)
    optimizer = lib.optim.Adam([{"params": [a, b]}, {"params": [c], "lr": 0.5}])
    for p in (a, b, c):
        p.grad = lib.ones(len(p))
    optimizer.step()
    saved = optimizer.state_dict()
    assert set(saved) == {"state", "param_groups"}
    assert list(saved["state"]) == [0, 1, 2]
    assert [group["params"] for group in saved["param_groups"]] == [[0, 1], [2]]
    assert [group["lr"] for group in saved["param_groups"]] == [1e-3, 0.5]


def test_loading_takes_hyper_parameters_and_casts_state(lib: Lib) -> None:
    (p,) = parameters(lib, 2)
    p.grad = lib.ones(2)
    source = lib.optim.Adam([p], lr=0.25)
    source.step()
    double = lib.nn.Parameter(lib.ones(2, dtype=lib.float64))
    target = lib.optim.Adam([double])
    target.load_state_dict(source.state_dict())
    assert target.param_groups[0]["lr"] == 0.25
    state = target.state[double]
    assert (state["exp_avg"].dtype, state["step"].dtype) == (lib.float64, lib.float32)
    assert state["exp_avg"].tolist() == pytest.approx([0.1, 0.1])


def test_a_state_dict_of_another_form_is_refused(lib: Lib) -> None:
    one, two = lib.optim.SGD(parameters(lib, 1)), lib.optim.SGD(parameters(lib, 1, 1))
    with pytest.raises(ValueError, match="doesn't match the size of optimizer's group"):
        one.load_state_dict(two.state_dict())
    groups = lib.optim.SGD([{"params": parameters(lib, 1)}, {"params": parameters(lib, 1)}])
    with pytest.raises(ValueError, match="loaded state dict has a different number of parameter g"):
        one.load_state_dict(groups.state_dict())


def test_hooks_of_an_optimizer(lib: Lib) -> None:
    (p,), seen = parameters(lib, 1), []
    optimizer = lib.optim.SGD([p], lr=0.1)
    optimizer.register_step_pre_hook(lambda o, args, kwargs: seen.append("before step"))
    optimizer.register_step_post_hook(lambda o, args, kwargs: seen.append("after step"))
    optimizer.register_state_dict_pre_hook(lambda o: seen.append("before saving"))
    optimizer.register_state_dict_post_hook(lambda o, state: seen.append("after saving"))
    optimizer.register_load_state_dict_pre_hook(lambda o, state: seen.append("before loading"))
    optimizer.register_load_state_dict_post_hook(lambda o: seen.append("after loading"))
    optimizer.step()
    optimizer.load_state_dict(optimizer.state_dict())
    assert seen == [f"{when} {what}" for what in ("step", "saving", "loading")
                    for when in ("before", "after")]  # fmt: skip


# -- schedulers ---------------------------------------------------------------------------------

HALF = math.sqrt(0.5)
SCHEDULES: dict[str, tuple[Any, list[float]]] = {
    "StepLR": (lambda s, o: s.StepLR(o, 2, 0.1), [1, 1, 0.1, 0.1, 0.01]),
    "MultiStepLR": (lambda s, o: s.MultiStepLR(o, [1, 3], 0.1), [1, 0.1, 0.1, 0.01, 0.01]),
    "LambdaLR": (lambda s, o: s.LambdaLR(o, lambda n: 1 / (n + 1)), [1, 1 / 2, 1 / 3, 1 / 4]),
    "MultiplicativeLR": (lambda s, o: s.MultiplicativeLR(o, lambda n: 0.5), [1, 0.5, 0.25]),
    "ConstantLR": (lambda s, o: s.ConstantLR(o), [1 / 3] * 5 + [1, 1]),
    "LinearLR": (lambda s, o: s.LinearLR(o),
                 [0.333333, 0.466667, 0.6, 0.733333, 0.866667, 1, 1]),
    "ExponentialLR": (lambda s, o: s.ExponentialLR(o, 0.5), [1, 0.5, 0.25, 0.125]),
    "PolynomialLR": (lambda s, o: s.PolynomialLR(o, 4, 2), [1, 9 / 16, 4 / 16, 1 / 16, 0, 0]),
    "CosineAnnealingLR": (lambda s, o: s.CosineAnnealingLR(o, 4),
                          [1, 0.853553, 0.5, 0.146447, 0, 0.146447]),
    "CosineAnnealingWarmRestarts": (
        lambda s, o: s.CosineAnnealingWarmRestarts(o, 3, 2),
        [1, 0.75, 0.25, 1, 0.933013, 0.75, 0.5, 0.25, 0.066987]),
    "CyclicLR": (lambda s, o: s.CyclicLR(o, 0.1, 1, 2, cycle_momentum=False),
                 [0.1, 0.55, 1, 0.55, 0.1, 0.55]),
    "OneCycleLR": (lambda s, o: s.OneCycleLR(o, 1, 10),
                   [0.04, 0.52, 1, 0.950485, 0.811746, 0.611262, 0.388742, 0.188258, 0.049519]),
    "SequentialLR": (
        lambda s, o: s.SequentialLR(o, [s.LinearLR(o, 0.1, 1, 3), s.CosineAnnealingLR(o, 4)], [3]),
        [0.1, 0.4, 0.7, 1, 0.853553]),
    "ChainedScheduler": (
        lambda s, o: s.ChainedScheduler([s.ExponentialLR(o, 0.5), s.ConstantLR(o, 0.1, 2)]),
        [0.1, 0.05, 0.25, 0.125]),
}  # fmt: skip


@pytest.mark.parametrize("name", SCHEDULES)
@pytest.mark.filterwarnings("ignore:.*epoch parameter in `scheduler.step")
def test_the_rates_of_a_schedule(lib: Lib, name: str) -> None:
    make, expected = SCHEDULES[name]
    momentum = {"momentum": 0.9} if name == "OneCycleLR" else {}
    optimizer = lib.optim.SGD(parameters(lib, 1), lr=1.0, **momentum)
    scheduler = make(lib.optim.lr_scheduler, optimizer)
    found = []
    for _ in expected:
        found.append(optimizer.param_groups[0]["lr"])
        assert scheduler.get_last_lr() == [found[-1]]
        optimizer.step()
        scheduler.step()
    assert found == pytest.approx(expected, abs=1e-6)


def test_a_plateau_lowers_the_rate(lib: Lib) -> None:
    optimizer = lib.optim.SGD(parameters(lib, 1), lr=1.0)
    scheduler = lib.optim.lr_scheduler.ReduceLROnPlateau(optimizer, factor=0.1, patience=1)
    rates = []
    for loss in (5.0, 4.0, 4.0, 4.0, 4.0, 4.0):
        scheduler.step(loss)
        rates.append(optimizer.param_groups[0]["lr"])
    assert rates == pytest.approx([1, 1, 1, 0.1, 0.1, 0.01])


def test_a_scheduler_marks_the_groups_and_saves_what_it_counts(lib: Lib) -> None:
    optimizer = lib.optim.SGD(parameters(lib, 1), lr=0.5)
    scheduler = lib.optim.lr_scheduler.StepLR(optimizer, 1)
    assert optimizer.param_groups[0]["initial_lr"] == 0.5
    optimizer.step()
    scheduler.step()
    state = scheduler.state_dict()
    assert state.items() >= {"base_lrs": [0.5], "last_epoch": 1, "_step_count": 2}.items()
    assert state["_last_lr"] == pytest.approx([0.05])
    again = lib.optim.lr_scheduler.StepLR(lib.optim.SGD(parameters(lib, 1), lr=0.5), 1)
    again.load_state_dict(state)
    assert again.last_epoch == 1


def test_a_scheduler_before_its_optimizer_is_warned_of(lib: Lib) -> None:
    optimizer = lib.optim.SGD(parameters(lib, 1), lr=0.5)
    scheduler = lib.optim.lr_scheduler.StepLR(optimizer, 1)
    with pytest.warns(UserWarning, match=r"`lr_scheduler.step\(\)` before `optimizer.step\(\)`"):
        scheduler.step()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        optimizer.step()
        scheduler.step()
