"""The loader's batches in MXNet; its pixels beside those of MXNet's own iterator."""

import itertools
from pathlib import Path

import numpy as np
import pytest
from making import encoded, photo, write_shard

from imnetlib.engines.mxnet import feed, mx
from imnetlib.image import Transform
from imnetlib.loader import Loader

N = 37


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
