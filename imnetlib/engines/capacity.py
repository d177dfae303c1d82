"""What a training step takes of a card, by each plan, and the largest batch (chapter 6)."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

from imnetlib.arguments import in_order, require, whole_number
from imnetlib.engines.graph import Layer, infer_shapes, layer_parameters, read_layers
from imnetlib.engines.offsets import plan_offsets
from imnetlib.engines.operations import CHEAP, training_steps
from imnetlib.engines.planner import in_use, plan

# Value, gradient, momentum and the copy in the store of parameters, four bytes each. With results
# of two bytes it is as much: value and gradient have two, but there is a second value of four.
BYTES_A_PARAMETER = 16
# BatchNorm's running mean and variance: four bytes each for a channel.
BYTES_OF_STATISTICS = 8


def compare_plans(
    network: str | list[Layer] | tuple[Layer, ...],
    batch: int,
    size: int,
    *,
    bytes_a_number: int = 4,
) -> dict[str, int]:
    """Bytes that the results of a training step take, by each plan there is (chapter 6).

    ``network``: layers, or the JSON of an MXNet symbol of known operations, ``net.tojson()``.
    "neither", "in place", "sharing" and "both" are MXNet's way with whole buffers; "mirror" is
    both, with cheap results computed again; "by offsets" is one block, cut as needed; "at least" is
    the most that is in use at one time. Takes 0.2 s for 230 layers. Errors as for ``read_layers``
    and ``training_steps``.
    """
    layers = network if isinstance(network, list | tuple) else read_layers(network)
    steps = training_steps(layers, batch, size, bytes_a_number=bytes_a_number)
    cheap = [layer.name for layer in layers if layer.kind in CHEAP]
    mirrored = training_steps(layers, batch, size, recomputed=cheap, bytes_a_number=bytes_a_number)
    return {
        "neither": sum(plan(steps, in_place=False, sharing=False).buffers),
        "in place": sum(plan(steps, sharing=False).buffers),
        "sharing": sum(plan(steps, in_place=False).buffers),
        "both": sum(plan(steps).buffers),
        "mirror": sum(plan(mirrored).buffers),
        "by offsets": plan_offsets(steps).size,
        "at least": int(in_use(steps).max()),
    }


def standing_bytes(layers: Sequence[Layer], size: int) -> int:
    """Bytes on a card whatever the batch: parameters and what training keeps for them."""
    layers = in_order("layers", layers)
    shapes = infer_shapes(layers, size)
    channels = sum(shapes[layer.name][0] for layer in layers if layer.kind == "BatchNorm")
    parameters = sum(layer_parameters(layer, shapes) for layer in layers)
    return parameters * BYTES_A_PARAMETER + channels * BYTES_OF_STATISTICS


def picture_bytes(batch: int, size: int, bytes_a_number: int = 4) -> int:
    """Bytes of the pictures and labels of two batches: one is trained on, the next one arrives.

    ValueError unless all are 1 or more.
    """
    batch = whole_number("batch", batch)
    size = whole_number("size", size)
    bytes_a_number = whole_number("bytes_a_number", bytes_a_number)
    given = (batch, size, bytes_a_number)
    require(min(given) >= 1, "batch, size and bytes_a_number are 1 or more", given)
    return 2 * batch * (3 * size * size + 1) * bytes_a_number


def largest_batch(
    layers: Sequence[Layer],
    size: int,
    room: int,
    results: Callable[[int], int],
    bytes_a_number: int = 4,
) -> int:
    """The largest batch whose training step fits ``room`` bytes; 0 where not even one does.

    ``results``: bytes of the results for a batch by some plan, called some four times. What
    ``standing_bytes`` and ``picture_bytes`` count comes on top; workspaces do not, so leave a share
    of the card for them and for the driver.
    """
    room = whole_number("room", room)
    require(room >= 0, "room is not negative", room)
    rest = room - standing_bytes(layers, size)

    def taken(batch: int) -> int:
        return results(batch) + picture_bytes(batch, size, bytes_a_number) if batch else 0

    # Nearly all grows with the batch, so one step from anywhere comes close.
    batch = max(0, math.floor(rest * 32 / taken(32)))
    while batch and taken(batch) > rest:
        batch -= 1
    while taken(batch + 1) <= rest:
        batch += 1
    return batch
