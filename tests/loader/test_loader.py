"""The loader: every record once, whoever reads; bad records; and nothing left behind."""

import errno
import json
import os
import resource
import threading
import warnings
from pathlib import Path

import numpy as np
import pytest
from loading import IDS, ORDERS, TRAIN, N, pixels_by_id
from making import write_shard

from imnetlib import recordio
from imnetlib.loader import Blocks, Loader, LoadError


@pytest.mark.parametrize("readers", [1, 2, 3, 5])
@pytest.mark.parametrize("batch_size", [1, 4, 16, 100])
def test_every_record_comes_once_whoever_reads(shards: list[Path], readers: int, batch_size: int):
    whole = pixels_by_id(Loader(shards, 8, TRAIN, seed=9))
    loaders = [
        Loader(shards, batch_size, TRAIN, seed=9, shard_index=r, shard_count=readers)
        for r in range(readers)
    ]
    batches = [list(loader) for loader in loaders]
    assert {len(own) for own in batches} == {len(loaders[0])}
    assert all(batch.images.shape == (batch_size, 28, 28, 3) for own in batches for batch in own)
    assert pixels_by_id(batch for own in batches for batch in own) == whole
    assert len(whole) == N
    padding = sum(batch.padding for own in batches for batch in own)
    assert padding == len(loaders[0]) * batch_size * readers - N


def test_epochs_differ_and_repeat_with_the_seed(shards: list[Path]):
    loader = Loader(shards, 8, TRAIN, seed=1)
    first = [b.ids.tolist() for b in loader]
    second = [b.ids.tolist() for b in loader]
    assert loader.epoch == 2
    assert first != second
    again = Loader(shards, 8, TRAIN, seed=1)
    assert [b.ids.tolist() for b in again] == first
    in_file_order: list[int] = []
    for batch in Loader(shards, 9, TRAIN, shuffle=False):
        in_file_order += batch.ids[: 9 - batch.padding].tolist()
    assert in_file_order == IDS


@pytest.mark.parametrize("threads", [1, 2, 4])
@pytest.mark.parametrize("prefetch", [1, 3])
def test_threads_change_nothing(shards: list[Path], threads: int, prefetch: int):
    expected = list(Loader(shards, 20, TRAIN, seed=2, threads=1, prefetch=1))
    found = list(Loader(shards, 20, TRAIN, seed=2, threads=threads, prefetch=prefetch))
    for one, other in zip(expected, found, strict=True):
        for field in ("images", "labels", "ids"):
            assert np.array_equal(getattr(one, field), getattr(other, field))
        assert one.padding == other.padding


def test_several_labels(tmp_path: Path, images: dict[int, bytes]):
    label = np.array([1.5, -2, 7], np.float32)
    shard = write_shard(tmp_path / "a.rec", images, images.values(), label)
    with pytest.raises(LoadError, match="it has 3 labels, label_width is 1"):
        list(Loader([shard], 8, TRAIN))
    one = write_shard(tmp_path / "b.rec", images, images.values())
    with pytest.raises(LoadError, match="it has 1 label, label_width is 2"):
        list(Loader([one], 8, TRAIN, label_width=2))
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
    assert set(pixels_by_id(batches)) == set(images) - {bad}
    assert all(len(batch.ids) == 8 for batch in batches)
    assert sum(batch.padding for batch in batches) == 8 * len(batches) - N + 1
    assert list(loader.failures) == [(shard, offsets[5])]
    assert loader.failures[shard, offsets[5]].startswith(
        f"{shard}: record {bad} at byte {offsets[5]}: "
    )


def test_nothing_but_bad_records(tmp_path: Path):
    """A few are left out; where many are bad, the records are not the cause."""
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


def test_arguments_that_make_no_sense(tmp_path: Path, shards: list[Path]):
    for wrong, text in (
        ({"batch_size": 0}, "batch_size is 1 or more, not 0"),
        ({"threads": 0}, "threads are 1 or more, not 0"),
        ({"prefetch": 0}, "prefetch is 1 batch or more, not 0"),
        ({"shard_index": 2, "shard_count": 2}, "from 0 to shard_count - 1, not '2 of 2'"),
        ({"seed": -1}, "seed is not negative, not -1"),
        ({"on_error": "stop"}, "on_error is raise or skip, not 'stop'"),
        ({"classes": 0}, "classes is None or 1 or more, not 0"),
        ({"label_width": 0}, "label_width is 1 or more, not 0"),
    ):
        with pytest.raises(ValueError, match=text):
            Loader(**({"shards": shards, "batch_size": 4, "transform": TRAIN} | wrong))
    with pytest.raises(ValueError, match=r"no records in .*empty\.rec"):
        Loader([write_shard(tmp_path / "empty.rec", [], [])], 4, TRAIN)


WHOLE = ("batch_size", "seed", "threads", "prefetch", "shard_index", "shard_count", "label_width")


@pytest.mark.parametrize("wrong", [1.0, "1", None, True, [1]])
@pytest.mark.parametrize("name", [*WHOLE, "classes"])
def test_what_is_no_whole_number_is_refused(shards: list[Path], name: str, wrong: object):
    if (name, wrong) == ("classes", None):
        return
    given = {"shards": shards, "batch_size": 4, "transform": TRAIN} | {name: wrong}
    told = rf"^{name} is a whole number, not .*{type(wrong).__name__}"
    with pytest.raises(TypeError, match=told):
        Loader(**given)


@pytest.mark.parametrize(
    ("name", "wrong", "told"),
    [
        *(("transform", wrong, r"transform is a Transform\(…\)") for wrong in (224, None, {})),
        *(("shuffle", wrong, "shuffle is True, False or Blocks") for wrong in ("no", 1, Blocks)),
        ("shards", 5, "shards are several, in a list or a tuple, not 5"),
        ("images_only", "no", "images_only is True or False"),
        ("index", 5, "(expected|argument should be a) str"),
    ],
)
def test_another_type_is_named_with_the_right_one(
    shards: list[Path], name: str, wrong: object, told: str
):
    given = {"shards": shards, "batch_size": 4, "transform": TRAIN} | {name: wrong}
    with pytest.raises(TypeError, match=f"^{told}.*{type(wrong).__name__}"):
        Loader(**given)


@pytest.mark.parametrize("one", ["a.rec", b"a.rec", Path("a.rec")])
def test_one_path_is_no_list_of_shards(one: object):
    with pytest.raises(TypeError, match="shards are several, in a list or a tuple, not "):
        Loader(one, 4, TRAIN)


def test_numbers_of_numpy_and_paths_as_text_are_as_good(shards: list[Path]):
    options = {"seed": 3, "shard_index": 1, "shard_count": 2, "classes": 10, "label_width": 1}
    own = Loader(shards, 4, TRAIN, shuffle=Blocks(3, 2), threads=2, prefetch=1, **options)
    numpy = Loader(
        np.array([str(shard) for shard in shards]),
        np.int32(4),
        TRAIN,
        shuffle=Blocks(np.int64(3), np.uint8(2)),
        threads=np.int64(2),
        prefetch=np.int8(1),
        **{name: np.int64(value) for name, value in options.items()},
    )
    assert json.dumps(numpy.state_dict()) == json.dumps(own.state_dict())
    numpy.start_epoch(np.int64(1))
    own.start_epoch(1)
    assert json.dumps(numpy.state_dict()) == json.dumps(own.state_dict())
    assert pixels_by_id(numpy) == pixels_by_id(own)


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


@pytest.mark.parametrize("label", [10.0, -1.0, 2.5, np.array([1, 12], np.float32)])
def test_a_label_that_is_no_class_is_named(tmp_path: Path, images: dict[int, bytes], label: object):
    shard = write_shard(tmp_path / "a.rec", [7], [images[1000]], label)
    options = {"classes": 10, "label_width": np.size(label)}
    listed = ", ".join(f"{value:g}" for value in np.atleast_1d(label))
    said = rf"a\.rec: record 7 at byte 0: its label is {listed}; classes are 0 to 9"
    with Loader([shard], 1, TRAIN, **options) as loader, pytest.raises(LoadError, match=said):
        list(loader)
    with Loader([shard], 1, TRAIN, on_error="skip", **options) as loader:
        assert [batch.padding for batch in loader] == [1]
    with Loader([shard], 1, TRAIN, label_width=options["label_width"]) as loader:
        assert len(list(loader)) == 1


def test_one_label_in_an_array_is_a_label(tmp_path: Path, images: dict[int, bytes]):
    """MXNet writes flag 1 for an array of one."""
    shard = write_shard(tmp_path / "a.rec", [7], [images[1000]], np.array([3], np.float32))
    with Loader([shard], 1, TRAIN, classes=4) as loader, warnings.catch_warnings(action="error"):
        (batch,) = loader
    assert batch.labels.tolist() == [3.0]


@pytest.mark.parametrize("shuffle", ORDERS)
def test_closed_in_the_middle_of_a_loop(shards: list[Path], shuffle: bool | Blocks):
    loader = Loader(shards, 4, TRAIN, shuffle=shuffle, on_error="skip")
    batches = iter(loader)
    next(batches)
    loader.close()
    assert not workers()
    assert list(batches) == []
    assert not loader.failures


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


def test_a_loader_that_is_refused_holds_no_file(tmp_path: Path, images: dict[int, bytes]):
    shard = write_shard(tmp_path / "a.rec", images, images.values())
    shard.write_bytes(shard.read_bytes()[:-100])
    with pytest.raises(LoadError) as kept:
        Loader([shard], 8, TRAIN)
    assert open_files(tmp_path) == 0
    assert kept


def test_as_many_threads_work_as_a_small_batch_has_rows(
    shards: list[Path], monkeypatch: pytest.MonkeyPatch
):
    """Eight threads on batches of eight: all are at work at once."""
    together = threading.Barrier(8, timeout=10)

    def wait(*_: object) -> None:
        together.wait()

    monkeypatch.setattr("imnetlib.loader.batch.decode_into", wait)
    batches = iter(Loader(shards, 8, TRAIN, threads=8, prefetch=1))
    next(batches)
    together.abort()
    with pytest.raises(threading.BrokenBarrierError):
        list(batches)


def test_more_shards_than_files_may_be_open(tmp_path: Path, images: dict[int, bytes]):
    shards = [write_shard(tmp_path / f"{i}.rec", [i], [images[1000]]) for i in range(40)]
    limits = resource.getrlimit(resource.RLIMIT_NOFILE)
    few = len(list(Path("/proc/self/fd").iterdir())) + 20
    resource.setrlimit(resource.RLIMIT_NOFILE, (few, limits[1]))
    try:
        with pytest.raises(OSError, match="40 shards want as many open files: raise the limit"):
            Loader(shards, 8, TRAIN)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, limits)
    assert open_files(tmp_path) == 0


def test_shards_of_folders_with_other_classes_are_refused(shards: list[Path], tmp_path: Path):
    """One label would be two classes; what is beside shards of one folder is not read."""
    moved = []
    for shard, folder in zip(shards, ("a", "b", "c"), strict=False):
        (tmp_path / folder).mkdir()
        for path in (shard, shard.with_suffix(".idx")):
            (tmp_path / folder / path.name).symlink_to(path)
        moved.append(tmp_path / folder / shard.name)
    for folder in ("a", "b"):
        (tmp_path / folder / "synset.txt").write_text("x\ny\n")
    Loader(moved, 8, TRAIN)
    (tmp_path / "b" / "synset.txt").write_text("y\nx\n")
    message = "b/synset.txt: class 0 is y there, x here: the shards of one Loader have the same"
    with pytest.raises(ValueError, match=message):
        Loader(moved, 8, TRAIN)
    (tmp_path / "a" / "synset.txt").write_text("")
    Loader(moved[:1], 8, TRAIN)
