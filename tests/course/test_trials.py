"""Small trials of training: what they write, tell and measure, on each engine that is there."""

from __future__ import annotations

import itertools
import zlib
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from making import jpeg
from trainings import ENGINES, SMALL, WNIDS, engine_of

from imnetlib import course, recordio
from imnetlib.course import trials
from imnetlib.loader import Batch, Transform

PICTURES = [jpeg(seed=number) for number in range(24)]


@pytest.fixture(scope="module")
def shard(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """24 pictures, of three classes in turn."""
    path = tmp_path_factory.mktemp("trials") / "train.rec"
    out = recordio.MXIndexedRecordIO(path.with_suffix(".idx"), path, "w")
    for number, picture in enumerate(PICTURES):
        header = recordio.IRHeader(0, float(number % 3), number, 0)
        out.write_idx(number, recordio.pack(header, picture))
    out.close()
    return path


def test_a_crop_is_told_by_its_share_and_its_shape():
    rows = trials.crop_table([(0, 0, 10, 20), (5, 5, 5, 5)], [True, False], 40, 50)
    assert rows == [
        {"crop": 1, "% of the picture": 10, "width / height": 2, "mirrored": True},
        {"crop": 2, "% of the picture": 1.25, "width / height": 1, "mirrored": False},
    ]


def test_chosen_classes_are_labelled_by_their_place(shard: Path, tmp_path: Path):
    path = trials.relabelled([shard, shard], WNIDS, (WNIDS[2], WNIDS[0]), tmp_path / "few.rec")
    assert path == tmp_path / "few.rec"
    with recordio.RecordReader(path) as reader:
        found = [recordio.unpack(bytes(record)) for _, record in reader]
    of_one = [number for number in range(24) if number % 3 != 1]
    assert [header.id for header, _ in found] == of_one * 2
    assert [header.label for header, _ in found] == [0 if n % 3 == 2 else 1 for n in of_one * 2]
    assert [picture for _, picture in found] == [PICTURES[number] for number in of_one * 2]


def test_the_checksum_is_of_all_weights_in_the_order_of_their_names():
    weights = {"b": np.arange(3, dtype=np.float32), "a": np.ones((2, 2), np.float32)}
    network = SimpleNamespace(parameters=weights)
    expected = zlib.crc32(weights["a"].tobytes() + weights["b"].tobytes())
    assert trials.weights_crc32(network) == expected


@pytest.mark.parametrize("name", ENGINES)
class TestOnAnEngine:
    """What needs a network."""

    def test_the_first_losses_are_those_of_a_training(self, name: str, shard: Path):
        modules = engine_of(name)
        start = modules.train.untrained(replace(SMALL, batch_size=8), WNIDS)
        losses = trials.first_losses(course.engine(name), start, [shard], steps=2, threads=1)
        replicas = modules.train.Replicas(start)
        with replicas.feed([shard], training=True, threads=1) as batches:
            taken = [
                replicas.step(batch, start.recipe.rate(step / (2 * 3)))
                for step, batch in enumerate(itertools.islice(batches, 2))
            ]
        expected = [loss / images for loss, _, images in replicas.results(taken)]
        assert losses == pytest.approx(expected, rel=1e-6)

    def test_a_speed_is_above_zero(self, name: str, shard: Path, monkeypatch: pytest.MonkeyPatch):
        calls = []

        def repeat(step: object, seconds: float) -> tuple[float, float]:
            step()
            calls.append(seconds)
            return 2.0, 1.5

        monkeypatch.setattr(trials, "repeat", repeat)
        recipe = replace(SMALL, batch_size=8, devices=2)
        speed = trials.training_speed(course.engine(name), recipe, WNIDS, [shard], devices=3)
        # Four images on each device, two steps a second.
        assert speed == (24.0, 1.5)
        assert calls == [0.5, 3]


class Counting:
    """In place of a network: which pictures it was fed."""

    def __init__(self) -> None:
        self.fed: list[tuple[list[int], int]] = []

    def step(self, batch: Batch, rate: float) -> None:
        assert rate == 0
        self.fed.append((batch.ids.tolist(), int(batch.images.sum(dtype=np.int64))))

    def results(self, steps: list[None]) -> None:
        assert set(steps) == {None}


def test_three_ways_to_feed_take_turns_and_one_of_them_is_one_batch(shard: Path):
    transform = Transform(8, "random", layout="NHWC", mean=None, std=(1, 1, 1))
    settings = {"shards": [str(shard)], "batch_size": 8, "transform": transform, "threads": 1}
    network = Counting()
    found = trials.feeding_speeds(network, settings, processes=1, turns=2, steps=4)
    assert list(found) == [
        "one batch, again and again", "loader in this process", "in its own processes",
    ]  # fmt: skip
    assert min(found.values()) > 0
    # A batch that does not count, then four, three ways in two turns.
    by_turn = [network.fed[start : start + 5] for start in range(0, 30, 5)]
    assert len(network.fed) == 30
    assert by_turn[0] == by_turn[3] == [network.fed[0]] * 5
    for way in (1, 2):
        seen = [number for ids, _ in by_turn[way] + by_turn[way + 3] for number in ids]
        assert set(seen) == set(range(24))


def test_a_loaders_own_time_is_above_zero(shard: Path):
    transform = Transform(8, "random")
    settings = {"shards": [str(shard)], "batch_size": 8, "transform": transform, "threads": 1}
    assert trials.loader_seconds(settings, batches=2) > 0
