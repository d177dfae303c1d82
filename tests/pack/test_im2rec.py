"""What im2rec.py packed is read, verified, indexed anew and loaded."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from im2rec_tool import im2rec
from making import encoded, imnet, photo, put

from imnetlib import recordio
from imnetlib.image import Transform
from imnetlib.loader import Loader
from imnetlib.pack import ImageList, read_lst, survey_shard, write_lst

PHOTOS = {f"n{i % 3}/{i}.png": photo(40, 40, i) for i in range(24)}
WHOLE = Transform(40, "center", share=1.0)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Photos of three classes, all of one size."""
    place = tmp_path_factory.mktemp("photos")
    put(place, {name: encoded(picture, "PNG") for name, picture in PHOTOS.items()})
    return place


def a_list(labels: int) -> ImageList:
    """The photos with so many labels each; ids are not in order."""
    ids = np.random.default_rng(1).permutation(len(PHOTOS)) * 5 + 2
    values = np.random.default_rng(2).integers(0, 9, (len(PHOTOS), labels)).astype(np.float32)
    return ImageList(ids, values, np.array([name.encode() for name in PHOTOS]))


@pytest.mark.parametrize("labels", [1, 3])
@pytest.mark.parametrize("encoding", [".jpg", ".png"])
def test_what_it_packed_is_read_by_all_that_reads_records(
    folder: Path, tmp_path: Path, encoding: str, labels: int
):
    images = a_list(labels)
    write_lst(images, tmp_path / "a.lst")
    options = ["--pack-label"] if labels > 1 else []
    quality = 95 if encoding == ".jpg" else 3
    im2rec("--encoding", encoding, "--quality", quality, *options, tmp_path / "a", folder)
    rec = tmp_path / "a.rec"
    keys, offsets = recordio.read_index(tmp_path / "a.idx")
    assert keys.tolist() == images.ids.tolist()

    with recordio.RecordReader(rec) as reader:
        records = [recordio.unpack_img(bytes(record)) for _, record in reader]
    assert [header.id for header, _ in records] == images.ids.tolist()
    for (header, picture), label, original in zip(
        records, images.labels, PHOTOS.values(), strict=True
    ):
        assert np.array_equal(np.atleast_1d(header.label), label)
        # OpenCV's order of colours; a PNG loses nothing.
        difference = np.abs(picture[:, :, ::-1].astype(int) - original)
        assert difference.mean() < 4 if encoding == ".jpg" else not difference.any()

    assert recordio.verify(rec, tmp_path / "a.idx").problems == ()
    survey = survey_shard(rec, decode=True)
    assert not survey.unreadable
    assert sum(survey.counts.values()) == len(PHOTOS)
    assert [column.tolist() for column in recordio.rebuild_index(rec)] == [
        keys.tolist(),
        offsets.tolist(),
    ]

    (batch,) = Loader([rec], len(PHOTOS), WHOLE, shuffle=False, label_width=labels)
    assert batch.ids.tolist() == images.ids.tolist()
    assert np.array_equal(batch.labels.reshape(images.labels.shape), images.labels)
    for row, (_, picture) in zip(batch.images, records, strict=True):
        # Two decoders of JPEG may differ by one.
        assert np.abs(row.astype(int) - picture[:, :, ::-1]).max() <= (encoding == ".jpg")


def test_its_chunks_are_shards(folder: Path, tmp_path: Path):
    im2rec("--list", "--recursive", "--chunks", 3, tmp_path / "set", folder)
    im2rec("--pass-through", tmp_path / "set", folder)
    chunks = [tmp_path / f"set_{number}.rec" for number in range(3)]
    done = imnet("merge-index", tmp_path / "all.idx", *chunks)
    assert "24 records of 3 files" in done.output
    done = imnet("verify", "--decode", *chunks)
    assert done.output.endswith("3 classes, 8 to 8 records each\n0 of 3 files have problems\n")
    expected = {}
    for chunk in chunks:
        images = read_lst(chunk.with_suffix(".lst"))
        names = [name.decode() for name in images.paths.tolist()]
        expected |= dict(zip(images.ids.tolist(), names, strict=True))
    found = {}
    for batch in Loader(chunks, 7, WHOLE, index=tmp_path / "all.idx"):
        for row in range(len(batch.ids) - batch.padding):
            name = expected[int(batch.ids[row])]
            assert name.startswith(f"n{batch.labels[row]:.0f}/")
            assert np.array_equal(batch.images[row], PHOTOS[name])
            found[name] = True
    assert found.keys() == PHOTOS.keys()
