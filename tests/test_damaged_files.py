"""Thousands of damaged files: each is refused by its name, or left out by it, and all else goes on.

Truncated, with flipped bits, with bytes overwritten, missing or too many, and mere garbage.
"""

from __future__ import annotations

import gzip
import io
import os
import random
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path

import cv2
import numpy as np
import pytest
from making import encoded, jpeg, outputs, photo, put, tar_of, write_shard
from PIL import Image
from tars import index_by_scanner

from imnetlib import catalog, evaluate, organize, pack, recordio
from imnetlib.archive import TarIndex, gunzip_tar, index_tar
from imnetlib.course import sample
from imnetlib.image import (
    RANDOM_COLUMNS,
    ImageError,
    Settings,
    Transform,
    convert_image,
    decode,
    decode_into,
    verify_ends,
    verify_image,
)
from imnetlib.loader import Loader


def damaged(whole: bytes, chance: random.Random) -> bytes:
    """The bytes with damage of a random kind at a random place."""
    at = chance.randrange(len(whole))
    width = chance.randint(1, 64)
    if chance.random() < 0.5:
        # What matters most stands at either end of most files.
        at = chance.choice([at % 200, len(whole) - 1 - at % 200]) % len(whole)
    rest = whole[at:]
    kinds = [
        b"",
        bytes([rest[0] ^ 1 << chance.randrange(8)]) + rest[1:],
        chance.randbytes(width) + rest[width:],
        bytes(width) + rest[width:],
        rest[width:],
        chance.randbytes(width) + rest,
        rest[:width] + rest,
    ]
    if chance.random() < 0.02:
        return chance.randbytes(chance.randrange(2000))
    return whole[:at] + chance.choice(kinds)


PICTURE = photo(60, 45, 1)
TURNED = Image.Exif()
TURNED[0x0112] = 6
IMAGES = [
    encoded(PICTURE),
    encoded(PICTURE, exif=TURNED),
    encoded(PICTURE, progressive=True, optimize=True),
    encoded(PICTURE, subsampling=0, restart_marker_blocks=2),
    encoded(PICTURE, mode="L"),
    encoded(PICTURE, mode="CMYK"),
    encoded(PICTURE, "PNG"),
    encoded(PICTURE, "PNG", "P"),
    encoded(PICTURE, "PNG", "RGBA"),
    encoded(PICTURE, "BMP"),
    cv2.imencode(".png", PICTURE[:, :, 0].astype(np.uint16) * 257)[1].tobytes(),
]


def damaged_image(chance: random.Random) -> bytes:
    return damaged(chance.choice(IMAGES), chance)


MANY = pytest.mark.parametrize("count", [300, pytest.param(20_000, marks=pytest.mark.slow)])


@MANY
def test_a_damaged_image_is_read_whole_or_refused_as_an_image_error(count: int):
    """By each that reads one; what is verified can be decoded, and what is converted verified."""
    chance = random.Random(count)
    transform = Transform(32, "random_resized", mirror=True)
    canvas = np.empty((32, 32, 3), np.uint8)
    refused = 0
    for _ in range(count):
        data = damaged_image(chance)
        uniforms = [chance.random() for _ in range(RANDOM_COLUMNS)]
        settings = chance.choice([Settings(), Settings(resize=24), Settings(color=0)])
        try:
            verify_image(data)
        except ImageError:
            refused += 1
            with pytest.raises(ImageError):
                decode(data)
            with pytest.raises(ImageError):
                convert_image(data, settings)
            continue
        if data[:2] == b"\xff\xd8" and data[2:3] != b"\xff":
            # Decoded here, but no JPEG to other decoders: never stored as it is.
            with pytest.raises(ImageError, match="does not begin like a JPEG"):
                verify_ends(data)
        else:
            verify_ends(data)
        assert decode(data).shape[2] == 3
        decode_into(data, transform, uniforms, canvas)
        stored, _ = convert_image(data, settings)
        verify_image(stored)
        Image.open(io.BytesIO(stored)).load()
        assert cv2.imdecode(np.frombuffer(stored, np.uint8), cv2.IMREAD_COLOR) is not None
    assert count // 3 < refused < count


@MANY
@pytest.mark.parametrize("pass_through", [False, True])
def test_damaged_images_are_left_out_by_name_and_all_others_packed_and_loaded(
    tmp_path: Path, count: int, pass_through: bool
):
    """Every second file is sound; of the others all are either stored or reported."""
    chance = random.Random(count)
    files = {}
    for number in range(count):
        # Sixteen folders, as for so many files one is slow.
        name = f"n{number % 16:02}/{number}.JPEG"
        files[name] = jpeg(seed=number % 50) if number % 2 else damaged_image(chance)
    put(tmp_path / "in", files)
    images = pack.shuffle(pack.list_folder(tmp_path / "in"), 1)
    settings = Settings(resize=24, pass_through=pass_through) if pass_through else Settings()
    out = tmp_path / "out"
    done = pack.pack(images, pack.Folder(tmp_path / "in"), out, "set", shards=2, settings=settings)
    left_out = {failure.path for failure in done.failures}
    assert done.images + len(left_out) == count
    assert left_out <= {name for name in files if not int(Path(name).stem) % 2}
    report = pack.failures_path(out, "set").read_text().splitlines()
    assert {line.split("\t")[1] for line in report[1:]} == left_out

    names = dict(zip(images.ids.tolist(), map(os.fsdecode, images.paths.tolist()), strict=True))
    stored = {}
    for shard in sorted(out.glob("*.rec")):
        assert recordio.verify(shard, shard.with_suffix(".idx")).problems == ()
        with recordio.RecordReader(shard) as reader:
            for _, record in reader:
                header, image = recordio.unpack(bytes(record))
                stored[names[header.id]] = image
    assert stored.keys() == files.keys() - left_out
    if pass_through:
        assert all(image == files[name] for name, image in stored.items())

    loader = Loader(sorted(out.glob("*.rec")), 64, Transform(16), on_error="skip")
    loaded = set()
    for batch in loader:
        loaded |= {names[key] for key in batch.ids[: 64 - batch.padding].tolist()}
    assert len(loaded) + len(loader.failures) == len(stored)
    # What was decoded when it was packed can be decoded again.
    assert pass_through or not loader.failures
    assert {name for name in files if int(Path(name).stem) % 2} <= loaded


@pytest.mark.parametrize("count", [150, pytest.param(5000, marks=pytest.mark.slow)])
def test_a_loader_leaves_out_damaged_records_and_gives_the_untouched(tmp_path: Path, count: int):
    chance = random.Random(count)
    images = [jpeg(seed=number) for number in range(40)]
    shard = write_shard(tmp_path / "a.rec", range(40), images)
    whole = shard.read_bytes()
    offsets = [*recordio.scan(shard).tolist(), len(whole)]
    for _ in range(count):
        # Bytes in place of others: where some are missing, the index is another file's.
        at = chance.randrange(len(whole))
        spoilt = chance.choice([chance.randbytes(60), bytes(300), bytes([whole[at] ^ 1])])
        data = (whole[:at] + spoilt + whole[at + len(spoilt) :])[: len(whole)]
        # As the loader before may still use the memory.
        shard.unlink()
        shard.write_bytes(data)
        spans = pairwise(offsets)
        untouched = {key for key, (a, b) in enumerate(spans) if data[a:b] == whole[a:b]}
        with Loader([shard], 20, Transform(8), on_error="skip", threads=1) as loader:
            found = set()
            for batch in loader:
                found |= set(batch.ids[: 20 - batch.padding].tolist())
            assert untouched <= found
            assert len(found) + len(loader.failures) == 40
            assert all(text.startswith(f"{shard}: record ") for text in loader.failures.values())


def tar(folder: Path) -> Path:
    path = folder / "set.tar"
    classes = {
        f"n{n}.tar": tar_of({f"{n}_{i}.JPEG": b"x" * i * 99 for i in range(4)}) for n in "12"
    }
    path.write_bytes(tar_of(classes))
    return path


def packed_tar(folder: Path) -> Path:
    path = folder / "set.tar.gz"
    path.write_bytes(gzip.compress(tar(folder).read_bytes()))
    return path


def tar_index(folder: Path) -> Path:
    index_tar(tar(folder)).save(folder / "set.tar.npz")
    return folder / "set.tar.npz"


def shard(folder: Path) -> Path:
    ids = np.arange(12) * 7
    return write_shard(folder / "a.rec", ids.tolist(), [jpeg(seed=int(key)) for key in ids])


def shard_index(folder: Path) -> Path:
    return shard(folder).with_suffix(".idx")


def sidecar(folder: Path) -> Path:
    put(folder / "in", {f"n{i}/{i}.JPEG": jpeg(seed=i) for i in range(4)})
    pack_again(folder)
    return folder / "set-00000-of-00001.json"


def pack_again(folder: Path) -> None:
    images = pack.list_folder(folder / "in")
    pack.pack(images, pack.Folder(folder / "in"), folder, "set", shards=1)


def image_list(folder: Path) -> Path:
    path = folder / "a.lst"
    path.write_text("".join(f"{7 * i}\t{i % 3}.500000\tn{i % 3}/é_{i}.JPEG\n" for i in range(40)))
    return path


def devkit(folder: Path) -> Path:
    sample.draw(folder, classes=3, train_per_class=1, validation_per_class=2, workers=1)
    return folder / catalog.DEVKIT


def kaggle_labels(folder: Path) -> Path:
    path = folder / "LOC_val_solution.csv"
    rows = [f"ILSVRC2012_val_{i:08},n0000000{i % 4} 1 2 3 4\n" for i in range(1, 41)]
    path.write_text("ImageId,PredictionString\n" + "".join(rows))
    return path


def synset(folder: Path) -> Path:
    path = folder / "synset.txt"
    path.write_text("".join(f"n{number:08} a thing\n" for number in range(30)))
    return path


def journal(folder: Path) -> Path:
    put(folder, {organize.validation_name(i): b"x" for i in range(1, 7)})
    organize.sort_validation(folder, ["n00000001", "n00000002"] * 3)
    return folder / organize.JOURNAL


def sort_again(folder: Path) -> None:
    organize.sort_validation(folder, ["n00000001", "n00000002"] * 3)


def predictions(name: str) -> Callable[[Path], Path]:
    def make(folder: Path) -> Path:
        wnids = ("n00000001", "n00000002", "n00000003")
        evaluate.save_predictions(folder, wnids, [outputs(9)], 9, "a network")
        return folder / name

    return make


def load_predictions(path: Path) -> None:
    evaluate.Predictions.load(path.parent)


def load_epoch(rec: Path) -> None:
    with Loader([rec], 4, Transform(8), on_error="skip", threads=1) as loader:
        for _ in loader:
            pass


READERS: dict[str, tuple[Callable[[Path], Path], Callable[[Path], object]]] = {
    "tar, indexed": (tar, index_tar),
    "tar, scanned": (tar, lambda path: index_by_scanner(path.read_bytes(), path, [700])),
    "tar.gz": (packed_tar, lambda path: gunzip_tar(path, path.with_name("new.tar"))),
    "npz of a tar": (tar_index, TarIndex.load),
    "npz, listed": (tar_index, lambda path: pack.list_archive(TarIndex.load(path))),
    "rec, scanned": (shard, recordio.scan),
    "rec, index rebuilt": (shard, recordio.rebuild_index),
    "rec, surveyed": (shard, lambda path: pack.survey_shard(path, decode=True)),
    "rec, loaded": (shard, load_epoch),
    "idx": (shard_index, recordio.read_index),
    "idx, verified": (shard_index, lambda path: recordio.verify(path.with_suffix(".rec"), path)),
    "idx, merged": (shard_index, lambda path: recordio.merge_indexes([path.with_suffix(".rec")])),
    "idx, loaded": (shard_index, lambda path: load_epoch(path.with_suffix(".rec"))),
    "json": (sidecar, recordio.read_sidecar),
    "json, verified": (sidecar, lambda path: recordio.verify_sidecar(path.with_suffix(".rec"))),
    "json, packed again": (sidecar, lambda path: pack_again(path.parent)),
    "json, loaded": (sidecar, lambda path: load_epoch(path.with_suffix(".rec"))),
    "lst": (image_list, pack.read_lst),
    "devkit, labels": (devkit, organize.read_labels),
    "devkit, counts": (devkit, organize.train_counts),
    "csv of Kaggle": (kaggle_labels, organize.read_labels),
    "synset.txt": (synset, catalog.read_classes),
    "journal, sorted again": (journal, lambda path: sort_again(path.parent)),
}
READERS |= {
    f"predictions, {name}": (predictions(name), load_predictions)
    for name in ("probabilities.npy", "labels.npy", "ids.npy", "source.txt", "synset.txt")
}


@pytest.mark.parametrize("count", [40, pytest.param(2000, marks=pytest.mark.slow)])
@pytest.mark.parametrize("reader", READERS)
def test_a_damaged_file_is_read_or_refused_by_its_name(tmp_path: Path, reader: str, count: int):
    make, read = READERS[reader]
    path = make(tmp_path)
    whole = path.read_bytes()
    read(path)
    chance = random.Random(count)
    for _ in range(count):
        path.unlink(missing_ok=True)
        path.write_bytes(damaged(whole, chance))
        try:
            read(path)
        except (ValueError, OSError) as error:
            # The file, or the folder of several that contradict each other.
            named = path.name.partition(".")[0] in str(error) or f"{path.parent}: " in str(error)
            assert named, error  # noqa: PT017
