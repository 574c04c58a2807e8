"""State dicts: the named tensors of a module, out and in, and the hooks around both.

Each module saves and loads what is its own, `_save_to_state_dict` and `_load_from_state_dict`,
which subclasses may override as in PyTorch; children follow. Loading is by name and in place; every
mismatch found anywhere in the tree goes into one RuntimeError.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple

import numpy as np

from ddp.autograd.hooks import HookDict, RemovableHandle, register
from ddp.autograd.tensor import Tensor
from ddp.nn.members import Members
from ddp.nn.parameter import Parameter, overwrite

EXTRA_STATE = "_extra_state"
HOOKS = (
    "_state_dict_pre_hooks",
    "_state_dict_hooks",
    "_load_state_dict_pre_hooks",
    "_load_state_dict_post_hooks",
)


class StateDict(OrderedDict[str, Any]):
    """Dotted name → tensor; `_metadata` maps a module's name to its format version."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._metadata: dict[str, dict[str, Any]] = {}


class IncompatibleKeys(NamedTuple):
    """What `load_state_dict` found on one side only."""

    missing_keys: list[str]
    unexpected_keys: list[str]

    def __repr__(self) -> str:
        if not self.missing_keys and not self.unexpected_keys:
            return "<All keys matched successfully>"
        return (
            f"_IncompatibleKeys(missing_keys={self.missing_keys}, "
            f"unexpected_keys={self.unexpected_keys})"
        )


class StateDicts(Members):
    """What `Module` has for saving and loading."""

    _version = 1
    _state_dict_pre_hooks: HookDict
    _state_dict_hooks: HookDict
    _load_state_dict_pre_hooks: HookDict
    _load_state_dict_post_hooks: HookDict

    def __init__(self) -> None:
        super().__init__()
        self.__dict__.update({name: OrderedDict() for name in HOOKS})

    def state_dict(
        self,
        *,
        destination: StateDict | None = None,
        prefix: str = "",
        keep_vars: bool = False,
    ) -> StateDict:
        """Dotted name → tensor for all parameters and persistent buffers; tied names all appear.

        The tensors are detached and share memory with the module; `keep_vars` gives the
        parameters themselves. `_metadata` holds the version of each module's format.
        """
        destination = StateDict() if destination is None else destination
        metadata = {"version": self._version}
        destination._metadata[prefix[:-1]] = metadata
        for hook in self._state_dict_pre_hooks.values():
            hook(self, prefix, keep_vars)
        self._save_to_state_dict(destination, prefix, keep_vars)
        for name, child in self._modules.items():
            if child is not None:
                child.state_dict(
                    destination=destination, prefix=f"{prefix}{name}.", keep_vars=keep_vars
                )
        for hook in self._state_dict_hooks.values():
            answer = hook(self, destination, prefix, metadata)
            destination = destination if answer is None else answer
        return destination

    def load_state_dict(
        self, state_dict: Mapping[str, Any], strict: bool = True, assign: bool = False
    ) -> IncompatibleKeys:
        """Copy values into this module's tensors, in place, in the tensors' own dtype.

        With `assign` the given tensors take the place of the module's. Raises RuntimeError when
        shapes differ, and when keys are missing or left over unless `strict` is False.
        """
        if not isinstance(state_dict, Mapping):
            raise TypeError(f"Expected state_dict to be dict-like, got {type(state_dict)}.")
        loading = _Loading(getattr(state_dict, "_metadata", None) or {}, assign)
        loading.load(self, dict(state_dict), "")
        errors = loading.errors
        if strict and loading.unexpected:
            errors.insert(0, f"Unexpected key(s) in state_dict: {_quoted(loading.unexpected)}. ")
        if strict and loading.missing:
            errors.insert(0, f"Missing key(s) in state_dict: {_quoted(loading.missing)}. ")
        if errors:
            title = f"Error(s) in loading state_dict for {type(self).__name__}:"
            raise RuntimeError("\n\t".join([title, *errors]))
        return IncompatibleKeys(loading.missing, loading.unexpected)

    def _save_to_state_dict(self, destination: StateDict, prefix: str, keep_vars: bool) -> None:
        """Enter this module's own parameters and persistent buffers, and its extra state."""
        for name, tensor in _persistent_members(self):
            if tensor is not None:
                destination[prefix + name] = tensor if keep_vars else tensor.detach()
        if _has_extra_state(self):
            destination[prefix + EXTRA_STATE] = self.get_extra_state()

    def _load_from_state_dict(
        self,
        state_dict: dict[str, Any],
        prefix: str,
        local_metadata: dict[str, Any],
        strict: bool,
        missing_keys: list[str],
        unexpected_keys: list[str],
        error_msgs: list[str],
    ) -> None:
        """Load this module's own members from the keys that begin with `prefix`.

        What is missing, left over or of another shape is added to the three lists.
        """
        assign = local_metadata.get("assign_to_params_buffers", False)
        own = {name: tensor for name, tensor in _persistent_members(self) if tensor is not None}
        for name in own:
            key = prefix + name
            if key not in state_dict:
                missing_keys.append(key)
            elif (error := _load_member(self, name, key, state_dict[key], assign)) is not None:
                error_msgs.append(error)
        known = {*own, *self._modules}
        if _has_extra_state(self):
            known.add(EXTRA_STATE)
            if prefix + EXTRA_STATE in state_dict:
                self.set_extra_state(state_dict[prefix + EXTRA_STATE])
            else:
                missing_keys.append(prefix + EXTRA_STATE)
        for key in state_dict:
            if key.startswith(prefix):
                name, dot, _ = key[len(prefix) :].partition(".")
                if name not in (self._modules if dot else known):
                    unexpected_keys.append(key)

    def get_extra_state(self) -> Any:
        """What a subclass wants saved beside its tensors, under the key `_extra_state`."""
        raise NotImplementedError(f"{type(self).__name__} has no extra state")

    def set_extra_state(self, state: Any) -> None:
        """Take back what `get_extra_state` gave."""
        raise NotImplementedError(f"{type(self).__name__} has no extra state")

    def register_state_dict_pre_hook(self, hook: Callable[..., None]) -> RemovableHandle:
        """Run `hook(module, prefix, keep_vars)` before `state_dict` reads the module."""
        return register(self._state_dict_pre_hooks, hook)

    def register_state_dict_post_hook(self, hook: Callable[..., Any]) -> RemovableHandle:
        """Run `hook(module, state_dict, prefix, local_metadata)` after; it may change the dict."""

        def changing(*args: Any) -> None:
            if hook(*args) is not None:
                raise RuntimeError("state_dict post-hook must return None")

        return register(self._state_dict_hooks, changing)

    def _register_state_dict_hook(self, hook: Callable[..., Any]) -> RemovableHandle:
        """The older form of a post-hook: a dict that it returns takes the place of the given."""
        return register(self._state_dict_hooks, hook)

    def register_load_state_dict_pre_hook(self, hook: Callable[..., None]) -> RemovableHandle:
        """Run `hook(module, state_dict, prefix, local_metadata, strict, missing_keys,
        unexpected_keys, error_msgs)` before the module loads its part; it may change the dict."""
        return self._register_load_state_dict_pre_hook(hook, with_module=True)

    def _register_load_state_dict_pre_hook(
        self, hook: Callable[..., None], with_module: bool = False
    ) -> RemovableHandle:
        """The same, without the module as first argument unless `with_module`."""

        def without_module(module: StateDicts, *args: Any) -> None:
            hook(*args)

        return register(self._load_state_dict_pre_hooks, hook if with_module else without_module)

    def register_load_state_dict_post_hook(self, hook: Callable[..., None]) -> RemovableHandle:
        """Run `hook(module, incompatible_keys)` when the module and its children are loaded.

        The two lists may be changed in place, and `strict` goes by what they then say.
        """
        return register(self._load_state_dict_post_hooks, hook)


class _Loading:
    """One call of `load_state_dict` on its way through the tree."""

    def __init__(self, metadata: Mapping[str, dict[str, Any]], assign: bool) -> None:
        self.metadata = metadata
        self.assign = assign
        self.missing: list[str] = []
        self.unexpected: list[str] = []
        self.errors: list[str] = []

    def load(self, module: Any, state_dict: dict[str, Any], prefix: str) -> None:
        """The module, from the keys that begin with `prefix`, then its children."""
        own = dict(self.metadata.get(prefix[:-1], {}))
        if self.assign:
            own["assign_to_params_buffers"] = True
        found = (state_dict, prefix, own, True, self.missing, self.unexpected, self.errors)
        for hook in module._load_state_dict_pre_hooks.values():
            hook(module, *found)
        module._load_from_state_dict(*found)
        for name, child in module._modules.items():
            if child is not None:
                path = f"{prefix}{name}."
                below = {key: value for key, value in state_dict.items() if key.startswith(path)}
                self.load(child, below, path)
        for hook in module._load_state_dict_post_hooks.values():
            if hook(module, IncompatibleKeys(self.missing, self.unexpected)) is not None:
                raise AssertionError(
                    "Hooks registered with ``register_load_state_dict_post_hook`` are not expected "
                    "to return new values, if incompatible_keys need to be modified, it should be "
                    "done inplace."
                )


def _has_extra_state(module: StateDicts) -> bool:
    return type(module).get_extra_state is not StateDicts.get_extra_state


def _persistent_members(module: StateDicts) -> Iterator[tuple[str, Tensor | None]]:
    """What a state dict says of one module, children apart, in its order."""
    yield from module._parameters.items()
    for name, buffer in module._buffers.items():
        if name not in module._non_persistent_buffers_set:
            yield name, buffer


def _load_member(module: Any, name: str, key: str, value: Any, assign: bool) -> str | None:
    """Load one tensor; answers with the sentence that says why it could not be done."""
    target = getattr(module, name)
    if isinstance(value, np.ndarray):  # as safetensors and npz files give them
        value = Tensor(value)
    if not isinstance(value, Tensor):
        return (
            f'While copying the parameter named "{key}", expected a Tensor or an ndarray '
            f"from checkpoint object but received {type(value)}"
        )
    if value.shape != target.shape:
        return (
            f"size mismatch for {key}: copying a param with shape {value.shape} from checkpoint, "
            f"the shape in current model is {target.shape}."
        )
    if assign:
        _assign_member(module, name, target, value)
    else:
        overwrite(target, value.array)
    return None


def _assign_member(module: Any, name: str, target: Tensor, value: Tensor) -> None:
    if isinstance(target, Parameter) and not isinstance(value, Parameter):
        value = Parameter(value, requires_grad=target.requires_grad)
    setattr(module, name, value)


def _quoted(keys: list[str]) -> str:
    return ", ".join(f'"{key}"' for key in keys)
