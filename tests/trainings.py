"""The engines that are installed, and the small training that tests give each of them."""

from __future__ import annotations

import importlib
import importlib.util
from types import SimpleNamespace

from imnetlib.engines import Checkpoint, Recipe

WNIDS = ("n00000001", "n00000002", "n00000003")
SMALL = Recipe(batch_size=16, epochs=2, size=64, learning_rate=0.02)
# PyTorch is no part of the lock.
ENGINES = [name for name in ("mxnet", "torch") if importlib.util.find_spec(name)]


def engine_of(name: str) -> SimpleNamespace:
    """The modules of an engine."""
    modules = ("checkpoint", "feed", "memory", "network", "train")
    package = f"imnetlib.engines.{name}"
    return SimpleNamespace(
        name=name, **{module: importlib.import_module(f"{package}.{module}") for module in modules}
    )


def bits(network: Checkpoint) -> dict[str, bytes]:
    """Weights and statistics as bytes, by name."""
    return {name: array.tobytes() for name, array in network.parameters.items()}


def has_gpu() -> bool:
    """Whether PyTorch can use a GPU of NVIDIA's here."""
    if "torch" not in ENGINES:
        return False
    import torch

    return bool(torch.cuda.is_available())
