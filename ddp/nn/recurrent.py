"""Recurrent layers: `RNN`, `GRU` and `LSTM`. What they share stands in `recurrent_base.py`."""

from __future__ import annotations

from typing import Any

from ddp.autograd.ops import recurrent as ops
from ddp.autograd.tensor import Tensor
from ddp.nn.recurrent_base import Recurrent, States


class RNN(Recurrent):
    """h' = tanh(W_ih x + b_ih + W_hh h + b_hh), or relu of it."""

    gates = 1

    def __init__(self, *args: Any, nonlinearity: str = "tanh", **kwargs: Any) -> None:
        if nonlinearity not in ("tanh", "relu"):
            raise ValueError(
                f"Unknown nonlinearity '{nonlinearity}'. Select from 'tanh' or 'relu'."
            )
        if len(args) > 3:
            nonlinearity, args = args[3], (*args[:3], *args[4:])
        super().__init__(*args, **kwargs)
        self.nonlinearity = nonlinearity

    def _scan(self, x: Tensor, start: States, weights: Any, biases: Any) -> tuple[Tensor, States]:
        y = ops.rnn(x, start[0], weights[0], weights[1], biases, self.nonlinearity)
        return y, (y[-1],)


class GRU(Recurrent):
    """Gated recurrent units (Cho et al., arXiv:1406.1078), with the gates reset, update, new."""

    gates = 3

    def _scan(self, x: Tensor, start: States, weights: Any, biases: Any) -> tuple[Tensor, States]:
        y = ops.gru(x, start[0], weights[0], weights[1], biases)
        return y, (y[-1],)


class LSTM(Recurrent):
    """Long short-term memory (Hochreiter and Schmidhuber, 1997): states (h, c).

    The gates are input, forget, cell, output.
    """

    gates = 4
    state_names = ("hx", "cx")

    def _scan(self, x: Tensor, start: States, weights: Any, biases: Any) -> tuple[Tensor, States]:
        w_ih, w_hh, *projection = weights
        y, cell = ops.lstm(x, start[0], start[1], w_ih, w_hh, biases, *projection)
        return y, (y[-1], cell)
