"""One step of the recurrent layers: `RNNCell`, `GRUCell`, `LSTMCell`."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from ddp.autograd.ops import recurrent as ops
from ddp.autograd.random import RandomSource
from ddp.autograd.tensor import Tensor
from ddp.nn.factory import Factory
from ddp.nn.init import uniform_
from ddp.nn.module import Module
from ddp.nn.parameter import Parameter


class _Cell(Module):
    """Parameters weight_ih, weight_hh, bias_ih, bias_hh, all from U(±1/√hidden_size)."""

    gates: int
    bias_ih: Parameter | None
    bias_hh: Parameter | None

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        bias: bool = True,
        device: Any = None,
        dtype: Any = None,
        *,
        generator: RandomSource | None = None,
    ) -> None:
        super().__init__()
        self.input_size = input_size
        self.hidden_size = hidden_size
        self.bias = bias
        rows = self.gates * hidden_size
        new = Factory(device, dtype)
        self.weight_ih = Parameter(new.empty(rows, input_size))
        self.weight_hh = Parameter(new.empty(rows, hidden_size))
        for name in ("bias_ih", "bias_hh"):
            self.register_parameter(name, Parameter(new.empty(rows)) if bias else None)
        self.reset_parameters(generator)

    def reset_parameters(self, generator: RandomSource | None = None) -> None:
        """Draw the initial values anew."""
        bound = 1.0 / math.sqrt(self.hidden_size)
        for parameter in self.parameters():
            uniform_(parameter, -bound, bound, generator)

    def _weights(self) -> tuple[Any, Any, Any]:
        biases = (self.bias_ih, self.bias_hh) if self.bias else None
        return self.weight_ih, self.weight_hh, biases

    def _as_batch(self, input: Tensor, *states: Tensor | None) -> list[Tensor]:
        """The input as a sequence of one step (1, N, input_size), and the states (N, hidden)."""
        name = type(self).__name__
        if input.ndim not in (1, 2):
            raise ValueError(f"{name}: Expected input to be 1D or 2D, got {input.ndim}D instead")
        x = input if input.ndim == 2 else input.unsqueeze(0)
        if x.shape[1] != self.input_size:
            raise RuntimeError(
                f"input has inconsistent input_size: got {x.shape[1]} expected {self.input_size}"
            )
        expected = (len(x), self.hidden_size)
        batch = [x.unsqueeze(0)]
        for state in states:
            state = Tensor(np.zeros(expected, x.dtype)) if state is None else state
            if state.ndim not in (1, 2):
                raise ValueError(
                    f"{name}: Expected hidden to be 1D or 2D, got {state.ndim}D instead"
                )
            state = state if state.ndim == 2 else state.unsqueeze(0)
            if state.shape != expected:
                raise RuntimeError(f"{name}: expected a state of {expected}, got {state.shape}")
            batch.append(state)
        return batch

    def extra_repr(self) -> str:
        text = f"{self.input_size}, {self.hidden_size}"
        return text if self.bias else f"{text}, bias={self.bias}"


class RNNCell(_Cell):
    """h' = tanh(W_ih x + b_ih + W_hh h + b_hh), or relu of it."""

    gates = 1

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        bias: bool = True,
        nonlinearity: str = "tanh",
        device: Any = None,
        dtype: Any = None,
        *,
        generator: RandomSource | None = None,
    ) -> None:
        if nonlinearity not in ("tanh", "relu"):
            raise RuntimeError(f"Unknown nonlinearity: {nonlinearity}")
        super().__init__(input_size, hidden_size, bias, device, dtype, generator=generator)
        self.nonlinearity = nonlinearity

    def forward(self, input: Tensor, hx: Tensor | None = None) -> Tensor:
        """(N, input_size), (N, hidden_size) → (N, hidden_size); or without N."""
        x, h = self._as_batch(input, hx)
        step = ops.rnn(x, h, *self._weights(), self.nonlinearity)[0]
        return step if input.ndim == 2 else step[0]

    def extra_repr(self) -> str:
        text = super().extra_repr()
        return text if self.nonlinearity == "tanh" else f"{text}, nonlinearity={self.nonlinearity}"


class GRUCell(_Cell):
    """One step of `GRU`."""

    gates = 3

    def forward(self, input: Tensor, hx: Tensor | None = None) -> Tensor:
        """(N, input_size), (N, hidden_size) → (N, hidden_size); or without N."""
        x, h = self._as_batch(input, hx)
        step = ops.gru(x, h, *self._weights())[0]
        return step if input.ndim == 2 else step[0]


class LSTMCell(_Cell):
    """One step of `LSTM`: its states are (h, c)."""

    gates = 4

    def forward(
        self, input: Tensor, hx: tuple[Tensor, Tensor] | None = None
    ) -> tuple[Tensor, Tensor]:
        """(N, input_size), two (N, hidden_size) → (h', c'), (N, hidden_size) each; or without N."""
        x, h, c = self._as_batch(input, *(hx or (None, None)))
        steps, cell = ops.lstm(x, h, c, *self._weights())
        step = steps[0]
        return (step, cell) if input.ndim == 2 else (step[0], cell[0])
