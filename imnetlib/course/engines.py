"""Which training framework a chapter runs on (chapters 7 to 10)."""

from __future__ import annotations

import importlib
import importlib.util
from dataclasses import dataclass
from typing import Any

from imnetlib.arguments import require

ENGINES = {"mxnet": "MXNet", "torch": "PyTorch"}


@dataclass(frozen=True, slots=True)
class Engine:
    """The modules of an engine, which have the same functions with either framework."""

    name: str
    checkpoint: Any
    memory: Any
    network: Any
    train: Any


def engine(name: str = "") -> Engine:
    """The engine "mxnet" or "torch"; without a name MXNet, or PyTorch where there is no MXNet.

    ValueError for another name, ImportError with the way out where the framework is not installed.
    """
    require(name in (*ENGINES, ""), "engine is mxnet or torch", name)
    if not name:
        name = next((known for known in ENGINES if importlib.util.find_spec(known)), "torch")
    modules = (
        importlib.import_module(f"imnetlib.engines.{name}.{module}")
        for module in ("checkpoint", "memory", "network", "train")
    )
    return Engine(name, *modules)
