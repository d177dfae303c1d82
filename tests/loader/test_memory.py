"""A batch keeps its pixels while anything refers to them; then its memory is used again."""

import gc
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from loading import TRAIN

from imnetlib.loader import Loader
from imnetlib.loader.memory import BatchMemory

SHAPE = (4, 3, 8, 8)
VIEWS: dict[str, Callable[[np.ndarray], Any]] = {
    "slice": lambda array: array[1:],
    "view of a view": lambda array: array.reshape(-1)[::2][5:],
    "transposed": lambda array: array.T[0],
    "other type": lambda array: array.view(np.uint8),
    "subclass": lambda array: array.view(np.recarray)[0],
    "iterator": lambda array: array.flat,
    "memoryview": memoryview,
    "slice of a memoryview": lambda array: memoryview(array)[1:],
    "array of a memoryview": lambda array: np.asarray(memoryview(array))[0],
    "DLPack": np.from_dlpack,
}


@pytest.mark.parametrize(
    "keep", [lambda a: a, lambda a: a[1:3], memoryview, lambda a: a.reshape(-1)[::2]]
)
def test_a_batch_that_is_kept_keeps_its_pixels(
    shards: list[Path], keep: Callable[[np.ndarray], Any]
):
    """Whatever refers to its memory, in whatever way; and what nobody keeps is used again."""
    kept = []
    copies = []
    for batch in Loader(shards, 6, TRAIN, seed=1, prefetch=1):
        kept.append(keep(batch.images))
        copies.append(np.array(kept[-1]))
        del batch
    assert all(np.array_equal(one, copy) for one, copy in zip(kept, copies, strict=True))


def test_what_nobody_keeps_is_used_again(shards: list[Path]):
    loader = Loader(shards, 3, TRAIN, prefetch=2)
    places = {batch.images.ctypes.data for _ in range(3) for batch in loader}
    assert len(places) <= 4
    kept = [batch.images for batch in loader]
    assert len({images.ctypes.data for images in kept}) == len(loader) == 13


@pytest.mark.parametrize("keep", VIEWS.values(), ids=VIEWS)
def test_the_last_view_gives_the_memory_back(keep: Callable[[np.ndarray], Any]):
    memory = BatchMemory(2)
    array = memory.array(SHAPE, np.float32)
    place = array.ctypes.data
    view = keep(array)
    del array
    other = memory.array(SHAPE, np.float32)
    assert other.ctypes.data != place
    del view
    assert memory.array(SHAPE, np.float32).ctypes.data == place


def test_memory_comes_back_when_another_thread_collects_the_garbage():
    memory = BatchMemory(2)
    array = memory.array(SHAPE, np.float32)
    place = array.ctypes.data
    cycle: list[object] = [array]
    cycle.append(cycle)
    gc.disable()
    try:
        del array, cycle
        other = memory.array(SHAPE, np.float32)
        assert other.ctypes.data != place
        collector = threading.Thread(target=gc.collect)
        collector.start()
        collector.join()
    finally:
        gc.enable()
    assert memory.array(SHAPE, np.float32).ctypes.data == place


def test_memory_of_another_shape_or_type_is_not_used():
    memory = BatchMemory(2)
    for shape, kind in ((SHAPE, np.uint8), ((2, *SHAPE[1:]), np.uint8), (SHAPE, np.float32)):
        array = memory.array(shape, kind)
        assert (array.shape, array.dtype) == (shape, kind)
        array[:] = 1


def test_a_batch_outlives_its_loader(shards: list[Path]):
    with Loader(shards, 6, TRAIN, seed=1) as loader:
        batch = next(iter(loader))
        pixels = batch.images.copy()
    del loader
    gc.collect()
    assert np.array_equal(batch.images, pixels)


KEPT_TO_THE_END = """
import atexit, numpy as np
kept = []
atexit.register(lambda: print(int(kept[0].sum())))  # the first to be registered runs last
from imnetlib.loader.memory import BatchMemory
memory = BatchMemory(1)
kept.append(memory.array((1_000, 1_000), np.float32))
kept[0][:] = 1
del memory
"""


def test_a_batch_outlives_the_loader_to_the_end_of_the_process():
    command = [sys.executable, "-c", KEPT_TO_THE_END]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stdout == "1000000\n"
