"""Columns added back to the images they are made of; reference: ddp.autograd.ops.conv_columns."""

from __future__ import annotations

from typing import Any

from ddp.kernels.compiled.target import compiled
from ddp.kernels.compiled.vectors import WIDTH, load_some, store_some


@compiled
def scatter(columns: Any, dx: Any, window: Any, tile: Any, by_channel: Any) -> None:
    images, height, width, channels = dx.shape
    (kh, kw), (_, step), (dh, dw) = window.kernel, window.stride, window.dilation
    tile = max(tile, 1)
    run = (tile - 1) * step + kw
    places = kh * run
    columns, dx, at = columns.reshape(-1), dx.reshape(-1), 0
    for image in range(images):
        for i in range(window.output[0]):
            for j in range(window.output[1] // tile):
                for u in range(kh):
                    row = image * height + i * window.stride[0] + u * dh
                    start = (row * width + j * tile * step) * channels
                    if by_channel or dw > 1:
                        for v in range(run):
                            target = start + v * dw * channels
                            place, apart = at + (u * run + v) * channels, 1
                            if by_channel:
                                place, apart = at + u * run + v, places
                            for c in range(channels):
                                dx[target + c] += columns[place + c * apart]
                    else:
                        place, count = at + u * run * channels, run * channels
                        for k in range(0, count, WIDTH):
                            total = load_some(dx, start + k, count - k)
                            total = total + load_some(columns, place + k, count - k)
                            store_some(dx, start + k, total, count - k)
                at += places * channels
