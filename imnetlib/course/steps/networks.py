"""The networks of chapters 7 and 10, published ones, and the one in ``data/network``."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

from imnetlib import catalog, engines
from imnetlib.course.engines import engine as engine_of
from imnetlib.course.root import CHECKOUT, Root
from imnetlib.course.steps.records import default_records, shards
from imnetlib.engines import Checkpoint, Recipe, Trained

# The defaults of chapter 7's parameters.
RECIPE = Recipe()
# What chapter 7 has made of the sample, for readers who go on without training.
SHIPPED = CHECKOUT / "data" / "network"


def trained(root: Root, network: str = RECIPE.network) -> Trained:
    """The trained ``network``, or a published one that was put among the root's checkpoints.

    ValueError if it is not finished, or not of this root's classes. A published network, three
    files such as Inception-symbol.json, Inception-0009.params and synset.txt, has its own classes.
    In a sample root without chapter 7's network it is the repository's.
    """
    folder = network_folder(root, network)
    loaded = engines.load_network(folder, network)
    if isinstance(loaded, Checkpoint):
        path = folder / network
        catalog.verify_classes(loaded.wnids, root.wnids, path)
        if not loaded.finished:
            epochs = f"{len(loaded.history)} of {loaded.recipe.epochs} epochs"
            raise ValueError(f"{path} has had {epochs}: run chapter 7 again, it goes on from there")
    return loaded


def network_folder(root: Root, network: str) -> Path:
    """The root's checkpoints; for a sample that has not trained chapter 7's network, the shipped.

    That one is of the sample's own classes only.
    """
    if not root.is_sample or network != RECIPE.network or is_trained(root):
        return root.checkpoints
    shipped = engines.describe_checkpoint(SHIPPED, network)
    return SHIPPED if shipped.get("wnids") == list(root.wnids) else root.checkpoints


def is_trained(root: Root) -> bool:
    """Whether the network is finished, or its recipe is the reader's own, who may finish it."""
    description = engines.describe_checkpoint(root.checkpoints, RECIPE.network)
    if not description:
        return False
    recipe: dict[str, Any] = description["recipe"]
    is_finished: bool = len(description["history"]) >= recipe["epochs"]
    return is_finished or recipe != dataclasses.asdict(RECIPE)


def made_by(root: Root, network: str, loaded: Trained) -> str:
    """What names a loaded network and its weights."""
    return network_source(root, network) if isinstance(loaded, Checkpoint) else loaded.source


def network_source(root: Root, network: str) -> str:
    """A network's name and the checksum of its weights; the name alone where there are none."""
    folder = network_folder(root, network)
    files: dict[str, int] = engines.describe_checkpoint(folder, network).get("files", {})
    checksums = [f"{crc:08x}" for name, crc in files.items() if name.endswith(".params")]
    return " ".join([network, *checksums])


def train_sample(root: Root, engine: str) -> None:
    """Train as chapter 7 does by its defaults, on the shards of its defaults if there are such."""
    records = default_records(root)
    images = shards(root, "train", records)
    held_out = shards(root, "validation", records)
    engine_of(engine).train.train(RECIPE, root.wnids, images, held_out, root.checkpoints)
