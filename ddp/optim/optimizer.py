"""`Optimizer`: parameter groups, per-parameter state, and the walk over them.

An optimizer is a table of hyper-parameters (`param_groups`, a list of dicts) and a table of state
(`state`, parameter → dict of tensors). A subclass gives the defaults and `_update`, which changes
parameters of one group in place. PyTorch's contract: a parameter whose `grad` is None is passed
over entirely, hyper-parameters may be changed in the groups between steps, `state_dict` numbers the
parameters across the groups.
"""

from __future__ import annotations

import warnings
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from copy import deepcopy
from itertools import chain
from typing import Any

from ddp.autograd.grad_mode import enable_grad
from ddp.autograd.tensor import Tensor
from ddp.optim.denormals import Flushing
from ddp.optim.hooks import OptimizerHooks
from ddp.optim.pieces import Scratch

ParamGroup = dict[str, Any]


class Optimizer(OptimizerHooks):
    """Base of all optimizers.

    `params` is an iterable of tensors, of `(name, tensor)` pairs, or of group dicts with the key
    "params" and any of the hyper-parameters in `defaults`.
    """

    param_groups: list[ParamGroup]
    state: defaultdict[Tensor, dict[str, Any]]
    _stepped: bool | None = None  # since a scheduler began to watch (`lr_scheduler`)

    def __init__(self, params: Iterable[Any], defaults: dict[str, Any]) -> None:
        if isinstance(params, Tensor):
            raise TypeError(
                "params argument given to the optimizer should be an iterable of Tensors or "
                f"dicts, but got {type(params)}"
            )
        super().__init__()
        self.defaults = defaults
        self.state = defaultdict(dict)
        self.param_groups = []
        self._scratch = Scratch()
        groups = _listed(params)
        if not groups:
            raise ValueError("optimizer got an empty parameter list")
        if not isinstance(groups[0], dict):
            groups = [{"params": groups}]
        for group in groups:
            self.add_param_group(group)

    def add_param_group(self, param_group: ParamGroup) -> None:
        """Add a group; hyper-parameters it does not name are the defaults."""
        if not isinstance(param_group, dict):
            raise TypeError(f"param_group must be a dict, but got {type(param_group)}")
        group = dict(param_group)
        params = group["params"]
        members = [params] if isinstance(params, Tensor) else _listed(params)
        names = [member[0] for member in members if isinstance(member, tuple)]
        if names and len(names) != len(members):
            raise ValueError(
                "all optimizer params should be with/without names. Some param names are missing"
            )
        group["params"] = [member[1] if names else member for member in members]
        if names:
            group["param_names"] = names
        if any(("param_names" in other) != bool(names) for other in self.param_groups):
            raise ValueError(
                "all optimizer param groups should be with/without names. cannot add param group "
                f"{'with' if names else 'without'} names to the optimizer"
            )
        self._check_params(group["params"])
        for key, default in self.defaults.items():
            group.setdefault(key, default)
        self.param_groups.append(group)

    def _check_params(self, params: list[Any]) -> None:
        for param in params:
            if not isinstance(param, Tensor):
                raise TypeError(
                    f"optimizer can only optimize Tensors, but one of the params is {type(param)}"
                )
            if not param.is_leaf:
                raise ValueError("can't optimize a non-leaf Tensor")
        if len(set(params)) != len(params):
            warnings.warn(
                "optimizer contains a parameter group with duplicate parameters", stacklevel=4
            )
        held = set(chain.from_iterable(group["params"] for group in self.param_groups))
        if not held.isdisjoint(params):
            raise ValueError("some parameters appear in more than one parameter group")

    def zero_grad(self, set_to_none: bool = True) -> None:
        """Forget the gradients of all parameters, or fill them with zeros in place."""
        for param in chain.from_iterable(group["params"] for group in self.param_groups):
            if set_to_none:
                param._grad = None
            elif param.grad is not None:
                if param.grad.grad_fn is not None:
                    param.grad.detach_()
                param.grad.requires_grad_(False).zero_()

    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """Update every parameter that has a gradient; returns what `closure` returned, if given."""
        loss = None
        if closure is not None:
            with enable_grad():
                loss = closure()
        with Flushing():
            for group in self.param_groups:
                params = [param for param in group["params"] if param._grad is not None]
                if params:
                    self._update(params, _with_numbers(group))
                    for param in params:
                        param._version_cell[0] += 1
        return loss

    def _update(self, params: Sequence[Tensor], group: ParamGroup) -> None:
        """Change these parameters, all with a gradient, in place, with the group's values."""
        raise NotImplementedError

    # -- state -----------------------------------------------------------------------------------

    def state_dict(self) -> dict[str, Any]:
        """`{"state": {number: {...}}, "param_groups": [{..., "params": [numbers]}]}`.

        Parameters are numbered across the groups in order; state tensors are shared, not copied.
        """
        for hook in tuple(self._state_dict_pre_hooks.values()):
            hook(self)
        numbers = {id(p): n for n, p in enumerate(self._all_params(self.param_groups))}
        groups = [
            {**group, "params": [numbers[id(param)] for param in group["params"]]}
            for group in self.param_groups
        ]
        state = {numbers[id(param)]: held for param, held in self.state.items()}
        return self._through_hooks(
            self._state_dict_post_hooks, {"state": state, "param_groups": groups}
        )

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        """Take over state and hyper-parameters; tensors are copied into the parameters' dtype.

        Raises ValueError when the groups differ in number or size.
        """
        state_dict = self._through_hooks(self._load_state_dict_pre_hooks, dict(state_dict))
        groups = [dict(group) for group in state_dict["param_groups"]]
        if len(groups) != len(self.param_groups):
            raise ValueError("loaded state dict has a different number of parameter groups")
        for own, loaded in zip(self.param_groups, groups, strict=True):
            if len(own["params"]) != len(loaded["params"]):
                raise ValueError(
                    "loaded state dict contains a parameter group that doesn't match the size of "
                    "optimizer's group"
                )
        params = dict(
            zip(self._all_params(groups), self._all_params(self.param_groups), strict=True)
        )
        state: defaultdict[Tensor, dict[str, Any]] = defaultdict(dict)
        for number, held in state_dict["state"].items():
            param = params[number]
            state[param] = {key: _adopt(key, value, param) for key, value in held.items()}
        for own, loaded in zip(self.param_groups, groups, strict=True):
            loaded.pop("params")
            own.update(deepcopy(loaded))
        self.state = state
        for hook in tuple(self._load_state_dict_post_hooks.values()):
            hook(self)

    @staticmethod
    def _all_params(groups: list[ParamGroup]) -> list[Any]:
        return list(chain.from_iterable(group["params"] for group in groups))

    def __repr__(self) -> str:
        lines = [f"{type(self).__name__} ("]
        for number, group in enumerate(self.param_groups):
            lines.append(f"Parameter Group {number}")
            lines += [f"    {key}: {group[key]}" for key in sorted(group) if key != "params"]
        return "\n".join([*lines, ")"])


def _listed(params: Any) -> list[Any]:
    """A list of an ordered collection; a set would make the numbering random."""
    if isinstance(params, set | frozenset):
        raise TypeError(
            "optimizer parameters need to be organized in ordered collections, but the ordering "
            "of tensors in sets will change between runs. Please use a list instead."
        )
    return list(params)


def _with_numbers(group: ParamGroup) -> ParamGroup:
    """The group, with its learning rate and betas as numbers where they are tensors."""
    if isinstance(lr := group.get("lr"), Tensor):
        group = {**group, "lr": lr.item()}
    betas = group.get("betas")
    if betas is not None and any(isinstance(beta, Tensor) for beta in betas):
        group = {**group, "betas": tuple(float(beta) for beta in betas)}
    return group


def _adopt(key: str, value: Any, param: Tensor) -> Any:
    """A loaded state value as ours: a copy in the parameter's dtype (`step` keeps its own)."""
    if isinstance(value, list | tuple):
        return type(value)(_adopt(key, member, param) for member in value)
    if not isinstance(value, Tensor):
        return deepcopy(value)
    dtype = value.array.dtype if key == "step" else param.array.dtype
    return Tensor(value.array.astype(dtype))
