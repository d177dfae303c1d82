"""What a shard holds, counted and read, against what was put in."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from faces import FIRST, IMAGES, ORDERS, SIZES, bounds, set_flag, write_faces
from making import encoded, imnet, photo

from imnetlib import recordio
from imnetlib.cli import main
from imnetlib.engines.mxnet import mx
from imnetlib.pack import survey_shard

LABELS = [number % 3 for number in range(400)]


def jpeg(number: int) -> bytes:
    return encoded(photo(64, 48, number))


def write(path: Path, payloads: list[bytes]) -> list[int]:
    """The shard and its index; where the records begin."""
    writer = recordio.MXIndexedRecordIO(path.with_suffix(".idx"), path, "w")
    for number, payload in enumerate(payloads):
        writer.write_idx(number, payload)
    writer.close()
    return recordio.scan(path).tolist()


def record(number: int, image: bytes) -> bytes:
    return recordio.pack(recordio.IRHeader(0, LABELS[number], number, 0), image)


@pytest.mark.parametrize("threads", [1, 3])
@pytest.mark.parametrize("decode", [False, True])
def test_every_record_is_counted_and_every_bad_image_named(
    tmp_path: Path, decode: bool, threads: int
):
    images = [jpeg(number) for number in range(400)]
    images[7] = images[7][:-300]
    images[399] = b"<html>"
    payloads = [record(number, image) for number, image in enumerate(images)]
    payloads[20] = b"no header"
    payloads[30] = recordio.pack(recordio.IRHeader(0, [2.0, 9.0], 30, 0), images[30])
    offsets = write(tmp_path / "a.rec", payloads)
    steps = list[int]()
    found = survey_shard(tmp_path / "a.rec", decode=decode, threads=threads, advance=steps.append)
    expected = Counter(LABELS) - Counter([LABELS[20], LABELS[30]]) + Counter([2])
    assert found.counts == expected
    assert sum(steps) == 400
    named = {one.offset: one.reason for one in found.unreadable}
    assert named[offsets[20]].startswith("no image record: 9 bytes are too few")
    assert len(named) == (3 if decode else 1)
    if decode:
        assert named[offsets[7]].startswith(
            "the image of id 7 cannot be read: its JPEG data is damaged"
        )
        assert named[offsets[399]] == "the image of id 399 cannot be read: it is no image"


def test_records_larger_than_a_block_and_of_several_parts(tmp_path: Path):
    magic = recordio.frame(b"")[:4]
    long = magic + bytes(400_000)
    payloads = [record(number, long * (3 * (number % 2)) + magic * 2) for number in range(9)]
    write(tmp_path / "a.rec", payloads)
    assert survey_shard(tmp_path / "a.rec", decode=False).counts == Counter(LABELS[:9])


def test_verify_of_several_files_counts_them_together(tmp_path: Path):
    for part in range(2):
        write(
            tmp_path / f"{part}.rec", [record(n, jpeg(n)) for n in range(part * 10, part * 10 + 10)]
        )
    recs = [str(tmp_path / f"{part}.rec") for part in range(2)]
    done = CliRunner().invoke(main, ["verify", "--decode", *recs])
    assert done.exit_code == 0, done.output
    assert done.output.endswith("3 classes, 6 to 7 records each\n0 of 2 files have problems\n")
    write(tmp_path / "1.rec", [record(10, jpeg(10)[:-200])])
    bad = CliRunner().invoke(main, ["verify", "--decode", *recs])
    assert bad.exit_code == 1
    assert f"{recs[1]}: record at byte 0: the image of id 10 cannot be read" in bad.output
    assert "1 of 2 files have problems" in bad.output
    assert CliRunner().invoke(main, ["verify", *recs]).exit_code == 0


def test_a_merged_index_overwrites_nothing(tmp_path: Path):
    for part in range(2):
        write(tmp_path / f"{part}.rec", [record(n, jpeg(n)) for n in range(4)])
    recs = [str(tmp_path / f"{part}.rec") for part in range(2)]
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    for out in (recs[0], recs[0].replace(".rec", ".idx"), str(tmp_path / "all.json")):
        done = CliRunner().invoke(main, ["merge-index", out, *recs])
        assert done.exit_code == 2
        assert "OUT comes first, and is a new .idx file" in done.output
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before
    done = CliRunner().invoke(main, ["merge-index", str(tmp_path / "all.idx"), *recs])
    assert "4 keys are repeated" in done.output


@pytest.mark.parametrize("text", ["", "{", "[]"])
def test_a_damaged_sidecar_is_named_and_the_other_files_are_checked(tmp_path: Path, text: str):
    for part in range(2):
        write(tmp_path / f"{part}.rec", [record(n, jpeg(n)) for n in range(4)])
    (tmp_path / "0.json").write_text(text)
    done = CliRunner().invoke(main, ["verify", str(tmp_path / "0.rec"), str(tmp_path / "1.rec")])
    assert done.exit_code == 1
    assert "0.json is" in done.output
    assert "remove it, and pack again" in done.output
    assert f"{tmp_path}/1.rec: 4 records of sound structure" in done.output


def test_the_merged_index_opens_several_files_to_mxnets_iterator(tmp_path: Path):
    recs = [tmp_path / f"{part}.rec" for part in range(3)]
    for part, rec in enumerate(recs):
        write(rec, [record(n, jpeg(n)) for n in range(part * 8, part * 8 + 8)])
    done = CliRunner().invoke(main, ["merge-index", str(tmp_path / "all.idx"), *map(str, recs)])
    assert "24 records of 3 files" in done.output
    iterator = mx.io.ImageRecordIter(
        path_imgrec=";".join(map(str, recs)), path_imgidx=str(tmp_path / "all.idx"),
        data_shape=(3, 32, 32), batch_size=8, preprocess_threads=1,
    )  # fmt: skip
    labels = [label for batch in iterator for label in batch.label[0].asnumpy().tolist()]
    assert sorted(labels) == sorted(map(float, LABELS[:24]))


BY_LABEL = {10.0 * number: size for number, size in enumerate(SIZES)}


@pytest.mark.parametrize("indexed", [True, False])
@pytest.mark.parametrize("decode", [False, True])
@pytest.mark.parametrize("order", ORDERS)
def test_records_without_an_image_are_no_class_and_not_unreadable(
    tmp_path: Path, order: str, decode: bool, indexed: bool
):
    rec = write_faces(tmp_path / "a.rec", order)
    if not indexed:
        rec.with_suffix(".idx").unlink()
    found = survey_shard(str(rec), decode=decode, threads=np.int64(2))
    assert (found.counts, found.unreadable) == (BY_LABEL, ())
    assert found.without_image == 1 + len(SIZES)
    done = imnet("verify", rec, *(["--decode"] if decode else []))
    assert done.exit_code == 0, done.output
    assert f"{rec}: 4 identity records and their header (insightface's layout) hold" in done.output
    assert "\n4 classes, 1 to 4 records each\n" in done.output


@pytest.mark.parametrize("decode", [False, True])
def test_an_image_of_no_bytes_among_them_is_unreadable(tmp_path: Path, decode: bool):
    rec = write_faces(tmp_path / "a.rec", aligned=True, empty=IMAGES)
    found = survey_shard(rec, decode=decode)
    assert (found.counts, found.without_image) == (BY_LABEL, 1 + len(SIZES))
    reasons = [f"the image of id {IMAGES} cannot be read: it is empty"]
    assert [one.reason for one in found.unreadable] == (reasons if decode else [])


def test_a_damaged_header_is_a_problem(tmp_path: Path):
    rec = write_faces(tmp_path / "a.rec", header=(FIRST + 0.5, 3))
    done = imnet("verify", "--decode", rec)
    assert done.exit_code == 1
    assert "the record of key 0 is a header of insightface's layout that contr" in done.output
    assert done.output.count("record at byte") == 1
    assert "\n4 classes, 1 to 4 records each\n" in done.output


@pytest.mark.parametrize("order", ORDERS)
def test_an_index_of_the_images_alone_is_an_option(tmp_path: Path, order: str):
    rec = write_faces(tmp_path / "a.rec", order)
    done = imnet("merge-index", tmp_path / "images.idx", rec, "--images-only")
    assert done.output == f"{IMAGES} records of 1 files: {tmp_path}/images.idx\n"
    keys, offsets = recordio.read_index(tmp_path / "images.idx")
    assert keys.tolist() == list(range(1, FIRST))
    for key, offset in zip(keys, offsets, strict=True):
        with recordio.RecordReader(rec) as reader:
            assert recordio.unpack(reader.read_at(offset))[0].id == key


LAST_KEY = FIRST + len(SIZES) - 1


@pytest.mark.parametrize("decode", [False, True])
@pytest.mark.parametrize(
    ("ranges", "flag", "fault"),
    [
        ((np.nan, FIRST), None, "of key 14 names the images nan to 11"),
        ((9.5, FIRST), None, "of key 14 names the images 9.5 to 11"),
        ((5, FIRST), None, "of key 14 names the images 5 to 11"),
        (None, (LAST_KEY, 0), "of key 14 names the images nan to nan"),
        (None, (LAST_KEY, 3), "of key 14 names the images nan to nan"),
        (None, (0, 0), "of key 0 has not the two labels of a header"),
        (None, (0, 1), "of key 0 has not the two labels of a header"),
        (None, (0, 3), "of key 0 has not the two labels of a header"),
    ],
)
def test_verify_names_what_read_identities_names(
    tmp_path: Path,
    ranges: tuple[float, float] | None,
    flag: tuple[int, int] | None,
    fault: str,
    decode: bool,
):
    stored = [*bounds()[:-1], ranges or bounds()[-1]]
    rec = write_faces(tmp_path / "a.rec", ranges=stored)
    if flag is not None:
        set_flag(rec, *flag)
    with pytest.raises(ValueError, match=rf"^{rec}: the (identity )?record {fault}") as caught:
        recordio.read_identities(rec)
    keys, offsets = recordio.read_index(rec.with_suffix(".idx"))
    found = survey_shard(rec, decode=decode).unreadable
    header = int(offsets[keys == 0][0])
    assert [one.reason for one in found if one.offset == header] == [str(caught.value)]
    assert imnet("verify", rec).exit_code == 1


def test_a_survey_with_no_thread_is_refused(tmp_path: Path):
    with pytest.raises(ValueError, match="threads are 1 or more, not 0"):
        survey_shard(tmp_path / "a.rec", decode=False, threads=0)
