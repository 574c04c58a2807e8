"""einsum: sums of products, named by letters.

Two operands at a time become one batched matrix product, so its speed is the GEMM's and its
gradients are those of the operations it is made of. Operands are taken from left to right.
"""

from __future__ import annotations

import math
from typing import Any

from ddp.autograd.ops.arrange import diagonal
from ddp.autograd.ops.matmul import bmm
from ddp.autograd.ops.reduce import sum as total
from ddp.autograd.ops.shape import expand, permute, reshape
from ddp.autograd.tensor import Tensor


def einsum(equation: str, *tensors: Any) -> Tensor:
    """Sums of products named by letters: `einsum("bik,bkj->bij", a, b)`; "..." broadcasts.

    Without "->" the output has the letters that occur once, in alphabetical order. Raises
    RuntimeError for an equation that does not fit the operands.
    """
    if len(tensors) == 1 and not isinstance(tensors[0], Tensor):
        tensors = tuple(tensors[0])
    return _Einsum(equation, tensors).result()


class _Einsum:
    """One call of einsum: axes are named by letters, those of "..." by numbers as letters."""

    def __init__(self, equation: str, operands: tuple[Tensor, ...]) -> None:
        left, arrow, right = equation.replace(" ", "").partition("->")
        terms = left.split(",")
        if len(terms) != len(operands):
            raise RuntimeError(
                f"einsum(): {len(terms)} operands are named in the equation, but "
                f"{len(operands)} were given"
            )
        self.widest = max(_ellipsis_rank(t, x) for t, x in zip(terms, operands, strict=True))
        self.names = [self._spelled_out(t, x) for t, x in zip(terms, operands, strict=True)]
        self.output = self._spelled_output(right if arrow else _implicit(left))
        self.operands = operands
        self._check()

    def _spelled_out(self, term: str, x: Tensor) -> list[str]:
        rank = _ellipsis_rank(term, x)
        before, dots, after = term.partition("...")
        hidden = [str(i) for i in range(self.widest - rank, self.widest)] if dots else []
        names = [*before, *hidden, *after]
        if len(names) != x.ndim:
            raise RuntimeError(
                f"einsum(): the number of subscripts in {term!r} does not match the number of "
                f"dimensions ({x.ndim}) of its operand"
            )
        return names

    def _spelled_output(self, term: str) -> list[str]:
        before, dots, after = term.partition("...")
        return [*before, *([str(i) for i in range(self.widest)] if dots else []), *after]

    def _check(self) -> None:
        known = {name for names in self.names for name in names}
        for name in self.output:
            if name not in known:
                raise RuntimeError(
                    f"einsum(): output subscript {name} does not appear in any input"
                )
        if len(set(self.output)) < len(self.output):
            raise RuntimeError("einsum(): an output subscript appears more than once")
        lengths: dict[str, int] = {}
        for names, x in zip(self.names, self.operands, strict=True):
            for name, length in zip(names, x.shape, strict=True):
                if lengths.setdefault(name, length) not in (length, 1) and length != 1:
                    raise RuntimeError(
                        f"einsum(): subscript {name} has size {length} for an operand, which does "
                        f"not broadcast with previously seen size {lengths[name]}"
                    )
                lengths[name] = max(lengths[name], length) if length else 0

    def result(self) -> Tensor:
        """Operand after operand joined to what there is, then the axes in the output's order."""
        names, x = _diagonal(self.names[0], self.operands[0])
        for i, (term, operand) in enumerate(zip(self.names[1:], self.operands[1:], strict=True), 1):
            later = {name for names in self.names[i + 1 :] for name in names}
            names, x = _contract(names, x, *_diagonal(term, operand), later | set(self.output))
        summed = [i for i, name in enumerate(names) if name not in self.output]
        if summed:
            x = total(x, summed)
            names = [name for name in names if name in self.output]
        return permute(x, [names.index(name) for name in self.output])


def _ellipsis_rank(term: str, x: Tensor) -> int:
    return max(x.ndim - len(term.replace("...", "")), 0) if "..." in term else 0


def _implicit(left: str) -> str:
    """Without an arrow: the ellipsis, then the letters that occur once, in alphabetical order."""
    letters = left.replace("...", "").replace(",", "")
    once = sorted(letter for letter in set(letters) if letters.count(letter) == 1)
    return ("..." if "..." in left else "") + "".join(once)


def _diagonal(names: list[str], x: Tensor) -> tuple[list[str], Tensor]:
    """A name that stands twice for one operand means the diagonal of the two axes."""
    for name in names:
        if names.count(name) > 1:
            first = names.index(name)
            second = names.index(name, first + 1)
            rest = [n for i, n in enumerate(names) if i not in (first, second)]
            return _diagonal([*rest, name], diagonal(x, 0, first, second))
    return names, x


def _contract(
    a_names: list[str], a: Tensor, b_names: list[str], b: Tensor, wanted: set[str]
) -> tuple[list[str], Tensor]:
    """The product of two operands, summed over the names nobody wants any more.

    Axes are four groups: in both and wanted (the stack), a's own, in both and summed, b's own.
    """
    a_names, a = _without(a_names, a, [n for n in a_names if n not in b_names and n not in wanted])
    b_names, b = _without(b_names, b, [n for n in b_names if n not in a_names and n not in wanted])
    shared = [n for n in a_names if n in b_names]
    a, b = _broadcast_shared(shared, a_names, a, b_names, b)
    stack = [n for n in shared if n in wanted]
    inner_names = [n for n in shared if n not in wanted]
    a_own = [n for n in a_names if n not in shared]
    b_own = [n for n in b_names if n not in shared]
    left = _grouped(a, a_names, (stack, a_own, inner_names))
    right = _grouped(b, b_names, (stack, inner_names, b_own))
    sizes = {**dict(zip(b_names, b.shape, strict=True)), **dict(zip(a_names, a.shape, strict=True))}
    names = stack + a_own + b_own
    return names, reshape(bmm(left, right), [sizes[name] for name in names])


def _without(names: list[str], x: Tensor, unwanted: list[str]) -> tuple[list[str], Tensor]:
    if not unwanted:
        return names, x
    summed = total(x, [names.index(name) for name in unwanted])
    return [name for name in names if name not in unwanted], summed


def _broadcast_shared(
    shared: list[str], a_names: list[str], a: Tensor, b_names: list[str], b: Tensor
) -> tuple[Tensor, Tensor]:
    """Axes of length 1 expanded to the length they have in the other operand."""
    a_shape, b_shape = list(a.shape), list(b.shape)
    for name in shared:
        i, j = a_names.index(name), b_names.index(name)
        length = a_shape[i] if b_shape[j] == 1 else b_shape[j]
        a_shape[i] = b_shape[j] = length
    return expand(a, a_shape), expand(b, b_shape)


def _grouped(x: Tensor, names: list[str], groups: tuple[list[str], ...]) -> Tensor:
    """x with its axes in the order of the groups, each group as one axis."""
    order = [names.index(name) for group in groups for name in group]
    lengths = [math.prod([x.shape[names.index(name)] for name in group]) for group in groups]
    return reshape(permute(x, order), lengths)
