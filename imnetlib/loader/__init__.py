"""Shards to batches: any number of readers share one shuffled order (chapters 4, 7 and 10)."""

from imnetlib.image import Transform
from imnetlib.loader.loader import Batch, Loader, LoadError
from imnetlib.order import Blocks

__all__ = ["Batch", "Blocks", "LoadError", "Loader", "Transform"]
