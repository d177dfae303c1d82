"""The loader's batches in MXNet and in torch; its pixels beside those of MXNet's own iterator."""

import importlib
import itertools
import sys
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
from making import encoded, photo, write_shard

from imnetlib.engines.mxnet import feed, mx
from imnetlib.image import Transform
from imnetlib.loader import Loader

N = 37
TRAIN = Transform(28, "random_resized", mirror=True)


@pytest.fixture(scope="module")
def shards(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    folder = tmp_path_factory.mktemp("shards")
    images = [encoded(photo(40, 32, i)) for i in range(N)]
    return [
        write_shard(folder / "a.rec", range(20), images[:20]),
        write_shard(folder / "b.rec", range(20, N), images[20:]),
    ]


def test_pixels_as_mxnets_iterator_gives_them(tmp_path: Path):
    data = [encoded(photo(90, 64, i)) for i in range(12)]
    shard = write_shard(tmp_path / "a.rec", range(12), data)
    theirs = mx.io.ImageRecordUInt8Iter(
        path_imgrec=str(shard), data_shape=(3, 56, 56), batch_size=12
    )
    expected = theirs.next()
    (batch,) = Loader([shard], 12, Transform(56, layout="NCHW"), shuffle=False)
    assert np.abs(batch.images.astype(int) - expected.data[0].asnumpy()).max() <= 1
    assert np.array_equal(batch.labels, expected.label[0].asnumpy())


@pytest.mark.parametrize("mean", [None, (1.0, 2.0, 3.0)])
@pytest.mark.parametrize("layout", ["NHWC", "NCHW"])
def test_mxnet_gets_the_batches_as_they_are(
    shards: list[Path], layout: str, mean: tuple[float, float, float] | None
):
    transform = Transform(28, "random_resized", True, layout=layout, mean=mean)
    expected = Loader(shards, 8, transform, seed=3)
    iterator = feed.BatchIter(Loader(shards, 8, transform, seed=3))
    for _ in range(2):
        for found, batch in itertools.zip_longest(iterator, expected):
            assert np.array_equal(found.data[0].asnumpy(), batch.images)
            assert np.array_equal(found.label[0].asnumpy(), batch.labels)
            assert (found.pad, found.index.tolist()) == (batch.padding, batch.ids.tolist())
            assert found.data[0].dtype == batch.images.dtype == iterator.provide_data[0].dtype
            assert found.data[0].shape == iterator.provide_data[0].shape
        with pytest.raises(StopIteration):
            iterator.next()
        iterator.reset()


def test_an_mxnet_module_predicts_every_record_once(shards: list[Path]):
    """Its output is the pixels' mean; ``predict`` starts over, in the middle of an epoch too."""
    transform = Transform(28, layout="NCHW", mean=(0.0, 0.0, 0.0))
    iterator = feed.BatchIter(Loader(shards, 8, transform, shuffle=False))
    pixels = mx.sym.mean(mx.sym.Variable("data"), axis=(1, 2, 3))
    module = mx.mod.Module(mx.sym.BlockGrad(pixels), label_names=None)
    module.bind(iterator.provide_data, for_training=False)
    module.init_params()
    expected = [
        b.images[: 8 - b.padding].mean((1, 2, 3))
        for b in Loader(shards, 8, transform, shuffle=False)
    ]
    for _ in range(2):
        iterator.reset()
        iterator.next()
        found = module.predict(iterator).asnumpy()
        np.testing.assert_allclose(found, np.concatenate(expected), rtol=1e-4)


def test_torch_gets_the_batches_without_a_copy(shards: list[Path], monkeypatch: pytest.MonkeyPatch):
    """With stand-ins for what the feed uses of torch, which is not in the lock (see README)."""
    names = ("torch", "torch.utils", "torch.utils.data", "torch.utils.data._utils")
    modules = [ModuleType(name) for name in (*names, "torch.utils.data._utils.collate")]
    torch, _, data, _, collate = modules
    monkeypatch.delitem(sys.modules, "imnetlib.engines.torch.feed", raising=False)
    torch.from_numpy = lambda array: ("tensor", array)
    data.IterableDataset = object
    data.get_worker_info = lambda: None
    collate.default_collate_fn_map = {}
    for module in modules:
        monkeypatch.setitem(sys.modules, module.__name__, module)
    batches = importlib.import_module("imnetlib.engines.torch.feed").Batches(
        Loader(shards, 8, TRAIN, seed=3)
    )
    assert len(batches) == 5
    for found, batch in itertools.zip_longest(batches, Loader(shards, 8, TRAIN, seed=3)):
        assert {kind for kind, _ in (found["images"], found["labels"], found["ids"])} == {"tensor"}
        for name in ("images", "labels", "ids"):
            assert np.array_equal(found[name][1], getattr(batch, name))
        assert found["padding"] == batch.padding
    monkeypatch.setattr(sys.modules["imnetlib.engines.torch.feed"], "get_worker_info", object)
    with pytest.raises(RuntimeError, match="give DataLoader num_workers=0 and batch_size=None"):
        next(iter(batches))
    # DataLoader looks a type up here before it takes a dict apart.
    ((kind, refuse),) = collate.default_collate_fn_map.items()
    assert type(found) is kind
    with pytest.raises(ValueError, match="give batch_size=None: the batches are made already"):
        refuse([found], collate_fn_map=collate.default_collate_fn_map)
