"""insightface's layout: refused or read without the records that hold no image."""

from __future__ import annotations

import itertools
import json
import logging
import warnings
from pathlib import Path

import numpy as np
import pytest
from faces import FIRST, IMAGES, ORDERS, SIZES, bounds, set_flag, write_faces
from loading import ORDERS as SHUFFLES
from making import encoded, photo, write_shard

from imnetlib import recordio
from imnetlib.image import Transform
from imnetlib.loader import Batch, Blocks, Loader, LoadError

CROP = Transform(28)
WITHOUT = 1 + len(SIZES)
index_of_images = pytest.mark.filterwarnings("ignore:.*what follows is left out")


@pytest.fixture(scope="module")
def recs(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    folder = tmp_path_factory.mktemp("faces")
    return [write_faces(folder / f"{n}.rec", order) for n, order in enumerate(ORDERS)]


def rows(batches: list[Batch]) -> list[tuple[int, float]]:
    """Key and label of each record, in their order."""
    return [
        (int(batch.ids[row]), float(batch.labels[row]))
        for batch in batches
        for row in range(len(batch.ids) - batch.padding)
    ]


EXPECTED = [(key, 10.0 * number) for number, ends in enumerate(bounds()) for key in range(*ends)]


@pytest.mark.parametrize("on_error", ["raise", "skip"])
def test_unasked_it_is_refused_in_one_sentence(recs: list[Path], on_error: str):
    for rec in recs:
        with pytest.raises(
            ValueError,
            match=rf"{rec.name} is in insightface's layout: {WITHOUT} of its records .*; "
            "give images_only=True to leave them out",
        ):
            Loader([rec], 4, CROP, on_error=on_error)


@pytest.mark.filterwarnings("error::UserWarning")
@pytest.mark.parametrize("shuffle", SHUFFLES)
@pytest.mark.parametrize("readers", [1, 3])
def test_every_image_comes_once_whoever_reads(
    recs: list[Path], tmp_path: Path, shuffle: bool | Blocks, readers: int
):
    recordio.write_index(tmp_path / "all.idx", *recordio.merge_indexes(recs))
    recordio.write_index(tmp_path / "images.idx", *recordio.merge_indexes(recs, images_only=True))
    found = []
    for index, left_out in ((None, 3), ("all.idx", 3), ("images.idx", 0)):
        merged = None if index is None else tmp_path / index
        loaders = [
            Loader(
                recs, 4, CROP, shuffle=shuffle, index=merged, images_only=True,
                shard_index=reader, shard_count=readers,
            )
            for reader in range(readers)
        ]  # fmt: skip
        assert {loader.left_out for loader in loaders} == {left_out * WITHOUT}
        found.append([rows(list(loader)) for loader in loaders])
        assert sorted(itertools.chain.from_iterable(found[-1])) == sorted(EXPECTED * 3)
    assert found[0] == found[1] == found[2]


@index_of_images
def test_resumed_with_an_index_of_the_images_alone(recs: list[Path], tmp_path: Path):
    images = tmp_path / "images.idx"
    recordio.write_index(images, *recordio.merge_indexes(recs, images_only=True))
    loader = Loader(recs, 4, CROP, images_only=True)
    batches = iter(loader)
    before = [next(batches) for _ in range(3)]
    other = Loader(recs, 4, CROP, index=images)
    other.load_state_dict(json.loads(json.dumps(loader.state_dict())))
    rest = rows(list(batches))
    assert rows(list(other)) == rest
    assert sorted(rows(before) + rest) == sorted(EXPECTED * 3)


def test_it_says_how_many_once_and_warns_of_nothing(
    recs: list[Path], caplog: pytest.LogCaptureFixture
):
    with warnings.catch_warnings(action="error"), caplog.at_level(logging.WARNING):
        Loader(recs, 4, CROP, images_only=True).close()
    assert caplog.messages == ["left out: 15 records without an image (insightface's layout)"]


def test_no_byte_behind_the_last_image_is_read(recs: list[Path], monkeypatch: pytest.MonkeyPatch):
    loader = Loader(recs[:1], 4, CROP, shuffle=False, images_only=True)
    keys, offsets = recordio.read_index(recs[0].with_suffix(".idx"))
    ends = []
    pread = recordio.RecordReader.pread

    def watched(self: recordio.RecordReader, size: int, offset: int) -> bytes:
        ends.append(offset + size)
        return pread(self, size, offset)

    monkeypatch.setattr(recordio.RecordReader, "pread", watched)
    assert rows(list(loader)) == EXPECTED
    assert max(ends) == offsets[keys == 0][0]


def test_plain_shards_stay_whole(tmp_path: Path):
    shard = write_shard(tmp_path / "a.rec", range(9), [encoded(photo(40, 32, 1))] * 9)
    asked = Loader([shard], 4, CROP, images_only=True)
    assert asked.left_out == 0
    assert asked.state_dict() == Loader([shard], 4, CROP).state_dict()


def test_an_image_of_no_bytes_is_a_bad_record_as_ever(tmp_path: Path):
    """Of key 0 and with two labels it might be a header."""
    images = [b"", *[encoded(photo(40, 32, 1))] * 8]
    shard = write_shard(tmp_path / "a.rec", range(9), images, np.array([3, 1], np.float32))
    told = "record 0 at byte 0: it has 2 labels and no image"
    with pytest.raises(LoadError, match=told):
        list(Loader([shard], 4, CROP, label_width=2))
    for asked in (False, True):
        loader = Loader([shard], 4, CROP, label_width=2, on_error="skip", images_only=asked)
        assert sum(4 - batch.padding for batch in loader) == 8
        assert len(loader.failures) == 1


def test_a_damaged_header_stops_who_relies_on_it(tmp_path: Path):
    rec = write_faces(tmp_path / "a.rec", header=(FIRST + 40, FIRST + 50))
    with pytest.raises(ValueError, match=r"a\.rec: the record of key 0 is a header .*contradicts"):
        Loader([rec], 4, CROP, images_only=True)
    flagged = write_faces(tmp_path / "b.rec")
    set_flag(flagged, 0, 3)
    with pytest.raises(ValueError, match=r"b\.rec: the record of key 0 has not the two labels"):
        Loader([flagged], 4, CROP, images_only=True)
    loader = Loader([rec], 4, CROP, shuffle=False, on_error="skip")
    assert rows(list(loader)) == EXPECTED
    assert set(loader.failures.values()) == {
        f"{rec}: record {key} at byte {offset}: it has 2 labels and no image"
        for key, offset in zip(*recordio.read_index(rec.with_suffix(".idx")), strict=True)
        if not 1 <= key <= IMAGES
    }
