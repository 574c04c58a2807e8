"""What a random program can say. Each phrase takes the writer and gives an expression or a
statement; `EXPRESSIONS` and `STATEMENTS` say how often."""

from __future__ import annotations

from collections.abc import Callable

from tests.oracle.fuzz.writer import Writer

Phrase = Callable[[Writer], str]

METHODS = (
    "tanh", "sigmoid", "exp", "sin", "cos", "abs", "neg", "relu", "square", "sqrt", "log",
    "reciprocal", "erf", "log1p", "expm1", "rsqrt", "atan", "sinh", "sign", "floor", "isnan",
    "logical_not", "clone", "contiguous", "double", "float", "long", "bool",
)  # fmt: skip
FUNCTIONS = (
    "F.gelu({})", "F.gelu({}, approximate='tanh')", "F.silu({})", "F.softplus({})", "F.elu({})",
    "F.leaky_relu({}, 0.1)", "F.hardtanh({})", "F.logsigmoid({})", "torch.relu({})", "F.relu6({})",
    "F.hardswish({})", "F.mish({})", "F.selu({})", "torch.softmax({}, 0)",
)  # fmt: skip
OPERATORS = ("+", "-", "*", "*", "/", "+", "-", "**", "//", "%", "<", ">=", "==", "!=", "&", "|")
PAIRS = (
    "torch.maximum({}, {})", "torch.minimum({}, {})", "torch.atan2({}, {})",
    "torch.add({}, {}, alpha=2)",
    "torch.sub({}, {}, alpha=0.5)", "{}.mul({})", "torch.logaddexp({}, {})", "torch.hypot({}, {})",
    "torch.lerp({}, {}, 0.3)", "F.mse_loss({}, {})", "F.l1_loss({}, {}, reduction='sum')",
    "F.smooth_l1_loss({}, {}, reduction='none')", "torch.div({}, {}, rounding_mode='floor')",
    "torch.addcmul({0}, {0}, {1}, value=0.5)", "torch.true_divide({}, {})", "torch.fmod({}, {})",
)  # fmt: skip
INPLACE = ("add_", "mul_", "sub_", "div_", "copy_", "add_", "mul_", "pow_")
INPLACE_ALONE = (
    "zero_()", "relu_()", "tanh_()", "clamp_(-1, 1)", "fill_(0.5)", "neg_()", "sigmoid_()",
    "exp_()",
    "sin_()", "abs_()", "sqrt_()", "unsqueeze_(0)",
    "requires_grad_(False)", "detach_()", "t_()", "square_()", "floor_()",
)  # fmt: skip


# Expressions


def method(w: Writer) -> str:
    return f"{w.floating() if w.chance(0.9) else w.pick()}.{w.one(METHODS)}()"


def function(w: Writer) -> str:
    return w.one(FUNCTIONS).format(w.floating())


def operator(w: Writer) -> str:
    left = w.pick()
    sign = w.one(OPERATORS)
    if w.chance(0.3):
        pair = (left, w.number()) if w.chance(0.7) else (w.number(), left)
        return f"{pair[0]} {sign} {pair[1]}"
    return f"{left} {sign} {w.beside(left)}"


def safe_division(w: Writer) -> str:
    left = w.floating()
    return f"{left} / ({w.beside(left)}.abs() + 0.5)"


def pair(w: Writer) -> str:
    left = w.floating()
    return w.one(PAIRS).format(left, w.beside(left))


def power(w: Writer) -> str:
    return f"{w.floating()} ** {w.one(('2', '3', '0.5', '-1', '1', '0', '2.0', '1.5'))}"


def choice(w: Writer) -> str:
    left = w.floating()
    other = w.beside(left) if w.chance(0.8) else w.number()
    return f"torch.where({left} > {w.number()}, {left}, {other})"


def clamp(w: Writer) -> str:
    bounds = w.one(("-1, 1", "min=0", "max=0.5", "0.5, -0.5", "-0.5, 2"))
    return f"{w.pick()}.clamp({bounds})"


def reduction(w: Writer) -> str:
    x = w.floating() if w.chance(0.85) else w.pick()
    name = w.one(("sum", "mean", "sum", "mean", "prod", "amax", "amin", "var", "std", "logsumexp"))
    return f"{x}.{name}({reduced(w, x, name)})"


def reduced(w: Writer, x: str, name: str) -> str:
    if w.chance(0.3) and name != "logsumexp":
        return ""
    dims: object = w.dim(x)
    if w.chance(0.2) and len(w.shape(x)) > 1 and name != "prod":
        dims = (0, -1)
    return f"{dims}, keepdim=True" if w.chance(0.4) else f"{dims}"


def extreme(w: Writer) -> str:
    x = w.pick()
    name = w.one(("max", "min", "sort", "topk", "median", "cummax", "argmax", "max"))
    if name == "topk":
        return f"{x}.topk(1, {w.dim(x)})[0]"
    if name == "argmax":
        return f"{x}.argmax({w.dim(x)})"
    if w.chance(0.3) and name in ("max", "min", "median"):
        return f"{x}.{name}()"
    return f"{x}.{name}({w.dim(x)})[{0 if w.chance(0.9) else 1}]"


def cumulative(w: Writer) -> str:
    x = w.floating()
    return f"{x}.{w.one(('cumsum', 'cumprod'))}({w.dim(x)})"


def softmax(w: Writer) -> str:
    x = w.floating()
    return f"{w.one(('F.softmax', 'F.log_softmax', 'torch.log_softmax'))}({x}, {w.dim(x)})"


def norm(w: Writer) -> str:
    x = w.floating()
    return w.one(
        (
            f"{x}.norm()",
            f"{x}.norm(dim={w.dim(x)})",
            f"F.normalize({x}, dim={w.dim(x)})",
            f"torch.linalg.vector_norm({x}, 3)",
            f"{x}.norm(p=1)",
        )
    )


def layer_norm(w: Writer) -> str:
    x = w.with_dims(1, 2, 3)
    return f"F.layer_norm({x}, ({w.size(x, -1)},))"


def product(w: Writer) -> str:
    left = w.with_dims(1, 2, 3)
    wanted = w.size(left, -1)
    right = w.pick(lambda t: t.dim() > 0 and t.shape[-2 if t.dim() > 1 else -1] == wanted)
    return f"{left} @ {right}" if w.chance(0.7) else f"torch.matmul({left}, {right})"


def linear(w: Writer) -> str:
    x = w.with_dims(1, 2, 3)
    weight = w.pick(lambda t: t.dim() == 2 and t.shape[1] == w.size(x, -1))
    if w.chance(0.5):
        return f"F.linear({x}, {weight})"
    bias = w.pick(lambda t: tuple(t.shape) == w.shape(weight)[:1])
    return f"F.linear({x}, {weight}, {bias})"


def einsum(w: Writer) -> str:
    x = w.with_dims(2)
    y = w.pick(lambda t: t.dim() == 2 and t.shape[0] == w.size(x, 1))
    if w.chance(0.6):
        return f"torch.einsum({w.one(('ij,jk->ik', 'ij,jk->ki', 'ij,jk->j', 'ij,jk'))!r}, {x}, {y})"
    return f"torch.einsum({w.one(('ij->ji', 'ij->j', 'ij->', 'ij,ij->i'))!r}, {x}" + (
        f", {x})" if w.chance(0.3) else ")"
    )


def matrices(w: Writer) -> str:
    x = w.with_dims(2)
    y = w.pick(lambda t: t.dim() == 2 and t.shape[0] == w.size(x, 1))
    kind = w.one(
        (
            "torch.mm({x}, {y})",
            "torch.addmm({z}, {x}, {y}, beta=0.5)",
            "{x}.matmul({y})",
            "torch.outer({z}, {z})",
            "torch.dot({z}, {z})",
            "{x}.t() @ {x}",
            "{x}.mv({z})",
        )
    )
    return kind.format(x=x, y=y, z=w.with_dims(1))


def view(w: Writer) -> str:
    x = w.floating() if w.chance(0.8) else w.pick()
    d = w.dim(x)
    return f"{x}." + w.one((
        "t()", "T", f"transpose({d}, {w.dim(x)})", f"unsqueeze({d})", "squeeze()", f"squeeze({d})",
        "flatten()", "reshape(-1)", "view(-1)", f"view({regrouped(w, x)})",
        f"reshape({regrouped(w, x)})", f"expand({expanded(w, x)})", f"narrow({d}, 0, 1)",
        f"select({d}, {w.place(w.size(x, d))})", "diagonal()", f"unbind({d})[0]",
        f"chunk(2, {d})[-1]",
        f"split(1, {d})[0]", "detach()", f"movedim({d}, 0)", "mT", "data", f"flip({d})", "view_as("
        f"{w.beside(x)})", f"permute({permuted(w, x)})", f"repeat({expanded(w, x)})",
        f"roll(1, {d})",
        "tril()", "unfold(-1, 2, 2)", f"expand_as({w.beside(x)})", f"swapaxes(0, {d})",
    ))  # fmt: skip


def regrouped(w: Writer, x: str) -> str:
    shape = list(w.shape(x))
    if w.chance(BLIND_SHAPE):
        return w.one(("2, 3", "3, -1", "-1, -1", "6", "0"))
    w.rng.shuffle(shape)
    if shape and w.chance(0.4):
        shape[w.rng.randrange(len(shape))] = -1
    if len(shape) > 1 and w.chance(0.3) and -1 not in shape:
        shape = [shape[0] * shape[1], *shape[2:]]
    return ", ".join(map(str, shape)) or "1"


BLIND_SHAPE = 0.1


def expanded(w: Writer, x: str) -> str:
    sizes = [size if size != 1 else w.one((1, 2, 3, -1)) for size in w.shape(x)]
    return ", ".join(map(str, [w.one((1, 2)), *sizes] if w.chance(0.4) else sizes)) or "2"


def permuted(w: Writer, x: str) -> str:
    dims = list(range(len(w.shape(x))))
    w.rng.shuffle(dims)
    return ", ".join(map(str, dims)) or "0"


def index(w: Writer) -> str:
    x = w.floating() if w.chance(0.8) else w.pick()
    return f"{x}[{subscript(w, x)}]"


def subscript(w: Writer, x: str) -> str:
    length = w.size(x, 0)
    return w.one((
        f"{w.place(length)}", f"{w.place(length)}:", f":{w.place(length)}", "None", "...", "::2",
        f"..., {w.place(w.size(x, -1))}", f":, {w.place(w.size(x, 1))}", f"{x} > 0", "..., None",
        f"[{w.place(length)}, {w.place(length)}]", f"torch.tensor([{w.place(length)}, 0])",
        f"torch.tensor({w.place(length)})", ":, [0, -1]", f"[0, 1], [{w.place(w.size(x, 1))}, 0]",
        f"{w.beside(x)} > 0", "1:, 1:", f"torch.tensor([[0, {w.place(length)}]])", "0, 0", "True",
        ":, None, :", "torch.arange(2)",
    ))  # fmt: skip


def join(w: Writer) -> str:
    x = w.pick()
    shape = w.shape(x)
    others = [w.pick(lambda t: tuple(t.shape) == shape) for _ in range(w.one((1, 1, 2)))]
    names = ", ".join([x, *others])
    return f"torch.{w.one(('cat', 'stack', 'cat'))}([{names}], {w.dim(x)})"


def gathering(w: Writer) -> str:
    x = w.floating()
    d = w.dim(x)
    places = f"torch.tensor([{w.place(w.size(x, d)) % 4}, 0])"
    cell = f"({x} * 0).long()"
    return w.one((f"{x}.index_select({d}, {places})", f"{x}.gather({d}, {cell})",
                  f"{x}.masked_fill({x} > 0, {w.number()})",
                  f"{x}.scatter({d}, {cell}, {w.number()})",
                  f"{x}.scatter_add({d}, {cell}, {x})", f"{x}.index_add({d}, {places}, {x})",
                  f"{x}.masked_select({x} < 1)", f"{x}.take_along_dim({cell}, {d})",
                  f"{x}.index_fill({d}, {places}, 1.5)"))  # fmt: skip


def loss(w: Writer) -> str:
    x = w.with_dims(2)
    rows, classes = w.size(x, 0), max(1, w.size(x, -1))
    target = f"torch.tensor({[w.rng.randrange(classes) for _ in range(rows)]})"
    return w.one(
        (
            f"F.cross_entropy({x}, {target})",
            f"F.nll_loss({x}, {target})",
            f"F.cross_entropy({x}, {target}, label_smoothing=0.1, reduction='sum')",
            f"F.binary_cross_entropy_with_logits({x}, torch.ones_like({x}))",
        )
    )


def drawn(w: Writer) -> str:
    x = w.floating()
    return w.one(
        (
            f"F.dropout({x}, 0.5)",
            f"F.dropout({x}, 0.3, training=False)",
            "torch.rand(2, 3)",
            "torch.randn(3)",
            f"torch.rand_like({x})",
            "torch.randint(0, 5, (3,))",
            f"torch.bernoulli(torch.sigmoid({x}.detach()))",
            "torch.randperm(4)",
            "torch.randn(2, 3, requires_grad=True)",
        )
    )


def made(w: Writer) -> str:
    x = w.pick()
    return w.one(
        (
            f"torch.zeros_like({x})",
            f"torch.ones_like({x}, requires_grad=True)",
            w.leaf(),
            f"{x}.new_zeros(2, 3)",
            f"torch.full_like({x}, 2)",
            "torch.arange(3)",
            "torch.arange(3.0)",
            f"{x}.new_tensor([1, 2, 3])",
            f"torch.tensor({w.number()})",
        )
    )


def cast(w: Writer) -> str:
    return f"{w.pick()}.to(torch.{w.one(('float32', 'float64', 'int64', 'bool', 'uint8'))})"


def gradient(w: Writer) -> str:
    return f"{w.tracked()}.grad"


EXPRESSIONS: dict[Phrase, int] = {
    method: 10, function: 8, operator: 16, safe_division: 4, pair: 7, power: 4, choice: 4, clamp: 3,
    reduction: 9, extreme: 5, cumulative: 2, softmax: 3, norm: 3, layer_norm: 2, product: 5,
    linear: 3, einsum: 2, matrices: 3, view: 18, index: 12, join: 5, gathering: 6, loss: 3,
    drawn: 4,
    made: 3, cast: 3, gradient: 2,
}  # fmt: skip


# Statements


def assignment(w: Writer) -> str:
    phrase = w.rng.choices(list(EXPRESSIONS), list(EXPRESSIONS.values()))[0]
    expression = phrase(w)
    name = w.new()
    guard = "with torch.no_grad(): " if w.chance(0.05) else ""
    return f"{guard}{name} = {expression}"


def in_place(w: Writer) -> str:
    x = w.pick(lambda t: not (t.is_leaf and t.requires_grad)) if w.chance(0.9) else w.pick()
    guard = "with torch.no_grad(): " if w.chance(0.15) else ""
    target = f"{x}[{subscript(w, x)}]" if w.chance(0.3) else x
    if w.chance(0.4):
        return f"{guard}{target}.{w.one(INPLACE_ALONE)}"
    operand = w.into(x) if w.chance(0.7) and target == x else w.number()
    if target != x and w.chance(0.5):
        return f"{guard}{target} = {operand}"
    if w.chance(0.4):
        return f"{guard}{target} {w.one(('+=', '*=', '-=', '/='))} {operand}"
    if w.chance(0.15):
        return f"{guard}{x}.masked_fill_({x} > 0, {w.number()})"
    return f"{guard}{target}.{w.one(INPLACE)}({operand})"


def hook(w: Writer) -> str:
    # PyTorch 2.13 dies of a segmentation fault where a hook is put on a view whose base has been
    # written to since.
    x = w.pick(lambda t: t.requires_grad and not (t._is_view() and t._version))
    if w.names[x]._is_view() and w.names[x]._version:
        return assignment(w)
    name = f"h{w.count}"
    w.count += 1
    return w.one((
        f"{x}.register_hook(lambda g: log('{name}', g))", f"{x}.register_hook(lambda g: g * 0.5)",
        f"{name} = {x}.register_hook(lambda g: log('{name}', g))", f"{x}.retain_grad()",
        f"{x}.register_hook(lambda g: g.clamp(-1, 1))", f"{x}.retain_grad()",
        f"{name} = {x}.register_hook(lambda g: -g)",
        f"{x}.register_post_accumulate_grad_hook(lambda p: log('{name}', p.grad))",
        f"{x}.register_hook(lambda g: 1.0)",
    ))  # fmt: skip


def remove_hook(w: Writer) -> str:
    handles = [name for name, value in w.names.items() if hasattr(value, "remove")]
    return f"{w.one(handles)}.remove()" if handles else hook(w)


def backward(w: Writer) -> str:
    x = w.pick(lambda t: t.requires_grad and not t.is_leaf)
    keep = w.one(("", "", "retain_graph=True"))
    comma = ", " if keep else ""
    return w.one((
        f"{x}.sum().backward({keep})", f"{x}.mean().backward({keep})",
        f"({x} * {x}).sum().backward({keep})",
        f"{x}.backward(torch.ones_like({x}){comma}{keep})", f"{x}.backward({keep})",
        f"({x}.sum() + {w.tracked()}.sum()).backward({keep})",
        f"{x}.sum().backward(inputs=[{w.tracked()}]{comma}{keep})",
        f"torch.autograd.backward([{x}.sum(), {w.tracked()}.sum()])",
    ))  # fmt: skip


def gradients(w: Writer) -> str:
    x, leaf = w.pick(lambda t: t.requires_grad and not t.is_leaf), w.tracked()
    name = w.new()
    options = w.one((
        "", ", allow_unused=True", ", allow_unused=True, retain_graph=True", ", create_graph=True",
        ", allow_unused=True, create_graph=True", ", materialize_grads=True, retain_graph=True",
    ))  # fmt: skip
    inputs = f"[{leaf}, {w.tracked()}]" if w.chance(0.3) else f"[{leaf}]"
    return f"{name} = torch.autograd.grad({x}.{w.one(('sum', 'mean'))}(), {inputs}{options})[0]"


def housekeeping(w: Writer) -> str:
    x = w.tracked()
    return w.one((
        f"{x}.grad = None", f"{x}.grad.zero_()", f"{x}.data.mul_(0.5)",
        f"with torch.no_grad(): {x} -= 0.1 * {x}.grad", f"{x}.grad = torch.ones_like({x})",
        f"{x}.detach().add_(1)", f"torch.manual_seed({w.rng.randrange(9)})",
        "torch.set_grad_enabled(False)", "torch.set_grad_enabled(True)",
        "torch.set_grad_enabled(True)",
        f"{x} = {x}.detach().requires_grad_()",
    ))  # fmt: skip


STATEMENTS: dict[Phrase, int] = {
    assignment: 66, in_place: 14, hook: 7, remove_hook: 1, backward: 6, gradients: 3,
    housekeeping: 4,
}  # fmt: skip


def opening(w: Writer) -> list[str]:
    """A seed for the random numbers, and the tensors that a program begins with."""
    program = [f"torch.manual_seed({w.rng.randrange(1000)})"]
    for trained in (True, True, False, None):
        program.append(f"{w.new()} = {w.leaf(trained)}")
    return program


def statement(w: Writer) -> str:
    """The next one."""
    return w.rng.choices(list(STATEMENTS), list(STATEMENTS.values()))[0](w)


def closing(w: Writer) -> list[str]:
    """All that is still recorded goes backwards once."""
    roots = {w.pick(lambda t: t.requires_grad and not t.is_leaf) for _ in range(3)}
    return [f"({' + '.join(f'{x}.sum()' for x in sorted(roots))}).backward()"]
