"""What a shard holds: MXNet reads every image in list order, and the .json says so."""

from __future__ import annotations

import io
import json
import zlib
from pathlib import Path

import cv2
import numpy as np
import pytest
from making import photo
from packing import SMALL, listed, pixels, records, write
from PIL import Image

from imnetlib import pack as packing
from imnetlib.image import Settings
from imnetlib.pack import Folder, ImageList, pack
from imnetlib.recordio import verify_sidecar


def test_mxnet_reads_every_image_in_list_order_with_its_label(photos: Path, tmp_path: Path):
    images = listed(photos)
    summary = pack(images, Folder(photos), tmp_path, "train", shards=4, settings=SMALL)
    assert [path.name for path in sorted(tmp_path.glob("*.rec"))][1] == "train-00001-of-00004.rec"
    found = records(tmp_path)
    assert [header.id for header, _ in found] == images.ids.tolist()
    assert [header.label for header, _ in found] == images.labels[:, 0].tolist()
    kept = 0
    for (_, data), path in zip(found, images.paths.tolist(), strict=True):
        original = (photos / path.decode()).read_bytes()
        source = pixels(original)
        short = min(source.shape[:2])
        # A small picture is not enlarged, and keeps its bytes.
        if short <= 64:
            assert data == original
            kept += 1
        else:
            height, width = source.shape[:2]
            assert pixels(data).shape[:2] == (height * 64 // short, width * 64 // short)
            reduced = cv2.resize(source, pixels(data).shape[1::-1], interpolation=cv2.INTER_AREA)
            assert np.abs(pixels(data).astype(int) - reduced).mean() < 6
    assert (summary.images, summary.kept) == (60, kept)
    assert (summary.reencoded, summary.converted) == (60 - kept, 0)
    assert summary.bytes_in == sum(path.stat().st_size for path in photos.rglob("*.JPEG"))
    assert summary.bytes_out == sum(path.stat().st_size for path in tmp_path.glob("*.rec"))
    assert not summary.failures
    assert not (tmp_path / "train-failures.tsv").exists()


def test_several_labels(tmp_path: Path, photos: Path):
    images = listed(photos)
    labels = np.arange(180, dtype=np.float32).reshape(60, 3) / 7
    several = ImageList(images.ids, labels, images.paths)
    with pytest.raises(ValueError, match="3 labels an image"):
        pack(several, Folder(photos), tmp_path, "set", shards=1, settings=SMALL)
    settings = Settings(resize=64, pack_label=True)
    pack(several, Folder(photos), tmp_path, "set", shards=1, settings=settings)
    assert np.array_equal([header.label for header, _ in records(tmp_path)], labels)


@pytest.mark.parametrize("encoding", [".jpg", ".png"])
def test_odd_files_become_ordinary_ones_of_the_right_colours(tmp_path: Path, encoding: str):
    picture = photo(60, 44, 1)
    root = tmp_path / "in" / "n00"
    sideways = Image.Exif()
    sideways[0x0112] = 6
    write(root / "a.JPEG", picture, "PNG")
    write(root / "b.JPEG", picture, mode="CMYK")
    write(root / "c.JPEG", picture, mode="L")
    write(root / "d.JPEG", np.rot90(picture), exif=sideways)
    images = listed(tmp_path / "in")
    settings = Settings(resize=64, encoding=encoding, quality=95 if encoding == ".jpg" else 3)
    summary = pack(
        images, Folder(tmp_path / "in"), tmp_path / "out", "set", shards=1, settings=settings
    )
    assert (summary.converted, summary.kept, summary.reencoded) == (4, 0, 0)
    gray = np.repeat(cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY)[:, :, None], 3, axis=2)
    for (_, data), path in zip(records(tmp_path / "out"), images.paths.tolist(), strict=True):
        assert data.startswith(b"\xff\xd8" if encoding == ".jpg" else b"\x89PNG")
        image = Image.open(io.BytesIO(data))
        assert image.mode == "RGB"
        assert not image.getexif()
        expected = gray if path.endswith(b"c.JPEG") else picture
        # If the inks were inverted, the mean would be about 100.
        assert np.abs(np.asarray(image).astype(int) - expected).mean() < 8


def test_the_json_says_what_the_shard_holds(tmp_path: Path, photos: Path):
    pack(listed(photos), Folder(photos), tmp_path, "set", shards=2, settings=SMALL)
    sidecar = json.loads((tmp_path / "set-00001-of-00002.json").read_bytes())
    assert (sidecar["images"], sidecar["number"], sidecar["shards"], sidecar["resize"]) == (
        30,
        1,
        2,
        64,
    )
    assert sidecar["bytes_out"] == (tmp_path / "set-00001-of-00002.rec").stat().st_size
    assert sidecar["images"] == sidecar["kept"] + sidecar["reencoded"] + sidecar["converted"]
    assert set(sidecar["versions"]) == {"imnetlib", "numpy", "opencv", "pillow", "simplejpeg"}
    settings = Settings(pass_through=True)
    pack(listed(photos), Folder(photos), tmp_path, "as-is", shards=1, settings=settings)
    sidecar = json.loads((tmp_path / "as-is-00000-of-00001.json").read_bytes())
    assert set(sidecar["versions"]) == {"imnetlib"}


def test_a_sidecar_contradicted_by_its_files(photos: Path, tmp_path: Path):
    pack(listed(photos), Folder(photos), tmp_path, "set", shards=1, settings=SMALL)
    rec = tmp_path / "set-00000-of-00001.rec"
    assert verify_sidecar(rec) == []
    sidecar = json.loads(rec.with_suffix(".json").read_bytes())
    assert sidecar["rec_crc32"] == zlib.crc32(rec.read_bytes())
    damaged = bytearray(rec.read_bytes())
    damaged[100] ^= 1
    rec.write_bytes(damaged)
    rec.with_suffix(".idx").unlink()
    assert verify_sidecar(rec) == [
        f"{rec} is not as it was packed: its CRC-32 is {zlib.crc32(damaged)}, "
        f"{rec.with_suffix('.json')} says {sidecar['rec_crc32']}",
        f"{rec.with_suffix('.idx')} is missing, though {rec.with_suffix('.json')} names it",
    ]
    rec.with_suffix(".json").unlink()
    assert verify_sidecar(rec) == []


def test_a_task_holds_its_part_of_the_list_only(photos: Path):
    tasks = packing.shard_tasks(listed(photos), Folder(photos), packing.Job(Path("out"), "set", 7))
    assert (
        [len(task.ids) for task in tasks]
        == [len(task.files.paths) for task in tasks]
        == [8, 9, 8, 9, 8, 9, 9]
    )
