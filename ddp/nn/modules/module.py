"""PyTorch's `torch.nn.modules.module`: `Module`, and hooks of all modules."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ddp.autograd.hooks import RemovableHandle, register
from ddp.nn.hooks import register_everywhere
from ddp.nn.members import REGISTRATION_HOOKS
from ddp.nn.module import Module as Module

Hook = Callable[..., Any]


def register_module_forward_pre_hook(hook: Hook) -> RemovableHandle:
    """Run `hook(module, args)` before the `forward` of every module."""
    return register_everywhere("_forward_pre_hooks", hook)


def register_module_forward_hook(
    hook: Hook, *, with_kwargs: bool = False, always_call: bool = False
) -> RemovableHandle:
    """Run `hook(module, args, output)` after the `forward` of every module."""
    return register_everywhere("_forward_hooks", hook, with_kwargs, always_call)


def register_module_full_backward_pre_hook(hook: Hook) -> RemovableHandle:
    """Run `hook(module, grad_output)` before every module's part of the walk back."""
    return register_everywhere("_backward_pre_hooks", hook)


def register_module_full_backward_hook(hook: Hook) -> RemovableHandle:
    """Run `hook(module, grad_input, grad_output)` after every module's part of the walk back."""
    return register_everywhere("_backward_hooks", hook)


def register_module_parameter_registration_hook(hook: Hook) -> RemovableHandle:
    """Run `hook(module, name, param)` whenever a parameter is registered anywhere.

    What it returns is registered in its place.
    """
    return register(REGISTRATION_HOOKS["_parameters"], hook)


def register_module_buffer_registration_hook(hook: Hook) -> RemovableHandle:
    """The same for buffers."""
    return register(REGISTRATION_HOOKS["_buffers"], hook)


def register_module_module_registration_hook(hook: Hook) -> RemovableHandle:
    """The same for child modules."""
    return register(REGISTRATION_HOOKS["_modules"], hook)
