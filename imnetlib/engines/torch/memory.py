"""The memory of a training step with PyTorch: what is kept for the backward pass (chapter 10)."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from imnetlib.arguments import require, require_type, whole_number
from imnetlib.engines import Checkpoint, Recipe
from imnetlib.engines.torch.network import module

# Of a card's memory, for what a step takes beside what it keeps: workspaces, gradients on the way.
_SHARE_KEPT = 0.85


def kept_bytes(net: nn.Module, batch: int, size: int) -> int:
    """Bytes that a forward pass keeps for the backward pass, weights aside (chapter 10).

    Nothing is computed: the tensors have shapes and no content. ``net``: on the device "meta", in
    bfloat16 for a training in that precision. A tensor that several operations keep counts once.
    """
    require_type(net, nn.Module, "net is a torch.nn.Module")
    batch = whole_number("batch", batch)
    size = whole_number("size", size)
    require(min(batch, size) >= 1, "batch and size are 1 or more", (batch, size))
    on = next(net.parameters()).device.type
    require(on == "meta", 'net is on the device "meta"', on)
    weights = {weight.untyped_storage()._cdata for weight in net.parameters()}
    kept: dict[int, int] = {}
    alive = []

    def pack(value: Tensor) -> Tensor:
        storage = value.untyped_storage()
        if storage._cdata not in weights:
            kept[storage._cdata] = storage.nbytes()
            # So that no other takes its place and its number.
            alive.append(storage)
        return value

    precision = next(net.parameters()).dtype
    images = torch.empty(batch, 3, size, size, device="meta", dtype=precision)
    labels = torch.empty(batch, dtype=torch.long, device="meta")
    with torch.autograd.graph.saved_tensors_hooks(pack, lambda value: value):
        scores = net(images)
        require_type(scores, Tensor, "a network gives one tensor of logits, in training too")
        functional.cross_entropy(scores.float(), labels)
    return sum(kept.values())


def largest_batch(recipe: Recipe, classes: int, available: int) -> int:
    """About how many images a device can compute at once with ``available`` bytes (chapter 10).

    Weights, gradients and momentum take their part first, 12 bytes a weight; of the rest a share is
    left for workspaces. 0 where not one fits.
    """
    require_type(recipe, Recipe, "recipe is an engines.Recipe")
    available = whole_number("available", available)
    with torch.device("meta"):
        net = module(recipe.network, classes, recipe.size).train()
    fixed = 12 * sum(weight.numel() for weight in net.parameters())
    net = net.to(getattr(torch, recipe.precision))
    two, four = (kept_bytes(net, batch, recipe.size) for batch in (2, 4))
    left = (available - fixed) * _SHARE_KEPT - (2 * two - four)
    return max(0, int(left / ((four - two) / 2)))


def advice(network: Checkpoint, device: torch.device) -> str:
    """What to say when the memory of a device is too small for a step."""
    recipe = network.recipe
    total = torch.cuda.get_device_properties(device).total_memory
    fits = largest_batch(recipe, len(network.wnids), total)
    return (
        f"{recipe.images_per_device} images of {recipe.size} pixels at once are too many for the "
        f"{total / 1e9:.0f} GB of {torch.cuda.get_device_name(device)}; about {fits} fit: lower "
        "batch_size, or raise accumulate, which computes a batch in several turns"
    )
