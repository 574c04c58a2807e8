"""Where the two libraries are known to differ, and why that is right: one row for each reason.

A difference that no row describes is a defect. ERRORS look at what both sides say, VALUES at the
numbers; both describe a kind of disagreement that is harmless, whatever the program.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from tests.oracle.fuzz.duel import Difference, Program, close, replay

ERROR, SILENT = r"\w+Error: ", r"no error$"


class Excuse(NamedTuple):
    """A reason, and the patterns of what PyTorch and we say that it covers."""

    name: str
    reason: str
    expected: str
    found: str
    statement: str = ""

    def covers(self, difference: Difference) -> bool:
        """Whether all three patterns are found."""
        return (
            re.search(self.expected, str(difference.expected)) is not None
            and re.match(self.found, str(difference.found)) is not None
            and re.search(self.statement, difference.statement) is not None
        )


ERRORS = (
    Excuse(
        "not here",
        "What we do not have is refused in one sentence by a NotImplementedError.",
        r"^(no error$|\w+Error: )",
        r"NotImplementedError: .*(not supported|no gradient)",
    ),
    Excuse(
        "no kernel",
        "A layer's function of whole numbers or bools, for which PyTorch has no kernel on the CPU: "
        "NumPy computes the product, or refuses with an error of its own.",
        r"\"(\w*log_sigmoid|LayerNorm|\w*softmax|addmm|bmm|dot)\w*\" not implemented for "
        r"'(Bool|Byte|Int|Long)'",
        rf"{SILENT}|(UFunc)?TypeError: |RuntimeError: ",
        r"F\.|softmax|@|matmul|einsum|mm\(",
    ),
    Excuse(
        "overlap",
        "NumPy reads overlapping operands before it writes, and our gradients are never expanded: "
        "the result is defined where PyTorch must refuse.",
        r"refers? to a single memory location",
        SILENT,
    ),
    Excuse(
        "less is saved: freed",
        "Our operation keeps places, masks or shapes, nothing that the first backward frees; the "
        "second one gives the right gradients.",
        r"backward through the graph a second time",
        SILENT,
    ),
    Excuse(
        "less is saved: written to",
        "Our operation keeps a mask or its own copy of what PyTorch saves by reference: a write to "
        "the tensor cannot change the gradient.",
        r"modified by an inplace operation",
        SILENT,
    ),
    Excuse(
        "out of range",
        "Nothing is filled along an axis of nothing: PyTorch's error is about its own memory.",
        r"^RuntimeError: setStorage: .*out of bounds for storage",
        r"IndexError: ",
        r"index_fill",
    ),
    Excuse(
        "views of nothing",
        "PyTorch's gradient of a view without elements can get a shape that PyTorch refuses.",
        r"AsStridedBackward0 returned an invalid gradient .* got \[(\d+, )*0",
        SILENT,
    ),
    Excuse(
        "no axis",
        "PyTorch does not look at `dim` where a running extreme has no elements.",
        SILENT,
        r"IndexError: Dimension out of range",
        r"cum(max|min)\(",
    ),
    Excuse(
        "two mistakes: targets",
        "A target of another dtype and of another size: each side names one.",
        r"^RuntimeError: expected target dtype",
        r"(RuntimeError|ValueError): .*target",
        r"nll_loss|cross_entropy",
    ),
    Excuse(
        "two mistakes: backward",
        "Several things make a backward impossible, and each side names another one first.",
        r"^RuntimeError: (Trying to backward|one of the variables needed)",
        r"TypeError: expected Variable, but hook returned",
        r"backward|grad\(",
    ),
    Excuse(
        "views of several, views without gradients",
        "PyTorch forbids to read such a view after a write to its base, because it cannot find the "
        "view's place in the graph; ours is found from its base.",
        r"is a view (and|of a view)|[Aa] view was created in no_grad",
        SILENT,
    ),
    Excuse(
        "bools are numbers",
        "A composite operation of PyTorch subtracts inside, which it forbids for bools; ours does "
        "not. (Subtraction itself is refused by both.)",
        r"Subtraction, the `-` operator, with a bool tensor",
        SILENT,
        r"loss|backward|grad\(|-= |sub_\(",
    ),
    Excuse(
        "memory order",
        "The order of the axes in memory is an inner matter of ours: `view` copies where it must.",
        r"view size is not compatible",
        SILENT,
    ),
    Excuse(
        "dtypes of products",
        "PyTorch's einsum and linear take another way for some sizes (a product by elements, or an "
        "expanded copy), on which operands of two dtypes are taken; we ask for one dtype.",
        SILENT,
        r"RuntimeError: .*(same dtype|mat2 must be|the bias's)",
        r"einsum|linear|@|mm\(",
    ),
    Excuse(
        "not on the way",
        "PyTorch differentiates the node of an input that is asked for; we stop before it.",
        r"derivative for .* is not implemented",
        SILENT,
        r"inputs=",
    ),
    Excuse(
        "bias of many axes",
        "A bias with more axes than one is added as tensors are; PyTorch takes it for some sizes.",
        r"expand|broadcast shape",
        SILENT,
        r"linear",
    ),
    Excuse(
        "detached in place",
        "Whether a gradient is a view is an inner matter, and `detach_` refuses views. What was "
        "detached in place had been saved by value: its node needs no refusal.",
        rf"^({SILENT}|.*[Dd]etach)",
        rf"{SILENT}|.*[Dd]etach",
        r"detach_|backward|grad\(",
    ),
    Excuse(
        "more is refused: written to",
        "We keep a reference where PyTorch happens to have copied (an operand brought into another "
        "shape, for example): a write to it is refused in backward, never used.",
        SILENT,
        r"RuntimeError: .*modified by an inplace operation",
    ),
    Excuse(
        "more is refused: overlap",
        "An expanded tensor is read-only in whole, also where what is written overlaps nothing.",
        SILENT,
        r"RuntimeError: .*refers to a single memory location",
    ),
    Excuse(
        "more is refused: freed",
        "Our `fmod` is made of operations that save their operands.",
        SILENT,
        r"RuntimeError: .*backward through the graph a second time",
        r"backward|grad\(",
    ),
    Excuse(
        "nothing to index",
        "An index or a mask where nothing is selected: PyTorch does not look at the index, NumPy "
        "not at the mask.",
        r"no error$|IndexError: The shape of the mask \[(\d+, )*0",
        r"no error$|IndexError: index \d+ is out of bounds",
        r"\[",
    ),
)


def behind_the_back(difference: Difference, program: Program, _: Any) -> bool:
    """A write through `.data` between forward and backward changes what PyTorch saved by
    reference, silently; we have kept the forward's values or a mask. One through `.detach()` makes
    PyTorch forget the hooks of a view."""
    return any(re.search(r"\.data\b|\.detach\(\)\.\w+_\(", statement) for statement in program)


def sign_of_zero(difference: Difference, program: Program, _: Any) -> bool:
    """1 / 0 and 1 / -0, where one side's zero is negative and the other's is not."""
    expected, found = difference.expected, difference.found
    far = np.isinf(expected) & np.isinf(found)
    if any("atan2" in statement for statement in program):  # an angle of 0 or of π
        far |= np.isclose(np.abs(expected - found), np.pi)
    return bool(far.any()) and close(expected[~far], found[~far], 1e-4)


def order_of_drawing(difference: Difference, program: Program, _: Any) -> bool:
    """PyTorch fills a tensor like a transposed one in the order of its memory."""
    drawn = any("rand_like" in statement or "dropout" in statement for statement in program)
    return drawn and close(
        np.sort(difference.expected, None), np.sort(difference.found, None), 1e-4
    )


def spread_gradient(difference: Difference, program: Program, _: Any) -> bool:
    """PyTorch's gradient of a sum is one number spread over a shape: a write to one element writes
    to all. Ours is dense."""
    asked = f"{difference.what} = torch.autograd.grad("
    made = any(statement.startswith(asked) for statement in program)
    return made and bool((difference.expected == difference.expected.flat[0]).all())


def masked_nan(difference: Difference, program: Program, _: Any) -> bool:
    """A NaN gradient that meets a mask: PyTorch's is selected away in some operations, ours is
    multiplied by 0 and stays NaN. (Selecting costs twelve times as much.)"""
    expected, found = difference.expected, difference.found
    where = np.isnan(found) & (expected == 0)
    return bool(where.any()) and close(expected[~where], found[~where], 1e-4)


def ill_conditioned(difference: Difference, program: Program, library: Any) -> bool:
    """PyTorch's own answer changes at least as much when its inputs change in the last digit."""
    for sign in "+-":
        nudged = [line for statement in program for line in (statement, *nudge(statement, sign))]
        if replay(program, library, library, nudged) is not None:
            return True
    return False


def nudge(statement: str, sign: str) -> list[str]:
    """What changes a value in the last digit, each element by another factor; an error for whole
    numbers, which the machine takes note of and goes on."""
    made = re.search(r"\b(v\d+) = ", statement)
    if made is None:
        return []
    name = made[1]
    digit = f"(3e-7 if {name}.dtype == torch.float32 else 1e-14)"
    shares = f"torch.linspace(-1, 1, {name}.numel()).view_as({name}).to({name}.dtype)"
    return [f"{name}.data.mul_(1 {sign} {digit} * {shares})"]


def facts(difference: Difference, program: Program) -> str | None:
    """Reasons why requires_grad, is_leaf or what has a gradient may differ."""
    if difference.kind == "is_leaf" and difference.expected == "RuntimeError":
        return "views of several, views without gradients"
    if any(".detach_()" in statement for statement in program) and (
        difference.kind != "error" or "require" in f"{difference.expected}{difference.found}"
    ):
        return "detached in place"
    is_second = any("create_graph" in statement for statement in program)
    if is_second and "appears to not have been used" in str(difference.found):
        return "another formula"  # PyTorch's gradient of a product goes through the product
    if difference.kind == "shape" and difference.what.endswith(".grad"):
        reshaped = re.compile(rf"{difference.what[:-5]}\.(unsqueeze|squeeze|transpose|t)_\(")
        if any(reshaped.search(statement) for statement in program):
            return "a gradient has its tensor's shape"  # PyTorch's keeps that from before
    if difference.kind == "requires_grad":
        if "create_graph" in difference.statement:
            return "constant gradients"  # have no history where they depend on no input
        made = [s for s in program if f"{difference.what} = " in s]
        if made and "no_grad" in made[0] and re.search(r"view|reshape|flatten", made[0]):
            return "memory order"
    if difference.kind == "names" and isinstance(difference.found, list):
        more = set(difference.found) - set(difference.expected)
        less = set(difference.expected) - set(difference.found)
        if not less and all(name.startswith("h") for name in more):
            return "zeros are told"  # where nothing flows a hook is called with zeros
        if not less and any("no_grad" in statement for statement in program):
            return "views of several, views without gradients"  # PyTorch's forget who retains
    elif difference.kind == "names" and any("no_grad" in statement for statement in program):
        return "views of several, views without gradients"
    return None


VALUES: tuple[Callable[[Difference, Program, Any], bool], ...] = (
    behind_the_back,
    sign_of_zero,
    order_of_drawing,
    spread_gradient,
    masked_nan,
    ill_conditioned,
)


def excuse(difference: Difference, program: Program, library: Any) -> str | None:
    """The name of the row that covers a difference; `library` is PyTorch."""
    if difference.kind == "error":
        reasons = (row.name for row in ERRORS if row.covers(difference))
        return next(reasons, facts(difference, program))
    if difference.kind != "values":
        return facts(difference, program)
    found = (row.__name__ for row in VALUES if row(difference, program, library))
    return next(found, None)
