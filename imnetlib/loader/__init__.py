"""Shards to batches: any number of readers share one shuffled order (chapters 4, 7 and 10).

with Loader(shards, 256, Transform(224, "random_resized", mirror=True)) as batches:
    for batch in batches:
        train(batch.images, batch.labels)
"""

from imnetlib.image import Transform
from imnetlib.loader.batch import Batch
from imnetlib.loader.loader import Loader
from imnetlib.loader.processes import ProcessLoader
from imnetlib.loader.shards import LoadError
from imnetlib.order import Blocks

__all__ = ["Batch", "Blocks", "LoadError", "Loader", "ProcessLoader", "Transform"]
