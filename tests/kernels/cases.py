"""What each kernel is called with to compare the compiled one with its reference.

A case makes its arguments anew at each call, the same ones: kernels write into them. Wherever NaN
and infinities may come, some are among the numbers.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import numpy as np

from ddp.autograd.ops.attention import parts, size_of, tiles
from ddp.autograd.ops.conv_winograd import Block, tile_grid
from ddp.autograd.ops.max_pool import place_numbers
from ddp.autograd.ops.window import window_on

Array = np.ndarray[Any, np.dtype[Any]]

SPECIAL = np.array([np.inf, -np.inf, np.nan, 0.0, -0.0, 1e30, -1e30, 1e-40], np.float32)


class Case(NamedTuple):
    kernel: str
    what: str
    arguments: Callable[[], list[Any]]
    rtol: float = 1e-6
    atol: float = 1e-6

    def __str__(self) -> str:
        return f"{self.kernel}: {self.what}"


def numbers(*shape: int, seed: int = 0, scale: float = 1.0) -> Array:
    """Normally distributed float32, the same at every call."""
    return np.random.default_rng(seed).normal(0, scale, shape).astype(np.float32)


def unwritten(*shape: int) -> Array:
    """A place for results; what no kernel writes is found out, as 7 is a strange result."""
    return np.full(shape, 7, np.float32)


def gelu() -> Iterator[Case]:
    for what, x in {
        "many": numbers(70_000, scale=3),
        "few": numbers(3),
        "special": SPECIAL,
        "none": numbers(0),
    }.items():
        yield Case("gelu.forward", what, lambda x=x: [x, unwritten(*x.shape), unwritten(*x.shape)])
        yield Case("gelu.forward", f"{what}, no slope", lambda x=x: [x, unwritten(*x.shape), None])
        yield Case(
            "gelu.forward_by_tanh", what, lambda x=x: [x, unwritten(*x.shape), unwritten(*x.shape)]
        )
        yield Case(
            "gelu.backward_by_tanh",
            what,
            lambda x=x: [np.ones_like(x), x, inner_tanh(x), unwritten(*x.shape)],
            1e-5,
        )


def inner_tanh(x: Array) -> Array:
    """tanh u of GELU by tanh, from float64, as the forward pass keeps it."""
    with np.errstate(all="ignore"):
        wide = x.astype(np.float64)
        u = np.sqrt(2 / np.pi) * (wide + 0.044715 * wide**3)
        return np.tanh(u).astype(np.float32)


SIZES = {"many": (70_001,), "matrix": (33, 70), "few": (3,), "none": (0,)}


def optimizers() -> Iterator[Case]:
    """Their bits are the reference's: what is element by element need not differ."""
    for what, shape in SIZES.items():
        for plain in (True, False):
            for kernel, kept, numbers_of in (
                ("sgd.move", 1, sgd_numbers),
                ("adam.move", 3, adam_numbers),
            ):
                yield update(kernel, what, shape, kept, plain, numbers_of(plain))
    yield update("sgd.move", "first step", (100,), 1, False, [*sgd_numbers(False)[:-1], True])
    yield update(
        "sgd.move", "no momentum", (100,), 0, True, [1.0, 0, False, 0.1, 0, 0, False, False]
    )
    coupled = [1.0, 0.1, False, False, 0.01, 0.4, 0.9, 0.7, 1e-8]
    yield update("adam.move", "weight decay, beta1 0.4", (100,), 2, True, coupled)


def sgd_numbers(plain: bool) -> list[Any]:
    return (
        [1.0, 0, False, 0.1, 0.9, 0, False, False]
        if plain
        else [0.7, 0.01, True, 0.1, 0.9, 0.3, True, False]
    )


def adam_numbers(plain: bool) -> list[Any]:
    return (
        [1.0, 0, False, False, 0.01, 0.9, 0.99, 0.7, 1e-8]
        if plain
        else [0.7, 0.01, True, True, 0.01, 0.9, 0.99, 0.7, 1e-8]
    )


def update(
    kernel: str, what: str, shape: tuple[int, ...], kept: int, plain: bool, rest: list[Any]
) -> Case:
    most = {"sgd.move": 1, "adam.move": 3}[kernel]
    kept = min(kept, 2) if plain else kept

    def arguments() -> list[Any]:
        arrays: list[Any] = [numbers(*shape, seed=seed) for seed in range(2 + kept)]
        if kept > 1:
            arrays[3] **= 2
        if shape[0] > 70:
            for number, array in enumerate(arrays):
                array.reshape(-1)[9 * number : 9 * number + 8] = SPECIAL
        work = tuple(unwritten(*shape) for _ in range(4))
        return [*arrays, *[None] * (most - kept), work, *rest]

    return Case(kernel, f"{what}, {'plain' if plain else 'everything'}", arguments, 0, 0)


PIXELS = {"many": (2048, 64), "odd": (333, 6), "wide": (40, 700), "one": (1, 3), "few": (2, 5)}


def batch_norm() -> Iterator[Case]:
    for what, (count, channels) in PIXELS.items():
        x, dy = numbers(count, channels) + 3, numbers(count, channels, seed=1)
        a, b, c, d = (numbers(channels, seed=seed) for seed in range(4))

        def into(*shape: int, given: list[Any]) -> Callable[[], list[Any]]:
            return lambda: [
                *given,
                *[unwritten(*shape) for _ in range(2 if len(shape) == 1 else 1)],
            ]

        for name, shape, given in (
            ("moments", (channels,), [x]),
            ("scaled", (count, channels), [x, a, b]),
            ("gradient_sums", (channels,), [dy, x, a]),
            ("combination", (count, channels), [dy, x, a, b, c, d]),
        ):
            yield Case(f"norm.{name}", what, into(*shape, given=given), 1e-5, 1e-4)


WINDOWS = {
    "side by side": (6, (2, 2), (2, 2), (0, 0), (1, 1)),
    "overlapping": (33, (3, 3), (2, 2), (1, 1), (1, 1)),
    "uneven": (16, (2, 3), (1, 2), (1, 0), (2, 1)),
    "large": (1, (17, 17), (1, 1), (0, 0), (1, 1)),
}


FEW = {  # images, channels, outputs, size, kernel, padding, stride
    "no frame": (2, 3, 6, (32, 32), (5, 5), 0, 1),
    "a frame": (3, 2, 7, (9, 40), (3, 4), 1, 1),
    "strides": (2, 1, 13, (12, 11), (3, 3), 2, 2),
}


def conv_few() -> Iterator[Case]:
    for what, (images, channels, outputs, size, kernel, frame, stride) in FEW.items():
        padding = ((frame, frame), (frame, frame))
        window = window_on(size, kernel, (stride, stride), padding, (1, 1))
        x, w = (images, channels, *size), (outputs, channels, *kernel)
        y = (images, *window.output, outputs)
        yield Case(
            "conv_few.correlate",
            what,
            lambda w=w, x=x, y=y, o=window: [numbers(*x), numbers(*w, seed=1), o, unwritten(*y)],
            1e-5,
            1e-4,
        )
        yield Case(
            "conv_few.weight_gradient",
            what,
            lambda w=w, x=x, y=y, o=window: [numbers(*y), numbers(*x, seed=1), o, unwritten(*w)],
            1e-5,
            1e-3,
        )


def scatter() -> Iterator[Case]:
    for what, tile, by_channel, stride, dilation in (
        ("runs", 2, False, 1, 1),
        ("places", 0, False, 2, 1),
        ("dilated", 0, False, 1, 2),
        ("by channel", 0, True, 2, 2),
    ):
        window = window_on((9, 11), (3, 3), (stride,) * 2, ((1, 1), (1, 2)), (dilation,) * 2)
        rows = 2 * window.output[0] * window.output[1] // max(tile, 1)
        run = (max(tile, 1) - 1) * stride + 3
        for channels in (3, 32):
            yield Case(
                "conv_columns.scatter",
                f"{what}, {channels} channels",
                lambda w=window, t=tile, b=by_channel, c=channels, r=(rows, 3 * run * channels): [
                    *(numbers(*r), numbers(2, *w.padded, c), w, t, b),
                ],
                0,
                1e-5,
            )


def max_pool() -> Iterator[Case]:
    """Of numbers of which many are equal; with NaN among them, it is open where it was."""
    for what, (channels, kernel, stride, padding, dilation) in WINDOWS.items():
        (top, left), shape = padding, (2, 19, 20, channels)
        window = window_on((19, 20), kernel, stride, ((top, top), (left, left)), dilation)
        outputs = (2, *window.output, channels)
        x, special = numbers(*shape).round(1), numbers(*shape)
        special.reshape(-1)[5:13] = SPECIAL
        dtype = place_numbers(window.kernel).dtype
        yield Case(
            "max_pool.maxima",
            what,
            lambda x=x, w=window, s=outputs, d=dtype: [x, w, unwritten(*s), np.zeros(s, d)],
        )
        yield Case(
            "max_pool.maxima",
            f"{what}, no places",
            lambda x=special, w=window, s=outputs: [x, w, unwritten(*s), None],
        )
        places = np.random.default_rng(1).integers(0, np.prod(kernel), outputs).astype(dtype)
        yield Case(
            "max_pool.give",
            what,
            lambda p=places, w=window, s=shape, o=outputs: [
                *(numbers(*o), p, w),
                np.zeros(s, np.float32),
            ],
        )


IMAGES = {"even": (3, 8, 10, 32, 1), "odd": (2, 7, 9, 33, 1), "no frame": (2, 6, 5, 16, 0)}


def winograd() -> Iterator[Case]:
    for what, (images, height, width, channels, frame) in IMAGES.items():
        padding = ((frame, frame), (frame, frame))
        window = window_on((height, width), (3, 3), (1, 1), padding, (1, 1))
        rows, columns = tile_grid(window)
        outputs = (images, *window.output, channels)
        for part, block in (
            ("whole", Block(0, images, 0, rows)),
            ("last", Block(images - 1, images, rows - 1, rows)),
        ):
            count = (block.last - block.first, block.bottom - block.top, columns)
            tiles, flat = (4, 4, *count, channels), (16, np.prod(count), channels)

            def of_outputs(o=outputs, t=tiles, b=block) -> list[Any]:
                return [numbers(*o), unwritten(*t), b]

            def of_products(o=outputs, f=flat, b=block) -> list[Any]:
                return [numbers(*f), unwritten(*o), b]

            yield Case("conv_winograd.spread", f"{what}, {part}", of_outputs, 0, 1e-6)
            yield Case("conv_winograd.collect", f"{what}, {part}", of_products, 0, 1e-5)
        tiles = (4, 4, images, rows, columns, channels)

        def of_inputs(t=tiles, s=(images, height, width, channels), w=window) -> list[Any]:
            _, _, n, rows, columns, channels = t
            memory = unwritten(2, 2, n, rows + 1, columns + 1, channels), unwritten(np.prod(t))
            return [numbers(*s), unwritten(*t), Block(0, n, 0, rows), w, memory]

        yield Case("conv_winograd.transform", what, of_inputs, 0, 1e-6)


ROWS = {"many": (600, 40), "wide": (3, 1030), "one column": (5, 1), "few": (2, 3), "none": (0, 4)}


def layer_norm() -> Iterator[Case]:
    for what, (rows, length) in ROWS.items():
        for parameters in ("weight and bias", "neither"):
            yield layer_norm_forward(what, rows, length, parameters)
            yield layer_norm_backward(what, rows, length, parameters)


def layer_norm_forward(what: str, rows: int, length: int, parameters: str) -> Case:
    def arguments() -> list[Any]:
        x = numbers(rows, length) + 3
        weight, bias = numbers(length, seed=1), numbers(length, seed=2)
        own = [weight, bias] if parameters == "weight and bias" else [None, None]
        places = unwritten(rows, length), unwritten(rows, 1), unwritten(rows, length)
        return [x, *own, 1e-5, *places]

    return Case("layer_norm.forward", f"{what}, {parameters}", arguments, 1e-5, 1e-5)


def layer_norm_backward(what: str, rows: int, length: int, parameters: str) -> Case:
    def arguments() -> list[Any]:
        dy, normal, inverse_std = numbers(rows, length), numbers(rows, length), numbers(rows, 1)
        has_weight = parameters != "neither"
        weight = numbers(length, seed=1) if has_weight else None
        dx = unwritten(rows, length) if has_weight else None
        return [dy, normal, inverse_std, weight, dx, unwritten(length), unwritten(length)]

    return Case("layer_norm.backward", f"{what}, {parameters}", arguments, 1e-5, 1e-4)


def attention() -> Iterator[Case]:
    for what, (queries, keys, features) in {
        "a tile": (64, 64, 32),
        "many": (150, 150, 20),
        "more keys": (5, 40, 3),
        "more queries": (70, 9, 33),
        "no keys": (3, 0, 2),
        "no queries": (0, 3, 2),
    }.items():
        for is_causal in (True, False):
            for extra in ("plain", "bias", "dropout"):
                options = queries, keys, features, is_causal, extra
                name = f"{what}, {'causal' if is_causal else 'all'}, {extra}"
                yield attended(name, *options)
                yield attended_back(name, *options)


def attended(
    what: str, queries: int, keys: int, features: int, is_causal: bool, extra: str
) -> Case:
    def arguments() -> list[Any]:
        q, k, v = heads(queries, features), heads(keys, features, 1), heads(keys, features + 1, 2)
        added, mask = extras(extra, queries, keys)
        some = tiles(queries, keys, features, is_causal)
        weights = unwritten(size_of(some, q.shape))
        y = heads(queries, features + 1, 3)
        return [q, k, v, added, mask, 1.25, 0.3, is_causal, some, weights, y]

    return Case("attention.forward", what, arguments, 1e-5, 1e-5)


def attended_back(
    what: str, queries: int, keys: int, features: int, is_causal: bool, extra: str
) -> Case:
    def arguments() -> list[Any]:
        case = attended(what, queries, keys, features, is_causal, extra).arguments()
        q, k, v, _, mask, *options, weights, y = case
        weights[:] = np.abs(numbers(len(weights)))
        for rows, columns, p in parts(weights, q.shape, options[-1]):
            if is_causal:
                p *= np.arange(columns.stop) <= np.arange(rows.start, rows.stop)[:, None]
        places = [np.full_like(x, 7) for x in (q, k, v)] if extra != "bias" else [None] * 3
        d_added = np.zeros((*q.shape[:-1], keys), np.float32) if extra == "bias" else None
        return [heads(*y.shape[2:], 4), q, k, v, y, mask, *options, weights, *places, d_added]

    return Case("attention.backward", what, arguments, 1e-4, 1e-4)


def heads(length: int, features: int, seed: int = 0) -> Array:
    """(2, 3, T, E), as they lie in a projection."""
    return numbers(2, length, 3, features, seed=seed).transpose(0, 2, 1, 3)


def extras(extra: str, queries: int, keys: int) -> tuple[Array | None, Array | None]:
    """What is added to the scores, and dropout's mask."""
    if extra == "bias":
        added = numbers(2, 1, queries, keys, seed=5)
        added[0, :, :1] = -np.inf  # a query that may look nowhere
        return np.broadcast_to(added, (2, 3, queries, keys)), None
    return None, numbers(2, 3, queries, keys, seed=6) > -1 if extra == "dropout" else None


PRODUCTS = {
    "whole tiles": (66, 128, 128),
    "several blocks": (700, 300, 70),
    "a narrow rest": (13, 40, 65),
    "rearranged": (520, 150, 260),
    "one number": (1, 1, 1),
    "no depth": (3, 0, 5),
    "no rows": (0, 4, 5),
}


def gemm() -> Iterator[Case]:
    for what, (rows, depth, columns) in PRODUCTS.items():
        for order in ("rows and columns", "rows and rows", "columns and rows, no bias"):
            yield product(what, rows, depth, columns, order)


def product(what: str, rows: int, depth: int, columns: int, order: str) -> Case:
    def arguments() -> list[Any]:
        a, b = numbers(rows, depth), numbers(depth, columns, seed=1)
        if order.startswith("columns"):
            a = np.asfortranarray(a)
        if order == "rows and columns":
            b = np.asfortranarray(b)
        bias = None if order.endswith("no bias") else numbers(columns, seed=2)
        return [a, b, bias, unwritten(rows, columns)]

    return Case("gemm.gemm", f"{what}, {order}", arguments, 1e-4, 1e-4)


CASES = [
    *gelu(),
    *gemm(),
    *attention(),
    *optimizers(),
    *batch_norm(),
    *winograd(),
    *max_pool(),
    *scatter(),
    *conv_few(),
    *layer_norm(),
]
