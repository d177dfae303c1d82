"""A training on a GPU; collected where there is one."""

from __future__ import annotations

import dataclasses
import itertools
from pathlib import Path

import numpy as np
import pytest
import torch
from trainings import SMALL, WNIDS

from imnetlib import engines
from imnetlib.engines.torch import checkpoint, feed, memory, train
from imnetlib.loader import Loader

ALONE = dataclasses.replace(SMALL, devices=1)
GPU = torch.device("cuda")


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
@pytest.mark.parametrize("compiled", [False, True])
def test_it_learns_what_is_easy(shards: list[Path], tmp_path: Path, precision: str, compiled: bool):
    recipe = dataclasses.replace(ALONE, epochs=10, precision=precision)
    done = train.train(recipe, WNIDS, shards, shards, tmp_path, threads=5, compiled=compiled)
    assert done.history[-1].validation_top1 == 1.0
    steps = [line for line in engines.read_log(tmp_path, recipe.network) if "step" in line]
    assert all(0 <= line["waiting"] <= 1 for line in steps)
    probabilities = [found for found, _, _ in checkpoint.predict(done, shards)]
    assert np.allclose(np.concatenate(probabilities).sum(axis=1), 1, atol=1e-5)


def test_the_first_steps_are_those_of_the_cpu(shards: list[Path]):
    losses = []
    for device in (GPU, torch.device("cpu")):
        replicas = train.Replicas(engines.untrained(SMALL, WNIDS), device)
        with replicas.feed(shards, training=True, threads=2) as batches:
            done = [replicas.step(batch, 0.02) for batch in itertools.islice(batches, 2)]
        losses.append(replicas.results(done)[:, 0])
    assert losses[0] == pytest.approx(losses[1], rel=1e-2)


def test_a_resumed_training_goes_on_from_its_state(shards: list[Path], tmp_path: Path):
    one = dataclasses.replace(ALONE, epochs=1)
    train.train(one, WNIDS, shards, shards, tmp_path)
    kept = engines.load_checkpoint(tmp_path, SMALL.network)
    assert {"random", "random on GPU"} <= set(kept.state)
    assert train.train(ALONE, WNIDS, shards, shards, tmp_path).finished


def test_the_gpu_gets_the_loaders_batches(shards: list[Path]):
    with feed.DeviceFeed(shards, SMALL, GPU, training=True, threads=6, classes=3) as batches:
        transform = batches.loader.transform
        expected = Loader(shards, SMALL.batch_size, transform, classes=3)
        for _ in range(2):
            for found, batch in itertools.zip_longest(batches, expected):
                assert found.images.device.type == "cuda"
                assert np.array_equal(found.images.cpu().numpy(), batch.images)
                assert np.array_equal(found.labels.cpu().numpy(), batch.labels)
                assert found.ids.tolist() == batch.ids.tolist()


def test_feeds_may_follow_each_other(shards: list[Path]):
    for _ in range(3):
        with feed.DeviceFeed(shards, SMALL, GPU, training=True, threads=1, classes=3) as batches:
            assert len(list(batches)) == 3


def test_too_large_a_batch_is_said_with_one_that_fits():
    total = torch.cuda.get_device_properties(GPU).total_memory
    recipe = dataclasses.replace(ALONE, network="inception-bn", size=224, batch_size=8192)
    fits = memory.largest_batch(recipe, len(WNIDS), total)
    replicas = train.Replicas(engines.untrained(recipe, WNIDS), GPU)
    images = torch.zeros(8192, 224, 224, 3, device=GPU, dtype=torch.uint8)
    batch = train.Batch(images, np.zeros(8192, np.float32), np.arange(8192), 0)
    with pytest.raises(
        MemoryError, match=rf"8192 images of 224 pixels .*; about {fits} fit: lower"
    ):
        replicas.step(batch, 0.1)
    assert 0 < fits < 8192
