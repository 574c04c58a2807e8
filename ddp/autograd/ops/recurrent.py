"""Recurrent layers: one node for the whole walk of one layer along the sequence.

Shapes: inputs x (T, N, I), states h and c (N, H), weights w_ih (G·H, I) and w_hh (G·H, H) for G
gates, biases (G·H,). The products with x are one GEMM for all steps, and so are the gradients of
the weights; only h @ w_hhᵀ is done step by step. All gates of a step lie side by side.
"""

from __future__ import annotations

import numpy as np

from ddp.autograd.node import Array, Gradients, Node
from ddp.autograd.ops.activation import logistic
from ddp.autograd.ops.layout import column_sums
from ddp.autograd.tensor import Tensor, wrap

Biases = tuple[Tensor, Tensor] | None  # b_ih, b_hh


class Recurrent(Node):
    """What the layers share: from the gradients of the gates to those of inputs and weights.

    Edges: x, h0, (c0,) w_ih, w_hh, (b_ih, b_hh, w_hr).
    """

    __slots__ = ("has_bias",)

    has_bias: bool

    def gathered(
        self, from_input: Array, from_state: Array, states: list[Array], y: Array
    ) -> Gradients:
        """All gradients, from those of x @ w_ihᵀ and h @ w_hhᵀ (T, N, G·H) and of the states."""
        x, h0, w_ih = self.saved[:3]
        count = len(states) + 1
        rows_x = from_input.reshape(-1, from_input.shape[2])
        rows_h = from_state.reshape(-1, from_state.shape[2])
        dx = (rows_x @ w_ih).reshape(x.shape) if self.needs(0) else None
        dw_ih = rows_x.T @ as_rows(x) if self.needs(count) else None
        before = np.concatenate([h0[None], y[:-1]])
        dw_hh = rows_h.T @ as_rows(before) if self.needs(count + 1) else None
        biases = (column_sums(rows_x), column_sums(rows_h)) if self.has_bias else ()
        return (dx, *states, dw_ih, dw_hh, *biases)


def as_rows(x: Array) -> Array:
    """(T, N, K) → the dense matrix (T·N, K)."""
    return np.ascontiguousarray(x).reshape(-1, x.shape[2])


def input_gates(x: Tensor, w_ih: Array, bias: Array | None) -> Array:
    """x @ w_ihᵀ + bias for all steps: (T, N, G·H)."""
    gates = as_rows(x.array) @ w_ih.T
    if bias is not None:
        gates += bias
    return gates.reshape(*x.shape[:2], -1)


def summed(biases: Biases) -> Array | None:
    """Both biases as one: where they are only ever added."""
    return None if biases is None else biases[0].array + biases[1].array


def rnn(
    x: Tensor, h0: Tensor, w_ih: Tensor, w_hh: Tensor, biases: Biases, nonlinearity: str
) -> Tensor:
    """h' = tanh or relu of (x @ w_ihᵀ + b_ih + h @ w_hhᵀ + b_hh) → all h' (T, N, H)."""
    y = input_gates(x, w_ih.array, summed(biases))
    w = np.ascontiguousarray(w_hh.array.T)
    h = h0.array
    for step in y:
        step += h @ w
        h = np.tanh(step, out=step) if nonlinearity == "tanh" else np.maximum(step, 0, out=step)
    output = wrap(y)
    if node := RnnBackward0.record(output, x, h0, w_ih, w_hh, *(biases or ())):
        node.has_bias, node.nonlinearity = biases is not None, nonlinearity
        node.save(x, h0, w_ih, w_hh, output, *(biases or ()))
    return output


class RnnBackward0(Recurrent):
    """da = dh' · (1 - h'²), or dh' where h' > 0;  dh = da @ w_hh."""

    __slots__ = ("nonlinearity",)

    nonlinearity: str

    def backward(self, dy: Array) -> Gradients:
        _, h0, _, w_hh, y, *_ = self.saved
        da = (1 - y * y) if self.nonlinearity == "tanh" else (y > 0).astype(y.dtype)
        dh = np.zeros_like(h0, order="C")
        for t in range(len(y) - 1, -1, -1):
            da[t] *= dy[t] + dh
            dh = da[t] @ w_hh
        return self.gathered(da, da, [dh], y)


def gru(x: Tensor, h0: Tensor, w_ih: Tensor, w_hh: Tensor, biases: Biases) -> Tensor:
    """h' = n + z · (h - n), n = tanh(x_n + r · h_n), r and z = logistic(x_g + h_g) → all h'.

    x_g and h_g are the parts of x @ w_ihᵀ + b_ih and h @ w_hhᵀ + b_hh, in the order r, z, n.
    """
    gates = input_gates(x, w_ih.array, None if biases is None else biases[0].array)
    (steps, batch), size = x.shape[:2], w_hh.shape[1]
    y = np.empty((steps, batch, size), gates.dtype)
    candidates = np.empty_like(y)  # h_n
    w = np.ascontiguousarray(w_hh.array.T)
    h = h0.array
    for t in range(steps):
        from_state = h @ w
        if biases is not None:
            from_state += biases[1].array
        gate, both = gates[t], slice(2 * size)
        gate[:, both] = logistic(gate[:, both] + from_state[:, both])
        candidates[t] = from_state[:, 2 * size :]
        r, z, n = parts(gate, 3)
        n += r * candidates[t]
        np.tanh(n, out=n)
        h = np.add(n, z * (h - n), out=y[t])
    output = wrap(y)
    if node := GruBackward0.record(output, x, h0, w_ih, w_hh, *(biases or ())):
        node.has_bias = biases is not None
        node.save(x, h0, w_ih, w_hh, output, gates, candidates, *(biases or ()))
    return output


def parts(gates: Array, count: int) -> list[Array]:
    """Views of the gates (N, count·H), each (N, H)."""
    size = gates.shape[1] // count
    return [gates[:, i * size : (i + 1) * size] for i in range(count)]


class GruBackward0(Recurrent):
    """dn = dh' · (1 - z) · (1 - n²), dz = dh' · (h - n) · z · (1 - z), dr = dn · h_n · r · (1 - r).

    x_g gets (dr, dz, dn), h_g gets (dr, dz, dn · r);  dh = dh' · z + dh_g @ w_hh.
    """

    __slots__ = ()

    def backward(self, dy: Array) -> Gradients:
        _, h0, _, w_hh, y, gates, candidates, *_ = self.saved
        from_input, from_state = np.empty_like(gates), np.empty_like(gates)
        dh = np.zeros_like(h0, order="C")
        for t in range(len(y) - 1, -1, -1):
            r, z, n = parts(gates[t], 3)
            dr, dz, dn = parts(from_input[t], 3)
            dh = dy[t] + dh
            dn[...] = dh * (1 - z) * (1 - n * n)
            dz[...] = dh * ((y[t - 1] if t else h0) - n) * z * (1 - z)
            dr[...] = dn * candidates[t] * r * (1 - r)
            from_state[t] = from_input[t]
            parts(from_state[t], 3)[2][...] *= r
            dh = dh * z + from_state[t] @ w_hh
        return self.gathered(from_input, from_state, [dh], y)


def lstm(
    x: Tensor,
    h0: Tensor,
    c0: Tensor,
    w_ih: Tensor,
    w_hh: Tensor,
    biases: Biases,
    w_hr: Tensor | None = None,
) -> tuple[Tensor, Tensor]:
    """c' = f · c + i · g, h' = o · tanh c' → all h' (T, N, H) and the last c' (N, H).

    i, f, o = logistic and g = tanh of x @ w_ihᵀ + b_ih + h @ w_hhᵀ + b_hh, in the order i, f, g, o.
    With a projection `w_hr` (P, H) h' is (o · tanh c') @ w_hrᵀ, and w_hh (4·H, P). As logistic(a)
    is (1 + tanh(a / 2)) / 2, one tanh serves all gates, when the weights of three are halved.
    """
    (steps, batch), size = x.shape[:2], c0.shape[1]
    halves = np.full(4 * size, 0.5, w_ih.dtype)
    halves[2 * size : 3 * size] = 1  # g is no logistic
    bias = summed(biases)
    gates = input_gates(
        x, w_ih.array * halves[:, np.newaxis], None if bias is None else bias * halves
    )
    hidden, tanh_c = np.empty((2, steps, batch, size), gates.dtype)
    cells = np.empty((steps + 1, batch, size), gates.dtype)
    cells[0] = c0.array
    y = hidden if w_hr is None else np.empty((steps, *h0.shape), gates.dtype)
    w = np.ascontiguousarray(w_hh.array.T) * halves
    h, part, added = h0.array, np.empty_like(gates[0]), np.empty_like(hidden[0])
    for gate, c, c_next, t, out, projected in zip(
        gates, cells[:-1], cells[1:], tanh_c, hidden, y, strict=True
    ):
        gate += np.matmul(h, w, out=part)
        i, f, g, o = parts(np.tanh(gate, out=gate), 4)
        for logistic_part in (gate[:, : 2 * size], o):  # i and f, and o
            logistic_part *= 0.5
            logistic_part += 0.5
        np.multiply(f, c, out=c_next)
        c_next += np.multiply(i, g, out=added)
        h = np.multiply(o, np.tanh(c_next, out=t), out=out)
        if w_hr is not None:
            h = np.matmul(h, w_hr.array.T, out=projected)
    output, last_cell = wrap(y), wrap(cells[-1].copy())
    inputs = (x, h0, c0, w_ih, w_hh, *(biases or ()), *(() if w_hr is None else (w_hr,)))
    if node := LstmBackward0.record_several((output, last_cell), *inputs):
        node.has_bias = biases is not None
        node.save(x, h0, w_ih, w_hh, output, gates, cells, tanh_c, w_hr, *(biases or ()))
    return output, last_cell


def lstm_slopes(gates: Array, cells: Array, tanh_c: Array) -> Array:
    """What di, df and dg are per dc', and do per dh', for all steps at once: (T, N, 4·H)."""
    size = tanh_c.shape[2]
    i, g = (gates[:, :, n * size : (n + 1) * size] for n in (0, 2))
    slopes = gates * gates
    np.subtract(gates, slopes, out=slopes)  # s · (1 - s) of the logistic gates
    di, df, dg, do = (slopes[:, :, n * size : (n + 1) * size] for n in range(4))
    di *= g
    df *= cells[:-1]
    np.multiply(i, 1 - g * g, out=dg)
    do *= tanh_c
    return slopes


class LstmBackward0(Recurrent):
    """With t = tanh c':  dc' += dh' · o · (1 - t²),  dc = dc' · f,  dh = (di, df, dg, do) @ w_hh.

    di = dc' · g · i · (1 - i), df = dc' · c · f · (1 - f), dg = dc' · i · (1 - g²),
    do = dh' · t · o · (1 - o). With a projection dh' is (what arrives at h') @ w_hr.
    """

    __slots__ = ()

    def backward(self, dy: Array | None, dc: Array | None) -> Gradients:
        _, h0, _, w_hh, y, gates, cells, tanh_c, w_hr, *_ = self.saved
        size = tanh_c.shape[2]
        da = lstm_slopes(gates, cells, tanh_c)  # each times the gradient of c' or h' that it awaits
        into_cell = (1 - tanh_c * tanh_c) * gates[:, :, 3 * size :]
        arrived = None if w_hr is None else np.empty_like(y)
        dh = np.zeros_like(h0, order="C")
        dc = np.zeros_like(cells[0]) if dc is None else dc.copy()
        for t in range(len(y) - 1, -1, -1):
            if dy is not None:
                dh += dy[t]
            if arrived is not None:
                arrived[t] = dh
            dh_full = dh if w_hr is None else dh @ w_hr
            into_cell[t] *= dh_full
            dc += into_cell[t]
            of_cell = da[t].reshape(-1, 4, size)[:, :3]  # di, df, dg
            of_cell *= dc[:, np.newaxis]
            da[t, :, 3 * size :] *= dh_full
            dc *= gates[t, :, size : 2 * size]
            np.matmul(da[t], w_hh, out=dh)
        gradients = self.gathered(da, da, [dh, dc], y)
        if arrived is None:
            return gradients
        hidden = gates[:, :, 3 * dc.shape[1] :] * tanh_c
        return (*gradients, as_rows(arrived).T @ as_rows(hidden))
