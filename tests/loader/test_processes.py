"""Loaders in other processes: their batches, their stops, their end."""

from __future__ import annotations

import itertools
import os
import signal
import time
from pathlib import Path

import numpy as np
import pytest
from making import encoded, photo, write_shard

from imnetlib.image import Transform
from imnetlib.loader import Loader, LoadError, ProcessLoader

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


@pytest.fixture(params=[1, 3])
def process(shards: list[Path], request: pytest.FixtureRequest):
    with ProcessLoader(processes=request.param, **settings(shards)) as loader:
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


def test_its_batches_and_positions_are_those_of_the_loader(process: ProcessLoader, loader: Loader):
    assert len(process) == len(loader) == 5
    for _ in range(2):
        for found, expected in itertools.zip_longest(process, loader):
            assert_same(found, expected)
            assert process.state_dict() == loader.state_dict()
    assert process.state_dict()["epoch"] == 2


def test_a_loop_left_early_goes_on_where_it_was(process: ProcessLoader, loader: Loader):
    for number in (1, 3):
        for found, expected in itertools.islice(zip(process, loader, strict=True), number):
            assert_same(found, expected)
    assert process.state_dict() == loader.state_dict()
    assert loader.position == 32


def test_a_new_loop_ends_the_older_one(process: ProcessLoader):
    older = iter(process)
    next(older)
    newer = iter(process)
    assert len(list(newer)) == 4
    assert list(older) == []


def test_it_goes_on_from_a_saved_position(process: ProcessLoader, loader: Loader):
    next(iter(loader))
    process.load_state_dict(loader.state_dict())
    assert process.state_dict() == loader.state_dict()
    for found, expected in itertools.zip_longest(process, loader):
        assert_same(found, expected)


def test_a_position_of_other_records_is_refused(process: ProcessLoader):
    state = process.state_dict()
    with pytest.raises(ValueError, match="a saved position in another order of records: seed 4"):
        process.load_state_dict(state | {"seed": 4})
    with pytest.raises(ValueError, match="not a saved position of a loader"):
        process.load_state_dict({"x": 1})
    assert len(list(process)) == 5


@pytest.mark.parametrize("processes", [1, 2, 3])
def test_readers_share_the_batches_as_loaders_do(shards: list[Path], processes: int):
    for index in range(2):
        more = {"shard_index": index, "shard_count": 2}
        with ProcessLoader(processes=processes, **settings(shards, **more)) as process:
            loader = Loader(**settings(shards, **more))
            assert len(process) == len(loader) == 3
            for found, expected in itertools.zip_longest(process, loader):
                assert_same(found, expected)
                assert process.state_dict() == loader.state_dict()


def test_images_stay_until_the_next_batch_is_asked_for(shards: list[Path]):
    with ProcessLoader(**settings(shards, prefetch=1)) as process:
        expected = [batch.images for batch in Loader(**settings(shards))]
        for found, images in zip(process, expected, strict=True):
            time.sleep(0.05)
            assert np.array_equal(found.images, images)


def test_what_the_loader_refuses_is_raised_here(shards: list[Path]):
    with pytest.raises(ValueError, match="batch_size is 1 or more, not 0"):
        ProcessLoader(**settings(shards, batch_size=0))
    with (
        ProcessLoader(**settings(shards, classes=3)) as process,
        pytest.raises(LoadError, match=r"its label is [3-9]; classes are 0 to 2"),
    ):
        list(process)


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ({"batch_size": -2}, "batch_size is 1 or more, not -2"),
        ({"batch_size": "8"}, "batch_size is a whole number, not '8'"),
        ({"threads": "x"}, "threads is a whole number, not 'x'"),
        ({"transform": None}, "transform is a Transform"),
        ({"shard_index": "0"}, "shard_index is a whole number, not '0'"),
    ],
)
def test_wrong_arguments_are_named(shards: list[Path], setting: dict, message: str):
    with pytest.raises((TypeError, ValueError), match=message):
        ProcessLoader(**settings(shards, **setting))


def test_the_death_of_its_process_is_said(process: ProcessLoader):
    batches = iter(process)
    next(batches)
    os.kill(process._workers[0].process.pid, signal.SIGKILL)
    with pytest.raises(RuntimeError, match=r"a process that loads images died \(status -9\)"):
        # It may have filled the rest of this epoch already, but not the next one.
        list(itertools.chain(batches, process))


def test_it_is_closed_twice_and_leaves_no_process(shards: list[Path]):
    process = ProcessLoader(**settings(shards))
    next(iter(process))
    (worker,) = process._workers
    process.close()
    process.close()
    assert not worker.process.is_alive()
    with pytest.raises(ValueError, match="the loader is open: make a new one, not 'closed'"):
        iter(process)
