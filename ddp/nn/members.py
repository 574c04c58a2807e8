"""What a module's attributes are: parameters, buffers and children, by name.

Assigning a `Parameter` or a module registers it; a registered name can only be given a value of its
kind, or None. The registries are plain dictionaries in `__dict__`, and attribute access falls
through to them when the ordinary look-up finds nothing.
"""

from __future__ import annotations

from collections import OrderedDict
from itertools import chain
from typing import Any

from ddp.autograd.dtypes import message_name
from ddp.autograd.hooks import HookDict
from ddp.autograd.tensor import Tensor
from ddp.nn.parameter import Parameter

REGISTRIES = ("_parameters", "_buffers", "_modules")
# Hooks of all modules, called with (module, name, member) when one is registered.
REGISTRATION_HOOKS: dict[str, HookDict] = {registry: OrderedDict() for registry in REGISTRIES}


class Members:
    """The registries of a module and the rules of assignment. `Module` is its only subclass."""

    _parameters: dict[str, Parameter | None]
    _buffers: dict[str, Tensor | None]
    _non_persistent_buffers_set: set[str]
    _modules: dict[str, Any]  # each a Module or None

    def __init__(self) -> None:
        self.__dict__.update(
            _parameters={}, _buffers={}, _non_persistent_buffers_set=set(), _modules={}
        )

    def __getattr__(self, name: str) -> Any:
        members = self.__dict__
        for registry in REGISTRIES:
            held = members.get(registry)
            if held and name in held:
                return held[name]
        raise AttributeError(f"'{type(self).__name__}' object has no attribute '{name}'")

    def _weight_and_bias(self) -> tuple[Any, Any]:
        """The two of a layer, a microsecond sooner than attributes that are none are looked up."""
        own = self._parameters
        try:
            return own["weight"], own["bias"]
        except KeyError:  # something else has taken a parameter's place
            return self.weight, self.bias

    def __setattr__(self, name: str, value: Any) -> None:
        members = self.__dict__
        if isinstance(value, Parameter):
            self._require_init("parameters")
            self._forget(name, keep="_parameters")
            self.register_parameter(name, value)
        elif isinstance(value, Members):
            self._require_init("module")
            self._forget(name, keep="_modules")
            self.register_module(name, value)
        elif (registry := self._registry_of(name)) is not None:
            self._check_replacement(registry, name, value)
            members[registry][name] = value
        else:
            object.__setattr__(self, name, value)

    def __delattr__(self, name: str) -> None:
        registry = self._registry_of(name)
        if registry is None:
            object.__delattr__(self, name)
        else:
            del self.__dict__[registry][name]
            self._non_persistent_buffers_set.discard(name)

    def __dir__(self) -> list[str]:
        own = chain.from_iterable(self.__dict__[registry] for registry in REGISTRIES)
        names = chain(dir(type(self)), self.__dict__, own)
        return sorted({name for name in names if not name[0].isdigit()})

    def _require_init(self, what: str) -> None:
        if "_parameters" not in self.__dict__:
            raise AttributeError(f"cannot assign {what} before Module.__init__() call")

    def _registry_of(self, name: str) -> str | None:
        members = self.__dict__
        for registry in REGISTRIES:
            if registry in members and name in members[registry]:
                return registry
        return None

    def _forget(self, name: str, keep: str) -> None:
        """Remove `name` wherever else it is kept; in `keep` it holds its place in the order."""
        self.__dict__.pop(name, None)
        for registry in REGISTRIES:
            if registry != keep:
                self.__dict__[registry].pop(name, None)
        self._non_persistent_buffers_set.discard(name)

    @staticmethod
    def _check_replacement(registry: str, name: str, value: Any) -> None:
        kind, expected = {
            "_parameters": ("parameter", "ddp.nn.Parameter"),
            "_buffers": ("buffer", "ddp.Tensor"),
            "_modules": ("child module", "ddp.nn.Module"),
        }[registry]
        if value is None or (registry == "_buffers" and isinstance(value, Tensor)):
            return
        raise TypeError(
            f"cannot assign '{_typename(value)}' as {kind} '{name}' ({expected} or None expected)"
        )

    def register_parameter(self, name: str, param: Parameter | None) -> None:
        """Add a parameter under `name` (no dots); `None` keeps the place without a parameter."""
        self._require_init("parameter")
        self._check_name("parameter", name, "_parameters")
        if param is not None and not isinstance(param, Parameter):
            raise TypeError(
                f"cannot assign '{_typename(param)}' object to parameter '{name}' "
                "(ddp.nn.Parameter or None required)"
            )
        if param is not None and param.grad_fn is not None:
            raise ValueError(
                f"Cannot assign non-leaf Tensor to parameter '{name}'. Model parameters must be "
                f"created explicitly. To express '{name}' as a function of another Tensor, "
                "compute the value in the forward() method."
            )
        self._parameters[name] = self._passed("_parameters", name, param)

    def register_buffer(self, name: str, tensor: Tensor | None, persistent: bool = True) -> None:
        """Add a tensor that is state but no parameter; only persistent ones are saved."""
        self._require_init("buffer")
        self._check_name("buffer", name, "_buffers")
        if tensor is not None and not isinstance(tensor, Tensor):
            raise TypeError(
                f"cannot assign '{_typename(tensor)}' object to buffer '{name}' "
                "(ddp.Tensor or None required)"
            )
        self._buffers[name] = self._passed("_buffers", name, tensor)
        if persistent:
            self._non_persistent_buffers_set.discard(name)
        else:
            self._non_persistent_buffers_set.add(name)

    def add_module(self, name: str, module: Any) -> None:
        """Add a child module under `name`."""
        self._require_init("module")
        if module is not None and not isinstance(module, Members):
            raise TypeError(f"{_typename(module)} is not a Module subclass")
        self._check_name("module", name, "_modules")
        self._modules[name] = self._passed("_modules", name, module)

    def register_module(self, name: str, module: Any) -> None:
        """The same as `add_module`."""
        self.add_module(name, module)

    def _passed(self, registry: str, name: str, member: Any) -> Any:
        """The member, or what the registration hooks of all modules put in its place."""
        for hook in REGISTRATION_HOOKS[registry].values():
            answer = hook(self, name, member)
            member = member if answer is None else answer
        return member

    def _check_name(self, kind: str, name: str, registry: str) -> None:
        if not isinstance(name, str):
            raise TypeError(f"{kind} name should be a string. Got {_typename(name)}")
        if "." in name:
            raise KeyError(f'{kind} name can\'t contain ".", got: {name}')
        if name == "":
            raise KeyError(f'{kind} name can\'t be empty string ""')
        if name not in self.__dict__[registry] and hasattr(self, name):
            raise KeyError(f"attribute '{name}' already exists")


def _typename(value: Any) -> str:
    if type(value) is Tensor:
        return f"ddp.{message_name(value.dtype)}Tensor"
    kind = type(value)
    return kind.__name__ if kind.__module__ == "builtins" else f"{kind.__module__}.{kind.__name__}"
