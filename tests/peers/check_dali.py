"""NVIDIA's DALI reads shards and merged indexes: the same bytes and labels, in the same order.

On the processor alone. Run by ``make peers``.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from making import encoded, imnet, photo, put, write_shard
from nvidia.dali import fn, pipeline_def

from imnetlib import recordio
from imnetlib.image import Settings
from imnetlib.pack import Folder, list_folder, pack, shuffle

BATCH = 8
SHARDS = 3
Records = list[tuple[bytes, list[float]]]


def read_by_dali(shards: list[Path], indexes: list[Path], count: int) -> Records:
    """The first ``count`` images and labels that DALI's reader gives, in its order."""

    @pipeline_def(batch_size=BATCH, num_threads=2, device_id=None)
    def pipeline() -> tuple[object, ...]:
        paths = [str(path) for path in shards]
        images, labels = fn.readers.mxnet(path=paths, index_path=[str(path) for path in indexes])
        return images, labels

    reader = pipeline()
    reader.build()
    records: Records = []
    while len(records) < count:
        images, labels = reader.run()
        for image, label in zip(images, labels, strict=True):
            records.append((np.array(image).tobytes(), np.array(label).tolist()))
    return records[:count]


def written(shards: list[Path]) -> Records:
    """The images and labels of the shards, in file order."""
    records: Records = []
    for shard in shards:
        with recordio.RecordReader(shard) as reader:
            for _, record in reader:
                header, image = recordio.unpack(bytes(record))
                records.append((image, np.atleast_1d(header.label).tolist()))
    return records


@pytest.fixture(scope="module")
def shards(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Shards of 60 shuffled photos of three classes."""
    folder = tmp_path_factory.mktemp("photos")
    put(folder, {f"n{i % 3}/{i}.JPEG": encoded(photo(90, 70, i)) for i in range(60)})
    out = folder.with_name("shards")
    images = shuffle(list_folder(folder), seed=100)
    pack(images, Folder(folder), out, "set", shards=SHARDS, settings=Settings(resize=64))
    return sorted(out.glob("*.rec"))


def test_each_shard_with_its_own_index(shards: list[Path]):
    for shard in shards:
        expected = written([shard])
        assert read_by_dali([shard], [shard.with_suffix(".idx")], len(expected)) == expected


def test_several_shards_with_the_merged_index(shards: list[Path], tmp_path: Path):
    index = tmp_path / "all.idx"
    assert imnet("merge-index", index, *shards).exit_code == 0
    expected = written(shards)
    assert len(expected) == 60
    # Once around, and the beginning again.
    assert read_by_dali(shards, [index], 70) == expected + expected[:10]


def test_a_rebuilt_index(shards: list[Path], tmp_path: Path):
    recordio.write_index(tmp_path / "new.idx", *recordio.rebuild_index(shards[0]))
    expected = written(shards[:1])
    assert read_by_dali(shards[:1], [tmp_path / "new.idx"], len(expected)) == expected


def test_several_labels_and_records_of_several_parts(tmp_path: Path):
    """The magic of a header within an image splits its record."""
    image = encoded(photo(60, 40, 1))
    split = image + bytes(-len(image) % 4) + recordio.MAGIC.to_bytes(4, "little") + image
    label = np.array([1.5, -2, 7], np.float32)
    shard = write_shard(tmp_path / "a.rec", range(3), [image, split, image], label)
    expected = [(data, [1.5, -2.0, 7.0]) for data in (image, split, image)]
    assert written([shard]) == expected
    assert read_by_dali([shard], [shard.with_suffix(".idx")], 3) == expected
