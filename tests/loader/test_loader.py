"""The loader: every record once, whoever reads; resumed as if never stopped; pixels as in Pillow
and MXNet.
"""

import errno
import io
import itertools
import json
import os
import pickle
import re
import resource
import shutil
import threading
import warnings
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from making import encoded, photo, write_shard
from PIL import Image

from imnetlib import recordio
from imnetlib.image import MIRROR, RANDOM_COLUMNS, Transform, crop_box
from imnetlib.loader import Batch, Loader, LoadError, batch, index, readahead
from imnetlib.order import (
    Blocks,
    batch_starts,
    neighbours_together,
    order_of,
    random_numbers,
    shuffled_positions,
)

# records of each shard
SIZES = (11, 20, 6)
N = sum(SIZES)
TRAIN = Transform(28, "random_resized", mirror=True)
ORDERS = (True, False, Blocks(3, 2))


@pytest.fixture(scope="module")
def images() -> dict[int, bytes]:
    return {1000 + 3 * i: encoded(photo(*((40, 32) if i % 2 else (32, 50)), i)) for i in range(N)}


@pytest.fixture(scope="module")
def shards(tmp_path_factory: pytest.TempPathFactory, images: dict[int, bytes]) -> list[Path]:
    folder = tmp_path_factory.mktemp("shards")
    ids = list(images)
    paths = []
    for number, size in enumerate(SIZES):
        mine = ids[:size]
        ids = ids[size:]
        paths.append(
            write_shard(folder / f"set-{number:05d}-of-00003.rec", mine, [images[i] for i in mine])
        )
    return paths


def shown(batches: Iterable[Batch]) -> dict[int, bytes]:
    """The pixels by record id; fails when an id comes twice."""
    found: dict[int, bytes] = {}
    for batch in batches:
        for row in range(len(batch.ids) - batch.padding):
            key = int(batch.ids[row])
            assert key not in found
            assert batch.labels[row] == key % 10
            found[key] = batch.images[row].tobytes()
    return found


@given(
    records=st.integers(1, 300),
    batch_size=st.integers(1, 70),
    readers=st.integers(1, 9),
    start=st.integers(0, 320),
)
def test_readers_share_the_positions_of_an_epoch(
    records: int, batch_size: int, readers: int, start: int
):
    taken = [batch_starts(records, batch_size, start, reader, readers) for reader in range(readers)]
    assert len({len(starts) for starts in taken}) == 1
    positions = sorted(first + i for starts in taken for first in starts for i in range(batch_size))
    assert positions == list(range(start, start + len(positions)))
    assert len(positions) >= records - start
    assert len(positions) - max(0, records - start) < batch_size * readers


@given(n=st.integers(1, 500), seed=st.integers(0, 2**31), epoch=st.integers(0, 1000))
def test_the_order_of_an_epoch_is_a_permutation(n: int, seed: int, epoch: int):
    order = order_of([n], True, seed, epoch)
    assert sorted(order.tolist()) == list(range(n))
    if n > 50:
        assert not np.array_equal(order, order_of([n], True, seed, epoch + 1))
        assert not np.array_equal(order, order_of([n], True, seed + 1, epoch))


def test_the_shuffle_is_fair():
    """Where the records of the first half land over 400 epochs: as chance would have it, within 5
    deviations.
    """
    n = 64
    epochs = 400
    landed = np.array([order_of([n], True, 7, epoch) for epoch in range(epochs)])
    counts = np.array([np.bincount(landed[:, place], minlength=n) for place in range(n)])
    chi_square = ((counts - epochs / n) ** 2 / (epochs / n)).sum()
    freedom = (n - 1) ** 2
    assert abs(chi_square - freedom) < 5 * np.sqrt(2 * freedom)


def test_random_numbers_are_uniform_and_belong_to_the_record():
    ids = np.arange(50_000)
    numbers = random_numbers(3, 5, ids, 4)
    assert 0 <= numbers.min() < numbers.max() < 1
    for column in numbers.T:
        counts = np.bincount((column * 100).astype(int), minlength=100)
        assert abs(((counts - 500) ** 2 / 500).sum() - 99) < 5 * np.sqrt(2 * 99)
    assert np.abs(np.corrcoef(numbers.T) - np.eye(4)).max() < 0.025
    assert np.array_equal(random_numbers(3, 5, ids[[7, 4]], 4), numbers[[7, 4]])
    assert not np.isin(random_numbers(3, 6, ids, 4), numbers).any()
    assert not np.isin(random_numbers(4, 5, ids, 4), numbers).any()


@given(
    height=st.integers(1, 400), width=st.integers(1, 400), key=st.integers(0, 10**6), data=st.data()
)
@settings(max_examples=200)
def test_crops_lie_inside_and_have_the_shape_asked_for(
    height: int, width: int, key: int, data: st.DataObject
):
    transform = Transform(24, data.draw(st.sampled_from(["center", "random", "random_resized"])))
    top, left, tall, wide = crop_box(
        height, width, transform, random_numbers(0, 0, np.array([key]), 23)[0].tolist()
    )
    assert 0 <= top <= top + tall <= height
    assert 0 <= left <= left + wide <= width
    assert tall > 0 < wide
    square = tall == wide == max(1, round(min(height, width) * 0.875))
    if transform.crop != "random_resized":
        assert square
    elif not square and min(tall, wide) > 20:
        # smaller: rounding to pixels changes the aspect
        assert 0.72 < wide / tall < 1.39
        assert 0.075 < tall * wide / (height * width) <= 1


@pytest.mark.parametrize("readers", [1, 2, 3, 5])
@pytest.mark.parametrize("batch_size", [1, 4, 16, 100])
def test_every_record_comes_once_whoever_reads(shards: list[Path], readers: int, batch_size: int):
    whole = shown(Loader(shards, 8, TRAIN, seed=9))
    loaders = [
        Loader(shards, batch_size, TRAIN, seed=9, shard_index=r, shard_count=readers)
        for r in range(readers)
    ]
    batches = [list(loader) for loader in loaders]
    assert {len(own) for own in batches} == {len(loaders[0])}
    assert all(batch.images.shape == (batch_size, 28, 28, 3) for own in batches for batch in own)
    assert shown(batch for own in batches for batch in own) == whole
    assert len(whole) == N
    assert (
        sum(batch.padding for own in batches for batch in own)
        == len(loaders[0]) * batch_size * readers - N
    )


def test_epochs_differ_and_repeat_with_the_seed(shards: list[Path]):
    loader = Loader(shards, 8, TRAIN, seed=1)
    first = [b.ids.tolist() for b in loader]
    second = [b.ids.tolist() for b in loader]
    assert loader.epoch == 2
    assert first != second
    again = Loader(shards, 8, TRAIN, seed=1)
    assert [b.ids.tolist() for b in again] == first
    in_file_order = [
        key
        for b in Loader(shards, 9, TRAIN, shuffle=False)
        for key in b.ids[: 9 - b.padding].tolist()
    ]
    assert in_file_order == [1000 + 3 * i for i in range(N)]


@pytest.mark.parametrize("threads", [1, 2, 4])
@pytest.mark.parametrize("prefetch", [1, 3])
def test_threads_change_nothing(shards: list[Path], threads: int, prefetch: int):
    expected = list(Loader(shards, 20, TRAIN, seed=2, threads=1, prefetch=1))
    found = list(Loader(shards, 20, TRAIN, seed=2, threads=threads, prefetch=prefetch))
    for one, other in zip(expected, found, strict=True):
        for field in ("images", "labels", "ids"):
            assert np.array_equal(getattr(one, field), getattr(other, field))
        assert one.padding == other.padding


@pytest.mark.parametrize("stop", [0, 1, 3, 4])
def test_resumed_as_if_never_stopped(shards: list[Path], stop: int):
    uninterrupted = Loader(shards, 8, TRAIN, seed=4)
    expected = [batch for _ in range(2) for batch in uninterrupted]
    first = Loader(shards, 8, TRAIN, seed=4)
    iterator = iter(first)
    before = [next(iterator) for _ in range(stop)]
    state = json.loads(json.dumps(first.state_dict()))
    second = Loader(shards, 8, TRAIN, seed=4)
    second.load_state_dict(state)
    found = before + [batch for _ in range(2) for batch in second]
    assert [batch.ids.tolist() for batch in found] == [batch.ids.tolist() for batch in expected]
    assert all(np.array_equal(a.images, b.images) for a, b in zip(found, expected, strict=True))


@pytest.mark.parametrize(
    ("readers_before", "readers_after", "batch_after"), [(1, 3, 4), (2, 1, 4), (3, 2, 5)]
)
def test_resumed_by_another_number_of_readers(
    shards: list[Path], readers_before: int, readers_after: int, batch_after: int
):
    whole = shown(Loader(shards, 4, TRAIN, seed=4))
    before = []
    states = []
    for r in range(readers_before):
        loader = Loader(shards, 4, TRAIN, seed=4, shard_index=r, shard_count=readers_before)
        iterator = iter(loader)
        before += [next(iterator), next(iterator)]
        iterator.close()
        states.append(loader.state_dict())
    assert all(state == states[0] for state in states)
    after = []
    for r in range(readers_after):
        loader = Loader(
            shards, batch_after, TRAIN, seed=4, shard_index=r, shard_count=readers_after
        )
        loader.load_state_dict(states[0])
        after += list(loader)
    assert shown(before + after) == whole


@pytest.mark.parametrize(
    "wrong", [{"position": -8}, {"position": "8"}, {"epoch": -1}, {"epoch": None}]
)
def test_a_position_that_is_none_is_refused(shards: list[Path], wrong: dict[str, object]):
    loader = Loader(shards, 4, TRAIN, seed=np.int64(3))
    state = json.loads(json.dumps(loader.state_dict()))
    with pytest.raises(ValueError, match="epoch and position are whole numbers from 0 on"):
        loader.load_state_dict(state | wrong)
    assert loader.state_dict() == state


def test_a_position_among_other_ids_is_refused(tmp_path: Path, images: dict[int, bytes]):
    data = list(images.values())
    one, other = (
        Loader([write_shard(tmp_path / f"{first}.rec", range(first, first + N), data)], 4, TRAIN)
        for first in (0, 1)
    )
    with pytest.raises(ValueError, match=r"another order of records: records_crc32 \d+, here \d+"):
        other.load_state_dict(one.state_dict())


def test_an_epoch_can_be_begun_by_its_number(shards: list[Path]):
    loader = Loader(shards, 8, TRAIN)
    epochs = [[b.ids.tolist() for b in loader] for _ in range(3)]
    loader.start_epoch(1)
    next(iter(loader))
    loader.start_epoch(1)
    assert [b.ids.tolist() for b in loader] == epochs[1]


@pytest.mark.parametrize("state", [{}, {"epoch": 0}])
def test_something_else_than_a_saved_position_is_refused(shards: list[Path], state: dict[str, int]):
    with pytest.raises(
        ValueError,
        match=r"not a saved position of a loader: it lacks .*position, records, records_crc32, seed, shuffle",
    ):
        Loader(shards, 4, TRAIN).load_state_dict(state)


def test_the_end_of_an_epoch_is_a_position(shards: list[Path]):
    loader = Loader(shards, 4, TRAIN, seed=4)
    loader.load_state_dict(loader.state_dict() | {"position": 40})
    assert list(loader) == []
    assert loader.epoch == 1


def test_a_position_among_other_records_is_refused(shards: list[Path]):
    state = Loader(shards, 4, TRAIN, seed=4).state_dict()
    with pytest.raises(ValueError, match="seed 4, here 5"):
        Loader(shards, 4, TRAIN, seed=5).load_state_dict(state)
    with pytest.raises(ValueError, match="records 37, here 31"):
        Loader(shards[:2], 4, TRAIN, seed=4).load_state_dict(state)


def test_the_centre_crop_is_pillows(tmp_path: Path):
    whole = [photo(341, 256, 1), photo(256, 300, 2)]
    large = [photo(1400, 1024, 3)]
    data = [encoded(picture) for picture in whole + large]
    shard = write_shard(tmp_path / "a.rec", range(3), data)
    (batch,) = Loader([shard], 3, Transform(224), shuffle=False)
    for row in range(2):
        picture = np.asarray(Image.open(io.BytesIO(data[row])))
        top = (picture.shape[0] - 224) // 2
        left = (picture.shape[1] - 224) // 2
        expected = picture[top : top + 224, left : left + 224]
        assert np.abs(batch.images[row].astype(int) - expected).max() <= 1
    box = (252, 64, 252 + 896, 64 + 896)
    expected = np.asarray(
        Image.fromarray(large[0]).resize((224, 224), Image.Resampling.LANCZOS, box)
    )
    assert np.abs(batch.images[2].astype(int) - expected).mean() < 2.5


SHAPES = [
    (600, 600),
    (2000, 1500),
    (1037, 777),
    (1000, 750),
    (683, 512),
    (500, 375),
    (777, 1037),
    (5000, 3777),
]


@pytest.mark.parametrize(("width", "height"), SHAPES)
def test_a_crop_of_a_reduced_decode_is_not_shifted(tmp_path: Path, width: int, height: int):
    """Half a pixel beside the place costs 8 to 15 dB; sides that are no multiple of 8 are the hard
    ones.
    """
    data = encoded(cv2.GaussianBlur(photo(width, height, 3), (0, 0), 2))
    shard = write_shard(tmp_path / "a.rec", [0], [data])
    for crop in ("center", "random_resized"):
        transform = Transform(224, crop)
        (batch,) = Loader([shard], 1, transform)
        box = crop_box(
            height,
            width,
            transform,
            random_numbers(0, 0, np.array([0]), RANDOM_COLUMNS)[0].tolist(),
        )
        edges = (box[1], box[0], box[1] + box[3], box[0] + box[2])
        expected = Image.open(io.BytesIO(data)).resize((224, 224), Image.Resampling.LANCZOS, edges)
        assert psnr(batch.images[0], np.asarray(expected)) > 44


def psnr(found: np.ndarray, expected: np.ndarray) -> float:
    return 10 * np.log10(255**2 / np.mean((found.astype(float) - expected) ** 2))


def test_half_of_the_pictures_are_mirrored(tmp_path: Path):
    picture = encoded(photo(64, 64, 1))
    shard = write_shard(tmp_path / "a.rec", range(400), [picture] * 400)
    (plain,) = Loader([shard], 400, Transform(32))
    (batch,) = Loader([shard], 400, Transform(32, mirror=True), seed=3)
    same = (batch.images == plain.images[0]).all(axis=(1, 2, 3))
    mirrored = (batch.images == plain.images[0][:, ::-1]).all(axis=(1, 2, 3))
    assert (same ^ mirrored).all()
    assert 150 < mirrored.sum() < 250


@pytest.mark.parametrize("crop", ["random", "random_resized"])
def test_random_crops_show_parts_of_the_picture(tmp_path: Path, crop: str):
    """Each pixel of the picture says where it is, so that the crop's place can be read off."""
    rows, columns = np.mgrid[0:120, 0:160].astype(np.uint8)
    picture = np.stack([rows * 2, columns, np.full_like(rows, 99)], axis=2)
    image = io.BytesIO()
    Image.fromarray(picture).save(image, "PNG")
    shard = write_shard(tmp_path / "a.rec", range(60), [image.getvalue()] * 60)
    (batch,) = Loader([shard], 60, Transform(105, crop), seed=1)
    tops = batch.images[:, 0, 0, 0] / 2
    lefts = batch.images[:, 0, 0, 1]
    heights = batch.images[:, -1, 0, 0] / 2 - tops + 1
    widths = batch.images[:, 0, -1, 1].astype(int) - lefts + 1
    assert len(set(zip(tops.tolist(), lefts.tolist(), strict=True))) > 30
    if crop == "random":
        assert set(heights) == set(widths) == {105}
        assert (lefts.min() < 8, lefts.max() > 47, tops.min() < 3, tops.max() > 12) == (True,) * 4
    else:
        shares = heights * widths / (120 * 160)
        assert 0.05 < shares.min() < 0.2 < 0.85 < shares.max() <= 1
        assert 0.6 < (widths / heights).min() < 0.85 < 1.15 < (widths / heights).max() < 1.5


def test_layouts_and_normalised_numbers(shards: list[Path]):
    mean = (123.7, 116.3, 103.5)
    std = (58.4, 57.1, 57.4)
    plain = [b.images for b in Loader(shards, 8, TRAIN, seed=1)]
    turned = [
        b.images
        for b in Loader(shards, 8, Transform(28, "random_resized", True, layout="NCHW"), seed=1)
    ]
    assert all(
        np.array_equal(a.transpose(0, 3, 1, 2), b) for a, b in zip(plain, turned, strict=True)
    )
    for layout, axes in (("NHWC", (0, 1, 2, 3)), ("NCHW", (0, 3, 1, 2))):
        transform = Transform(28, "random_resized", True, layout=layout, mean=mean, std=std)
        for a, b in zip(plain, Loader(shards, 8, transform, seed=1), strict=True):
            assert b.images.dtype == np.float32
            np.testing.assert_allclose(
                b.images, ((a - np.array(mean)) / std).transpose(axes), atol=1e-5
            )


@pytest.mark.parametrize(
    "keep", [lambda a: a, lambda a: a[1:3], memoryview, lambda a: a.reshape(-1)[::2]]
)
def test_a_batch_that_is_kept_keeps_its_pixels(
    shards: list[Path], keep: Callable[[np.ndarray], Any]
):
    """Whatever refers to its memory, in whatever way; and what nobody keeps is used again."""
    kept = []
    copies = []
    for batch in Loader(shards, 6, TRAIN, seed=1, prefetch=1):
        kept.append(keep(batch.images))
        copies.append(np.array(kept[-1]))
        del batch
    assert all(np.array_equal(one, copy) for one, copy in zip(kept, copies, strict=True))


def test_what_nobody_keeps_is_used_again(shards: list[Path]):
    loader = Loader(shards, 3, TRAIN, prefetch=2)
    places = {batch.images.ctypes.data for _ in range(3) for batch in loader}
    assert len(places) <= 4
    kept = [batch.images for batch in loader]
    assert len({images.ctypes.data for images in kept}) == len(loader) == 13


def test_several_labels(tmp_path: Path, images: dict[int, bytes]):
    label = np.array([1.5, -2, 7], np.float32)
    shard = write_shard(tmp_path / "a.rec", images, images.values(), label)
    with pytest.raises(LoadError, match="it has 3 labels, label_width is 1"):
        list(Loader([shard], 8, TRAIN))
    for batch in Loader([shard], 8, TRAIN, label_width=3):
        assert np.array_equal(batch.labels, np.tile(label, (8, 1)))


BAD = {
    "truncated": lambda image: image[:300],
    "empty": lambda image: b"",
    "text": lambda image: b"no image",
}


@pytest.mark.parametrize("damage", BAD)
def test_a_bad_record_is_named_and_left_out_or_stops(
    tmp_path: Path, images: dict[int, bytes], damage: str
):
    bad = list(images)[5]
    data = [BAD[damage](image) if key == bad else image for key, image in images.items()]
    shard = write_shard(tmp_path / "a.rec", images, data)
    _, offsets = recordio.read_index(shard.with_suffix(".idx"))
    with pytest.raises(LoadError, match=rf"a\.rec: record {bad} at byte {offsets[5]}: "):
        list(Loader([shard], 8, TRAIN))
    loader = Loader([shard], 8, TRAIN, on_error="skip")
    batches = list(loader)
    assert set(shown(batches)) == set(images) - {bad}
    assert all(len(batch.ids) == 8 for batch in batches)
    assert sum(batch.padding for batch in batches) == 8 * len(batches) - N + 1
    assert list(loader.failures) == [(shard, offsets[5])]
    assert loader.failures[shard, offsets[5]].startswith(
        f"{shard}: record {bad} at byte {offsets[5]}: "
    )


def test_nothing_but_bad_records(tmp_path: Path):
    """Of a few they are left out; of many it is not the records that are wrong."""
    shard = write_shard(tmp_path / "a.rec", range(20), [b"x"] * 20)
    loader = Loader([shard], 5, TRAIN, on_error="skip")
    batch = next(iter(loader))
    assert (batch.padding, batch.images.any(), batch.labels.any()) == (5, False, False)
    assert len(loader.failures) >= 5
    with pytest.raises(
        LoadError, match=r"not one of the 8 records of a batch can be read; .*a\.rec: record \d+"
    ):
        list(Loader([shard], 8, TRAIN, on_error="skip"))


def test_shards_packed_apart_may_share_ids(tmp_path: Path, images: dict[int, bytes]):
    data = [images[1000], b"x", b"y"]
    shards = [write_shard(tmp_path / name, (1, 2, 3), data) for name in ("a.rec", "b.rec")]
    loader = Loader(shards, 6, TRAIN, on_error="skip")
    (batch,) = loader
    assert (batch.ids.tolist(), batch.padding) == ([1] * 6, 4)
    _, offsets = recordio.read_index(tmp_path / "a.idx")
    assert set(loader.failures) == {
        (shard, offset) for shard in shards for offset in offsets[1:].tolist()
    }
    assert all(text.startswith(f"{shard}: record ") for (shard, _), text in loader.failures.items())


def open_files(folder: Path) -> int:
    """How many files of this process lie in ``folder``."""
    links = [os.path.realpath(link) for link in Path("/proc/self/fd").iterdir()]
    return sum(Path(link).parent == folder.resolve() for link in links)


def test_a_closed_loader_holds_no_file_and_says_so(tmp_path: Path, images: dict[int, bytes]):
    shards = [write_shard(tmp_path / name, images, images.values()) for name in ("a.rec", "b.rec")]
    with Loader(shards, 8, TRAIN, on_error="skip") as loader:
        assert len(list(loader)) == -(-2 * N // 8)
        assert open_files(tmp_path) == 2
    assert open_files(tmp_path) == 0
    loader.close()
    with pytest.raises(ValueError, match="the loader is closed"):
        list(loader)
    assert not loader.failures


def test_an_index_that_lies_is_found_out(tmp_path: Path, images: dict[int, bytes]):
    shard = write_shard(tmp_path / "a.rec", images, images.values())
    keys, offsets = recordio.read_index(shard.with_suffix(".idx"))
    recordio.write_index(shard.with_suffix(".idx"), keys, offsets + 4)
    with pytest.raises(
        LoadError, match=r"record 1108, the last: .*a\.rec: no sound record at byte"
    ):
        Loader([shard], 8, TRAIN)
    recordio.write_index(
        shard.with_suffix(".idx"), keys, [*offsets[:-2], offsets[-2] + 4, offsets[-1]]
    )
    with pytest.raises(
        LoadError, match=r"a\.rec: record 1105 at byte \d+: no sound record, found .*; do index"
    ):
        list(Loader([shard], 8, TRAIN))
    recordio.write_index(shard.with_suffix(".idx"), keys, [*offsets[:-1], offsets[0]])
    with pytest.raises(ValueError, match=r"a\.idx names the record at byte 0 twice"):
        Loader([shard], 8, TRAIN)
    recordio.write_index(shard.with_suffix(".idx"), keys, offsets + 10**6)
    with pytest.raises(ValueError, match=r"a\.idx points to byte"):
        Loader([shard], 8, TRAIN)
    recordio.write_index(shard.with_suffix(".idx"), keys[:-1], offsets[:-1])
    shard.with_suffix(".json").write_text(json.dumps({"images": N}))
    with pytest.raises(ValueError, match=r"has 36 records of .*a\.json says 37"):
        Loader([shard], 8, TRAIN)


@pytest.mark.parametrize("shuffle", ORDERS)
def test_a_shard_cut_short_after_the_index_was_written(
    tmp_path: Path, images: dict[int, bytes], shuffle: bool | Blocks
):
    shard = write_shard(tmp_path / "a.rec", images, images.values())
    shard.write_bytes(shard.read_bytes()[:-100])
    with pytest.raises(LoadError, match=r"record 1108, the last: .*a\.rec: .* the file ends at"):
        Loader([shard], 8, TRAIN)
    loader = Loader([shard], 8, TRAIN, on_error="skip", shuffle=shuffle)
    assert len(shown(loader)) == N - 1
    _, offsets = recordio.read_index(shard.with_suffix(".idx"))
    assert list(loader.failures) == [(shard, offsets[-1])]


def test_arguments_that_make_no_sense(tmp_path: Path, shards: list[Path]):
    for wrong in (
        {"batch_size": 0},
        {"threads": 0},
        {"prefetch": 0},
        {"shard_index": 2, "shard_count": 2},
        {"seed": -1},
    ):
        with pytest.raises(ValueError, match=r"or more|seed is not negative|shard_index is from 0"):
            Loader(shards, **({"batch_size": 4} | wrong), transform=TRAIN)
    for wrong, text in (
        ({"on_error": "stop"}, "on_error is raise or skip, not 'stop'"),
        ({"shuffle": "no"}, "shuffle is True, False or Blocks"),
        ({"shuffle": Blocks}, "shuffle is True, False or Blocks"),
        ({"classes": 0}, "classes is None or 1 or more, not 0"),
        ({"label_width": 0}, "label_width is 1 or more, not 0"),
        ({"shards": str(shards[0])}, "shards is a list of paths, not '.*rec'"),
        ({"shards": shards[0]}, "shards is a list of paths, not"),
    ):
        with pytest.raises(ValueError, match=text):
            Loader(**({"shards": shards, "batch_size": 4, "transform": TRAIN} | wrong))
    with pytest.raises(ValueError, match=r"no records in .*empty\.rec"):
        Loader([write_shard(tmp_path / "empty.rec", [], [])], 4, TRAIN)


@pytest.mark.parametrize(
    ("wrong", "text"),
    [
        ({"size": 0}, "size is 1 pixel or more, not 0"),
        ({"crop": "centre"}, "crop is center, random or random_resized, not 'centre'"),
        ({"share": 0.0}, "share is above 0 and at most 1, not 0.0"),
        ({"share": 1.1}, "share is above 0 and at most 1, not 1.1"),
        ({"scale": (0.0, 1.0)}, "scale is two shares"),
        ({"scale": (0.8, 0.2)}, "scale is two shares"),
        ({"scale": (0.5, 2.0)}, "scale is two shares"),
        ({"ratio": (2.0, 1.0)}, "ratio is two numbers"),
        ({"ratio": (0.0, 1.0)}, "ratio is two numbers"),
        ({"layout": "NWHC"}, "layout is NHWC or NCHW, not 'NWHC'"),
        ({"size": 64.5}, "size is 1 pixel or more, not 64.5"),
        ({"mean": (5.0,)}, "mean is None or a number a channel"),
        ({"mean": 127}, "mean is None or a number a channel"),
        ({"mean": (float("nan"), 1, 2)}, "mean is None or a number a channel"),
        ({"mean": (0.485, 0.456, 0.406)}, "mean and std are on the scale of 0 to 255"),
        ({"std": (2.0, 2.0, 2.0)}, "std goes with a mean"),
        ({"std": (1.0, 0.0, 1.0)}, "std is three numbers above 0"),
        ({"std": (1.0, 1.0)}, "std is three numbers above 0"),
    ],
)
def test_transforms_that_make_no_sense(wrong: dict[str, object], text: str):
    with pytest.raises(ValueError, match=text):
        Transform(**wrong)


def workers() -> list[str]:
    return [thread.name for thread in threading.enumerate() if thread.name.startswith("imnetlib-")]


def interrupt(loader: Loader) -> None:
    for _ in loader:
        raise KeyboardInterrupt


@pytest.mark.parametrize("shuffle", ORDERS)
def test_no_thread_outlives_the_loop(tmp_path: Path, shards: list[Path], shuffle: bool | Blocks):
    for _ in Loader(shards, 4, TRAIN, threads=3, shuffle=shuffle):
        assert workers()
        break
    assert not workers()
    with pytest.raises(KeyboardInterrupt):
        interrupt(Loader(shards, 4, TRAIN, threads=3, shuffle=shuffle))
    assert not workers()
    bad = write_shard(tmp_path / "a.rec", range(30), [b"x"] * 30)
    with pytest.raises(LoadError):
        list(Loader([bad], 4, TRAIN, threads=3, shuffle=shuffle))
    assert not workers()


@given(
    sizes=st.lists(st.integers(0, 60), min_size=1, max_size=5).filter(any),
    blocks=st.builds(Blocks, st.integers(1, 20), st.integers(1, 6)),
    seed=st.integers(0, 2**31),
    epoch=st.integers(0, 99),
)
def test_a_block_shuffle_arranges_whole_blocks_and_mixes_within_windows(
    sizes: list[int], blocks: Blocks, seed: int, epoch: int
):
    order = order_of(np.array(sizes), blocks, seed, epoch)
    records = sum(sizes)
    assert sorted(order.tolist()) == list(range(records))
    before = np.cumsum([0, *sizes]).tolist()
    cut = [
        range(first, min(first + blocks.records, before[shard + 1]))
        for shard, size in enumerate(sizes)
        for first in range(before[shard], before[shard] + size, blocks.records)
    ]
    arranged = [
        record for i in shuffled_positions(len(cut), seed << 32 | epoch) for record in cut[i]
    ]
    for first in range(0, records, blocks.places):
        window = slice(first, first + blocks.places)
        assert sorted(order[window]) == sorted(arranged[window])
    if records > 50 and blocks.places >= 50:
        assert order.tolist() != arranged


def test_a_block_shuffle_is_fair():
    """Over 600 epochs every record comes to every place as often as chance would have it, within 5
    deviations.
    """
    sizes = np.array([24, 16, 24])
    epochs = 600
    landed = np.array([order_of(sizes, Blocks(8, 2), 7, epoch) for epoch in range(epochs)])
    counts = np.array([np.bincount(place, minlength=64) for place in landed.T])
    chi_square = ((counts - epochs / 64) ** 2 / (epochs / 64)).sum()
    assert abs(chi_square - 63**2) < 5 * np.sqrt(2 * 63**2)


@given(
    order=st.integers(2, 40).flatmap(lambda n: st.permutations(range(n))),
    batch_size=st.integers(2, 12),
)
def test_neighbours_in_a_batch_are_counted_as_by_hand(order: list[int], batch_size: int):
    batches = [set(order[first : first + batch_size]) for first in range(0, len(order), batch_size)]
    met = sum(
        {record, record + 1} <= batch for batch in batches for record in range(len(order) - 1)
    )
    pairs = sum(len(batch) * (len(batch) - 1) for batch in batches) / (
        len(order) * (len(order) - 1)
    )
    expected = met / (len(order) - 1) / pairs
    assert neighbours_together(np.array(order), batch_size) == pytest.approx(expected)


def test_how_random_the_orders_are():
    """A full shuffle is at chance; a block shuffle nears it as its window grows; the stored order
    is far off.
    """
    sizes = np.array([30_000, 20_000])
    stored = neighbours_together(np.arange(50_000), 250)
    narrow, wide = (
        neighbours_together(order_of(sizes, Blocks(50, window), 1, 0), 250)
        for window in (10, 200)
    )
    assert stored == pytest.approx(200, rel=0.01)
    assert 50 < narrow < 150
    assert 3 < wide < 8
    assert 0.8 < neighbours_together(order_of([50_000], True, 1, 0), 250) < 1.2
    with pytest.raises(ValueError, match="neighbours need 2 records"):
        neighbours_together(np.arange(1), 250)


@given(
    shuffle=st.sampled_from(ORDERS),
    readers=st.tuples(st.integers(1, 6), st.integers(1, 6)),
    batch_sizes=st.tuples(st.integers(1, 12), st.integers(1, 45)),
    steps=st.integers(0, 6),
)
@settings(max_examples=40, deadline=None)
def test_stopped_and_resumed_every_record_comes_once(
    shards: list[Path],
    shuffle: bool | Blocks,
    readers: tuple[int, int],
    batch_sizes: tuple[int, int],
    steps: int,
):
    """By any number of readers before and after, in batches of any size; in the order that one
    reader gives.
    """
    options = {"shuffle": shuffle, "seed": 4, "threads": 1}
    whole = shown(Loader(shards, 4, TRAIN, **options))
    ids = np.array([1000 + 3 * i for i in range(N)])[order_of(SIZES, shuffle, 4, 0)].tolist()
    before = []
    states = []
    for reader in range(readers[0]):
        with Loader(
            shards, batch_sizes[0], TRAIN, shard_index=reader, shard_count=readers[0], **options
        ) as loader:
            taken = list(itertools.islice(iter(loader), steps))
            before.append(taken)
            states.append(loader.state_dict())
    assert all(state == states[0] for state in states)
    after = []
    for reader in range(readers[1]):
        with Loader(
            shards, batch_sizes[1], TRAIN, shard_index=reader, shard_count=readers[1], **options
        ) as loader:
            loader.load_state_dict(json.loads(json.dumps(states[0])))
            after.append(list(loader))
    # the first part went to the end, and the second began the next epoch
    if states[0]["epoch"] == 1:
        after = []
    in_turn = [
        batch for side in (before, after) for turn in zip(*side, strict=True) for batch in turn
    ]
    assert [key for b in in_turn for key in b.ids[: len(b.ids) - b.padding].tolist()] == ids
    assert shown(in_turn) == whole


@pytest.mark.parametrize(
    ("shuffle", "most"), [(False, 6), (Blocks(4, 3), 9), (Blocks(100, 1), 2), (True, 36)]
)
@pytest.mark.parametrize("readers", [1, 2])
def test_what_is_stored_together_is_read_at_once_and_no_byte_twice(
    tmp_path: Path,
    images: dict[int, bytes],
    monkeypatch: pytest.MonkeyPatch,
    shuffle: bool | Blocks,
    most: int,
    readers: int,
):
    data = list(images.values())
    shards = [
        write_shard(tmp_path / "a.rec", range(12), data[:12]),
        write_shard(tmp_path / "b.rec", range(24), data[12:36]),
    ]
    reads: list[tuple[Path, int, int]] = []
    plain = recordio.RecordReader.pread

    def counted(self: recordio.RecordReader, size: int, offset: int) -> bytes:
        reads.append((self.path, offset, size))
        return plain(self, size, offset)

    loaders = [
        Loader(shards, 6 // readers, TRAIN, shuffle=shuffle, shard_index=r, shard_count=readers)
        for r in range(readers)
    ]
    monkeypatch.setattr(recordio.RecordReader, "pread", counted)
    monkeypatch.setattr(readahead, "_LARGEST_GAP", 0)
    for one in loaders:
        assert len(list(one)) == 6
    assert len(reads) <= (most if readers == 1 else 36)
    touched = sorted(
        (path, byte) for path, offset, size in reads for byte in range(offset, offset + size)
    )
    assert touched == [(path, byte) for path in shards for byte in range(path.stat().st_size)]


def test_a_merged_index_is_as_good_as_one_for_each_shard(shards: list[Path], tmp_path: Path):
    recordio.write_index(tmp_path / "all.idx", *recordio.merge_indexes(shards))
    for shuffle in ORDERS:
        own = Loader(shards, 8, TRAIN, shuffle=shuffle)
        merged = Loader(shards, 8, TRAIN, shuffle=shuffle, index=tmp_path / "all.idx")
        assert merged.state_dict() == own.state_dict()
        for a, b in zip(own, merged, strict=True):
            assert np.array_equal(a.ids, b.ids)
            assert np.array_equal(a.images, b.images)
    with pytest.raises(ValueError, match=r"all\.idx points to byte [\d,]+, the 2 shards have"):
        Loader(shards[:2], 8, TRAIN, index=tmp_path / "all.idx")


def test_an_index_in_another_order_makes_no_difference(tmp_path: Path, images: dict[int, bytes]):
    shard = write_shard(tmp_path / "a.rec", images, images.values())
    keys, offsets = recordio.read_index(shard.with_suffix(".idx"))
    expected = [batch.ids.tolist() for batch in Loader([shard], 8, TRAIN, seed=1)]
    recordio.write_index(shard.with_suffix(".idx"), keys[::-1], offsets[::-1])
    assert [batch.ids.tolist() for batch in Loader([shard], 8, TRAIN, seed=1)] == expected


@pytest.mark.parametrize("shuffle", ORDERS)
def test_records_longer_than_what_is_read_at_first(
    shards: list[Path], monkeypatch: pytest.MonkeyPatch, shuffle: bool | Blocks
):
    expected = shown(Loader(shards, 8, TRAIN, shuffle=shuffle))
    monkeypatch.setattr(index, "_LONGEST_RECORD", 500)
    assert shown(Loader(shards, 8, TRAIN, shuffle=shuffle)) == expected


@pytest.mark.parametrize("label", [10.0, -1.0, 2.5, np.array([1, 12], np.float32)])
def test_a_label_that_is_no_class_is_named(tmp_path: Path, images: dict[int, bytes], label: object):
    shard = write_shard(tmp_path / "a.rec", [7], [images[1000]], label)
    options = {"classes": 10, "label_width": np.size(label)}
    said = ", ".join(f"{value:g}" for value in np.atleast_1d(label))
    with pytest.raises(
        LoadError, match=rf"a\.rec: record 7 at byte 0: its label is {said}; classes are 0 to 9"
    ):
        list(Loader([shard], 1, TRAIN, **options))
    loader = Loader([shard], 1, TRAIN, on_error="skip", **options)
    assert [batch.padding for batch in loader] == [1]
    assert len(list(Loader([shard], 1, TRAIN, label_width=options["label_width"]))) == 1


def test_one_label_in_an_array_is_a_label(tmp_path: Path, images: dict[int, bytes]):
    """MXNet writes flag 1 for an array of one."""
    shard = write_shard(tmp_path / "a.rec", [7], [images[1000]], np.array([3], np.float32))
    with Loader([shard], 1, TRAIN, classes=4) as loader, warnings.catch_warnings(action="error"):
        (batch,) = loader
    assert batch.labels.tolist() == [3.0]


def test_a_loop_left_at_its_last_batch_was_a_whole_epoch(shards: list[Path]):
    loader = Loader(shards, 8, TRAIN)
    for _ in range(3):
        assert len(list(zip(range(len(loader)), loader, strict=False))) == len(loader) == 5
    assert (loader.epoch, loader.position) == (3, 0)


def test_a_new_loop_ends_an_older_one(shards: list[Path]):
    loader = Loader(shards, 8, TRAIN, seed=6)
    older = iter(loader)
    first = next(older).ids.tolist()
    rest = [batch.ids.tolist() for batch in loader]
    assert list(older) == []
    loader.start_epoch(0)
    assert [batch.ids.tolist() for batch in loader] == [first, *rest]
    older = iter(loader)
    next(older)
    loader.load_state_dict(loader.state_dict() | {"position": 16})
    assert list(older) == []
    assert loader.position == 16


@pytest.mark.parametrize("shuffle", ORDERS)
def test_closed_in_the_middle_of_a_loop(shards: list[Path], shuffle: bool | Blocks):
    loader = Loader(shards, 4, TRAIN, shuffle=shuffle, on_error="skip")
    batches = iter(loader)
    next(batches)
    loader.close()
    assert not workers()
    assert list(batches) == []
    assert not loader.failures


def test_a_pickled_loader_goes_on_and_carries_no_pixels(shards: list[Path]):
    loader = Loader(shards, 8, TRAIN, seed=2)
    batches = iter(loader)
    next(batches)
    data = pickle.dumps(loader)
    assert len(data) < 8 * 28 * 28 * 3
    rest = [batch.ids.tolist() for batch in batches]
    assert [batch.ids.tolist() for batch in pickle.loads(data)] == rest


@pytest.mark.parametrize("shuffle", ORDERS)
def test_a_broken_disk_is_named_and_not_skipped(
    shards: list[Path], monkeypatch: pytest.MonkeyPatch, shuffle: bool | Blocks
):
    def broken(fd: int, size: int, offset: int) -> bytes:
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    loader = Loader(shards, 8, TRAIN, shuffle=shuffle, on_error="skip")
    monkeypatch.setattr("imnetlib.recordio.format.read_all_at", broken)
    with pytest.raises(
        OSError, match=r"byte [\d,]+ cannot be read \(Input/output error\): '.*\.rec'"
    ):
        list(loader)
    assert not loader.failures


def test_shards_and_indexes_that_do_not_belong_together(tmp_path: Path, shards: list[Path]):
    copies = [Path(shutil.copy(shard, tmp_path)) for shard in shards]
    with pytest.raises(
        FileNotFoundError, match=rf"a shard needs its index; imnet index {copies[0]} writes it"
    ):
        Loader(copies, 8, TRAIN)
    merged = tmp_path / "two.idx"
    recordio.write_index(merged, *recordio.merge_indexes(shards[:2]))
    with pytest.raises(ValueError, match=r"two\.idx names no record of .*00002-of.*: remove it"):
        Loader(copies, 8, TRAIN, index=merged)
    keys, offsets = recordio.merge_indexes(shards)
    recordio.write_index(merged, keys[1::2], offsets[1::2])
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        assert len(shown(Loader(copies, 8, TRAIN, index=merged))) == 18
    assert re.search(
        r"00001.*ends at byte [\d,]+ of [\d,]+; what follows is left out", "".join(map(str, said))
    )
    copies[1].with_suffix(".json").write_text(json.dumps({"images": SIZES[1]}))
    with pytest.raises(ValueError, match=r"two\.idx has 10 records of .*00001.*json says 20"):
        Loader(copies, 8, TRAIN, index=merged)
    copies[1].with_suffix(".json").write_text("{")
    with pytest.raises(ValueError, match=r"00001.*json is damaged"):
        Loader(copies, 8, TRAIN, index=merged)


def test_a_loader_that_is_refused_holds_no_file(tmp_path: Path, images: dict[int, bytes]):
    shard = write_shard(tmp_path / "a.rec", images, images.values())
    shard.write_bytes(shard.read_bytes()[:-100])
    with pytest.raises(LoadError) as kept:
        Loader([shard], 8, TRAIN)
    assert open_files(tmp_path) == 0
    assert kept


def test_crops_go_to_every_corner_and_mirrors_are_a_matter_of_their_own():
    """Top, left and mirror are three independent chances."""
    chances = random_numbers(1, 0, np.arange(4000), RANDOM_COLUMNS).tolist()
    boxes = [crop_box(100, 100, Transform(24, "random"), chance) for chance in chances]
    tops = np.array(boxes)[:, 0]
    lefts = np.array(boxes)[:, 1]
    # 12 pixels to move a crop of 88
    assert set(tops.tolist()) == set(lefts.tolist()) == set(range(13))
    assert abs(np.corrcoef(tops, lefts)[0, 1]) < 0.06
    mirrored = np.array([chance[MIRROR] < 0.5 for chance in chances])
    assert max(abs(np.corrcoef(mirrored, axis)[0, 1]) for axis in (tops, lefts)) < 0.06


def test_as_many_threads_work_as_a_small_batch_has_rows(
    shards: list[Path], monkeypatch: pytest.MonkeyPatch
):
    """Eight threads on batches of eight: all are at work at once."""
    together = threading.Barrier(8, timeout=10)

    def wait(*_: object) -> None:
        together.wait()

    monkeypatch.setattr(batch, "decode_into", wait)
    batches = iter(Loader(shards, 8, TRAIN, threads=8, prefetch=1))
    next(batches)
    together.abort()
    with pytest.raises(threading.BrokenBarrierError):
        list(batches)


def test_a_reader_of_several_reads_its_next_window_ahead(
    shards: list[Path], monkeypatch: pytest.MonkeyPatch
):
    """In file order the next window is another reader's; ahead comes the next of one's own."""
    asked: list[int] = []
    plain = readahead.Windows._read

    def noted(self: readahead.Windows, number: int) -> readahead.Window:
        asked.append(number)
        return plain(self, number)

    monkeypatch.setattr(readahead.Windows, "_read", noted)
    batches = iter(
        Loader(shards, 4, TRAIN, shuffle=False, shard_index=1, shard_count=3, prefetch=1)
    )
    next(batches)
    batches.close()
    assert asked == [1, 4, 7]


def test_more_shards_than_files_may_be_open(tmp_path: Path, images: dict[int, bytes]):
    shards = [write_shard(tmp_path / f"{i}.rec", [i], [images[1000]]) for i in range(40)]
    limits = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(
        resource.RLIMIT_NOFILE, (sum(1 for _ in Path("/proc/self/fd").iterdir()) + 20, limits[1])
    )
    try:
        with pytest.raises(OSError, match="40 shards want as many open files: raise the limit"):
            Loader(shards, 8, TRAIN)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, limits)
    assert open_files(tmp_path) == 0


def test_a_position_in_another_order_is_refused(shards: list[Path]):
    state = Loader(shards, 4, TRAIN, shuffle=Blocks(3, 2)).state_dict()
    with pytest.raises(ValueError, match=r"shuffle Blocks\(records=3, window=2\), here True"):
        Loader(shards, 4, TRAIN).load_state_dict(state)


@pytest.mark.parametrize("wrong", [(0, 1), (1, 0)])
def test_blocks_that_make_no_sense(wrong: tuple[int, int]):
    with pytest.raises(ValueError, match="a block has 1 record or more, a window 1 block or more"):
        Blocks(*wrong)
