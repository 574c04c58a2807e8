"""State dicts: the named tensors of a module, out and in.

`save_members` and `load_state_dict` are the two directions; `Module.state_dict` and
`Module.load_state_dict` are their front doors. Loading is by name, in place and all or nothing in
its answer: every mismatch found anywhere in the tree goes into one RuntimeError.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

import numpy as np

from ddp.autograd.tensor import Tensor
from ddp.nn.parameter import Parameter, overwrite


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


def save_members(module: Any, destination: StateDict, prefix: str, keep_vars: bool) -> None:
    """Enter one module's own parameters and persistent buffers into `destination`."""
    for name, tensor in persistent_members(module):
        if tensor is not None:
            destination[prefix + name] = tensor if keep_vars else tensor.detach()


def persistent_members(module: Any) -> Iterator[tuple[str, Tensor | None]]:
    """What a state dict says of one module, children apart, in its order."""
    yield from module._parameters.items()
    for name, buffer in module._buffers.items():
        if name not in module._non_persistent_buffers_set:
            yield name, buffer


def load_state_dict(
    module: Any, state_dict: Mapping[str, Any], strict: bool, assign: bool
) -> IncompatibleKeys:
    """See `Module.load_state_dict`."""
    if not isinstance(state_dict, Mapping):
        raise TypeError(f"Expected state_dict to be dict-like, got {type(state_dict)}.")
    missing: list[str] = []
    errors: list[str] = []
    expected: set[str] = set()
    for prefix, submodule in module.named_modules(remove_duplicate=False):
        for name, tensor in persistent_members(submodule):
            key = f"{prefix}.{name}" if prefix else name
            if tensor is None:
                continue
            expected.add(key)
            if key not in state_dict:
                if not _is_older(state_dict, prefix, submodule, name):
                    missing.append(key)
            elif (error := _load_member(submodule, name, key, state_dict[key], assign)) is not None:
                errors.append(error)
    unexpected = [key for key in state_dict if key not in expected]
    if strict and unexpected:
        errors.insert(0, f"Unexpected key(s) in state_dict: {_quoted(unexpected)}. ")
    if strict and missing:
        errors.insert(0, f"Missing key(s) in state_dict: {_quoted(missing)}. ")
    if errors:
        name = type(module).__name__
        raise RuntimeError(f"Error(s) in loading state_dict for {name}:\n\t" + "\n\t".join(errors))
    return IncompatibleKeys(missing, unexpected)


def _is_older(state_dict: Mapping[str, Any], prefix: str, module: Any, name: str) -> bool:
    """Whether the member came to its module after the state dict was saved; it then stays as it is.

    Batch norm counts its batches since version 2. A state dict without versions counts as old.
    """
    versions = getattr(state_dict, "_metadata", None) or {}
    saved = versions.get(prefix, {}).get("version") or 1
    return name == "num_batches_tracked" and bool(saved < 2 <= module._version)


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
