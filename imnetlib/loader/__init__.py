"""Shards to batches: any number of readers share one shuffled order (chapters 4 and 7)."""

from imnetlib.image import Transform
from imnetlib.loader.batch import Batch
from imnetlib.loader.loader import Loader
from imnetlib.loader.shards import LoadError
from imnetlib.order import Blocks

__all__ = ["Batch", "Blocks", "LoadError", "Loader", "Transform"]
