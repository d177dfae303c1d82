"""A loader in another process: its batches, its stops, its end."""

from __future__ import annotations

import itertools
import os
import signal
from pathlib import Path

import numpy as np
import pytest
from making import encoded, photo, write_shard

from imnetlib.image import Transform
from imnetlib.loader import Loader, LoaderProcess, LoadError

TRAIN = Transform(28, "random_resized", mirror=True)
N = 37


@pytest.fixture(scope="module")
def shards(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    folder = tmp_path_factory.mktemp("shards")
    images = [encoded(photo(40, 32, i)) for i in range(N)]
    return [
        write_shard(folder / "a.rec", range(20), images[:20]),
        write_shard(folder / "b.rec", range(20, N), images[20:]),
    ]


def settings(shards: list[Path], **more: object) -> dict:
    return {"shards": shards, "batch_size": 8, "transform": TRAIN, "seed": 3} | more


@pytest.fixture
def process(shards: list[Path]):
    with LoaderProcess(**settings(shards)) as loader:
        yield loader


@pytest.fixture
def loader(shards: list[Path]):
    with Loader(**settings(shards)) as loader:
        yield loader


def assert_same(found, expected) -> None:
    assert np.array_equal(found.images, expected.images)
    assert np.array_equal(found.labels, expected.labels)
    assert np.array_equal(found.ids, expected.ids)
    assert found.padding == expected.padding


def test_its_batches_and_positions_are_those_of_the_loader(process: LoaderProcess, loader: Loader):
    assert len(process) == len(loader) == 5
    for _ in range(2):
        for found, expected in itertools.zip_longest(process, loader):
            assert_same(found, expected)
            assert process.state_dict() == loader.state_dict()
    assert process.state_dict()["epoch"] == 2


def test_a_loop_left_early_goes_on_where_it_was(process: LoaderProcess, loader: Loader):
    for number in (1, 3):
        for found, expected in itertools.islice(zip(process, loader, strict=True), number):
            assert_same(found, expected)
    assert process.state_dict() == loader.state_dict()
    assert loader.position == 32


def test_a_new_loop_ends_the_older_one(process: LoaderProcess):
    older = iter(process)
    next(older)
    newer = iter(process)
    assert len(list(newer)) == 4
    assert list(older) == []


def test_it_goes_on_from_a_saved_position(process: LoaderProcess, loader: Loader):
    next(iter(loader))
    process.load_state_dict(loader.state_dict())
    assert process.state_dict() == loader.state_dict()
    for found, expected in itertools.zip_longest(process, loader):
        assert_same(found, expected)


def test_a_position_of_other_records_is_refused(process: LoaderProcess):
    state = process.state_dict()
    with pytest.raises(ValueError, match="a saved position in another order of records: seed 4"):
        process.load_state_dict(state | {"seed": 4})


def test_images_stay_as_long_as_promised(shards: list[Path], loader: Loader):
    with LoaderProcess(places=3, **settings(shards)) as process:
        batches = iter(process)
        first = next(batches)
        kept = first.images.copy()
        next(batches)
        assert np.array_equal(first.images, kept)


def test_what_the_loader_refuses_is_raised_here(shards: list[Path]):
    with pytest.raises(ValueError, match="batch_size is 1 or more, not 0"):
        LoaderProcess(**settings(shards, batch_size=0))
    with (
        LoaderProcess(**settings(shards, classes=3)) as process,
        pytest.raises(LoadError, match=r"its label is [3-9]; classes are 0 to 2"),
    ):
        list(process)


def test_the_death_of_its_process_is_said(process: LoaderProcess):
    batches = iter(process)
    next(batches)
    os.kill(process._process.pid, signal.SIGKILL)
    with pytest.raises(RuntimeError, match=r"the process that loads images died \(status -9\)"):
        list(batches)


def test_it_is_closed_twice_and_leaves_no_process(shards: list[Path]):
    process = LoaderProcess(**settings(shards))
    next(iter(process))
    process.close()
    process.close()
    assert not process._process.is_alive()
