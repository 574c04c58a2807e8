"""What the recurrent layers share: several layers, both directions, states in and out.

Parameters have PyTorch's names: weight_ih_l0, weight_hh_l0, bias_ih_l0, bias_hh_l0, then the same
with `_reverse`, then those of layer 1. All start from U(±1/√hidden_size), in this order.
Packed sequences (`nn.utils.rnn`) are walked run by run: `packed.py`.
"""

from __future__ import annotations

import math
import warnings
from functools import partial
from typing import Any

import numpy as np

from ddp.autograd.ops.join import cat, stack
from ddp.autograd.random import RandomSource
from ddp.autograd.tensor import Tensor
from ddp.nn import functional as F
from ddp.nn.factory import Factory
from ddp.nn.init import uniform_
from ddp.nn.module import Module
from ddp.nn.packed import Run, runs_of, scan_runs, scan_runs_backwards
from ddp.nn.parameter import Parameter
from ddp.nn.utils.rnn import PackedSequence

States = tuple[Any, ...]  # tensors: h, or h and c


class Recurrent(Module):
    """A recurrent layer but for its step. A state is (layers · directions, N, hidden_size)."""

    gates: int
    state_names: tuple[str, ...] = ("hx",)

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        num_layers: int = 1,
        bias: bool = True,
        batch_first: bool = False,
        dropout: float = 0.0,
        bidirectional: bool = False,
        proj_size: int = 0,
        device: Any = None,
        dtype: Any = None,
        *,
        generator: RandomSource | None = None,
    ) -> None:
        super().__init__()
        for word, value in (("bias", bias), ("batch_first", batch_first)):
            if not isinstance(value, bool):
                raise TypeError(f"{word} should be of type bool, got: {type(value).__name__}")
        if not 0 <= dropout <= 1:
            raise ValueError(
                "dropout should be a number in range [0, 1] representing the probability of an "
                "element being zeroed"
            )
        if dropout > 0 and num_layers == 1:
            warnings.warn(
                "dropout option adds dropout after all but last recurrent layer, so non-zero "
                "dropout expects num_layers greater than 1, but got "
                f"dropout={dropout} and num_layers={num_layers}",
                stacklevel=2,
            )
        for name, size in (
            ("input_size", input_size),
            ("hidden_size", hidden_size),
            ("num_layers", num_layers),
        ):
            if size <= 0:
                raise ValueError(f"{name} must be greater than zero")
        self._check_projection(proj_size, hidden_size)
        self.input_size = input_size
        self.hidden_size = hidden_size
        self.num_layers = num_layers
        self.bias = bias
        self.batch_first = batch_first
        self.dropout = float(dropout)
        self.bidirectional = bidirectional
        self.proj_size = proj_size
        self._add_parameters(Factory(device, dtype))
        self.reset_parameters(generator)

    def _check_projection(self, proj_size: int, hidden_size: int) -> None:
        if proj_size < 0:
            raise ValueError(
                "proj_size should be a positive integer or zero to disable projections"
            )
        if proj_size >= hidden_size:
            raise ValueError("proj_size has to be smaller than hidden_size")
        if proj_size and "cx" not in self.state_names:
            raise ValueError("proj_size argument is only supported for LSTM, not RNN or GRU")

    @property
    def _output_size(self) -> int:
        """Of one direction."""
        return self.proj_size or self.hidden_size

    @property
    def _directions(self) -> tuple[str, ...]:
        return ("", "_reverse") if self.bidirectional else ("",)

    def _add_parameters(self, new: Factory) -> None:
        rows = self.gates * self.hidden_size
        for layer in range(self.num_layers):
            width = self._output_size * len(self._directions) if layer else self.input_size
            for direction in self._directions:
                shapes: dict[str, tuple[int, ...]] = {
                    "weight_ih": (rows, width),
                    "weight_hh": (rows, self._output_size),
                }
                if self.bias:
                    shapes |= {"bias_ih": (rows,), "bias_hh": (rows,)}
                if self.proj_size:
                    shapes["weight_hr"] = (self.proj_size, self.hidden_size)
                for name, shape in shapes.items():
                    parameter = Parameter(new.empty(*shape))
                    self.register_parameter(f"{name}_l{layer}{direction}", parameter)

    def reset_parameters(self, generator: RandomSource | None = None) -> None:
        """Draw the initial values anew."""
        bound = 1.0 / math.sqrt(self.hidden_size)
        for parameter in self.parameters():
            uniform_(parameter, -bound, bound, generator)

    def flatten_parameters(self) -> None:
        """PyTorch's hint for GPUs; nothing to do here."""

    def forward(self, input: Any, hx: Any = None) -> tuple[Any, Any]:
        """(T, N, input_size) → (T, N, directions · hidden_size) and the last states.

        With `proj_size` that takes the place of hidden_size, but for the cells of an LSTM.

        With `batch_first` N comes first in input and output, not in the states; without a batch
        there is no N. States are zeros by default.
        """
        if isinstance(input, PackedSequence):
            return self._forward_packed(input, hx)
        self._check_input(input)
        batched = input.ndim == 3
        x = input if batched else input.unsqueeze(1)
        if batched and self.batch_first:
            x = x.transpose(0, 1)
        states = self._states(hx, x, batched, x.shape[1])
        x, last = self._run(x, states)
        if not batched:
            x, last = x.squeeze(1), tuple([state.squeeze(1) for state in last])
        elif self.batch_first:
            x = x.transpose(0, 1)
        return x, last if len(last) > 1 else last[0]

    def _forward_packed(self, packed: PackedSequence, hx: Any) -> tuple[PackedSequence, Any]:
        """The same of sequences of different lengths; the last states are in the given order."""
        data, batch_sizes, order, back = packed
        if data.ndim != 2:
            raise RuntimeError(f"input must have 2 dimensions, got {data.ndim}")
        self._check_width(data)
        sizes = batch_sizes.tolist()
        states = self._states(hx, data, True, sizes[0])
        if order is not None and hx is not None:
            states = tuple([state.index_select(1, order) for state in states])
        y, last = self._run(data, states, runs_of(sizes))
        if back is not None:
            last = tuple([state.index_select(1, back) for state in last])
        return PackedSequence(y, batch_sizes, order, back), last if len(last) > 1 else last[0]

    def _check_input(self, input: Tensor) -> None:
        name = type(self).__name__
        if input.ndim not in (2, 3):
            tensor = " tensor" if name == "RNN" else ""
            raise ValueError(
                f"{name}: Expected input to be 2D or 3D, got {input.ndim}D{tensor} instead"
            )
        self._check_width(input)
        if input.shape[1 if self.batch_first and input.ndim == 3 else 0] == 0:
            raise RuntimeError("Expected sequence length to be larger than 0 in RNN")

    def _check_width(self, input: Tensor) -> None:
        if input.shape[-1] != self.input_size:
            raise RuntimeError(
                "input.size(-1) must be equal to input_size. Expected "
                f"{self.input_size}, got {input.shape[-1]}"
            )
        weight: Tensor = self.weight_ih_l0
        if input.dtype != weight.dtype:
            raise ValueError(
                f"RNN input dtype ({input.dtype}) does not match weight dtype ({weight.dtype})."
            )

    def _states(self, hx: Any, x: Tensor, batched: bool, batch: int) -> States:
        """The initial states (layers · directions, N, size), checked; zeros for None."""
        rows = self.num_layers * len(self._directions)
        sizes = (self._output_size, self.hidden_size)[: len(self.state_names)]
        shapes = [(rows, batch, size) for size in sizes]
        if hx is None:
            return tuple([Tensor(np.zeros(shape, x.dtype)) for shape in shapes])
        given = tuple(hx) if isinstance(hx, (tuple, list)) else (hx,)
        rank = 3 if batched else 2
        kind = "batched 3-D" if batched else "unbatched 2-D"
        if len(given) != len(self.state_names) or any(state.ndim != rank for state in given):
            shown = ", ".join(f"{state.ndim}-D" for state in given)
            raise RuntimeError(
                f"For {kind} input, {' and '.join(self.state_names)} should also be {rank}-D but "
                f"got {shown} tensor"
            )
        states = given if batched else tuple([state.unsqueeze(1) for state in given])
        for position, (state, expected) in enumerate(zip(states, shapes, strict=True)):
            if state.shape != expected:
                label = f"hidden[{position}]" if len(states) > 1 else "hidden"
                raise RuntimeError(
                    f"Expected {label} size {expected}, got {list(given[position].shape)}"
                )
        return states

    def _run(
        self, x: Tensor, states: States, runs: list[Run] | None = None
    ) -> tuple[Tensor, States]:
        """All layers in both directions: the last layer's outputs and every last state.

        x is (T, N, input_size), or with `runs` packed data.
        """
        last: list[States] = []
        for layer in range(self.num_layers):
            outputs = []
            for direction in self._directions:
                start = tuple([state[len(last)] for state in states])
                y, end = self._walk(x, start, f"l{layer}{direction}", runs)
                outputs.append(y)
                last.append(end)
            x = outputs[0] if len(outputs) == 1 else cat(outputs, -1)
            if self.dropout and layer < self.num_layers - 1:
                x = F.dropout(x, self.dropout, self.training)
        return x, tuple([stack(list(ends)) for ends in zip(*last, strict=True)])

    def _walk(
        self, x: Tensor, start: States, suffix: str, runs: list[Run] | None
    ) -> tuple[Tensor, States]:
        """One layer in one direction."""
        backwards = suffix.endswith("_reverse")
        own = self._parameters
        names = ("weight_ih", "weight_hh", "weight_hr")[: 3 if self.proj_size else 2]
        weights = [own[f"{name}_{suffix}"] for name in names]
        biases = (own[f"bias_ih_{suffix}"], own[f"bias_hh_{suffix}"]) if self.bias else None
        if runs is not None:
            walk = scan_runs_backwards if backwards else scan_runs
            return walk(partial(self._scan, weights=weights, biases=biases), x, start, runs)
        y, end = self._scan(x.flip(0) if backwards else x, start, weights, biases)
        return (y.flip(0) if backwards else y), end

    def _scan(self, x: Tensor, start: States, weights: Any, biases: Any) -> tuple[Tensor, States]:
        """The outputs of all steps, in the order of x, and the states after the last."""
        raise NotImplementedError

    def extra_repr(self) -> str:
        text = f"{self.input_size}, {self.hidden_size}"
        defaults = {
            "proj_size": 0,
            "num_layers": 1,
            "bias": True,
            "batch_first": False,
            "dropout": 0.0,
            "bidirectional": False,
        }
        for name, default in defaults.items():
            value = getattr(self, name)
            text += f", {name}={value}" if value != default else ""
        return text
