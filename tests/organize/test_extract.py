"""Archives unpacked: what is whole, what is refused, what survives a stop."""

from __future__ import annotations

import io
import random
import re
import tarfile
from collections.abc import Callable
from pathlib import Path

import pytest
from making import tar_of
from small_set import FLAT, IMAGES, LABELS, SORTED, TRAIN, TRAIN_CLASSES, WNIDS, images_in

from imnetlib import files, organize
from imnetlib.archive import TarReader, index_tar
from imnetlib.organize import extract


def test_each_training_class_gets_its_folder(tmp_path: Path, train: Path):
    report = organize.extract_train(train, tmp_path / "out")
    assert images_in(tmp_path / "out") == TRAIN
    assert (report.classes, report.written, report.skipped) == (3, 12, 0)
    assert report.bytes == sum(map(len, TRAIN.values()))
    again = organize.extract_train(index_tar(train), tmp_path / "out")
    assert (again.written, again.skipped, again.bytes) == (0, 12, 0)


def test_a_copy_tarred_again_from_class_folders(tmp_path: Path):
    names = list(TRAIN)
    # The classes are interleaved, as `find | tar` may leave them.
    random.Random(1).shuffle(names)
    (tmp_path / "flat.tar").write_bytes(tar_of({f"./{name}": TRAIN[name] for name in names}))
    organize.extract_train(tmp_path / "flat.tar", tmp_path / "out")
    assert images_in(tmp_path / "out") == TRAIN


def with_class(name: str) -> str:
    """A training image's name as some releases have it: its class once more at the end."""
    return name.replace(".JPEG", f"_{name.split('_')[0].rpartition('/')[2]}.JPEG")


@pytest.mark.parametrize("rename", [str, with_class], ids=["plain", "class at the end"])
@pytest.mark.parametrize("way", ["{}", "train/{}", "./a/train/{}"])
def test_a_tar_of_class_folders(tmp_path: Path, way: str, rename: Callable[[str], str]):
    members = {way.format(rename(name)): data for name, data in TRAIN.items()}
    path = tmp_path / "t.tar"
    path.write_bytes(tar_of(members | {way.format("._README"): b"", ".DS_Store": b""}))
    done = organize.extract_train(path, tmp_path / "out")
    assert images_in(tmp_path / "out") == {rename(name): data for name, data in TRAIN.items()}
    assert (done.classes, done.written, done.left_out) == (3, 12, 2)
    # Again, by the index that is kept beside the archive.
    done = organize.extract_train(f"{path}.npz", tmp_path / "out")
    assert (done.written, done.skipped, done.left_out) == (0, 12, 2)


def test_class_tars_that_hold_their_folder(tmp_path: Path):
    class_tars = {}
    for wnid, images in TRAIN_CLASSES.items():
        names = {f"./{wnid}/{with_class(name)}": data for name, data in images.items()}
        class_tars[f"{wnid}.tar"] = tar_of({**names, f"./{wnid}/._{wnid}_0.JPEG": b""})
    (tmp_path / "t.tar").write_bytes(tar_of(class_tars))
    done = organize.extract_train(tmp_path / "t.tar", tmp_path / "out")
    assert images_in(tmp_path / "out") == {with_class(name): data for name, data in TRAIN.items()}
    assert done.left_out == 3


def test_two_files_of_one_name_are_refused(tmp_path: Path):
    names = [f"{folder}/{next(iter(TRAIN))}" for folder in ("a", "b")]
    (tmp_path / "t.tar").write_bytes(tar_of(dict.fromkeys(names, b"")))
    message = r"t\.tar holds, in several folders, files of one name: n01440764_0\.JPEG"
    with pytest.raises(ValueError, match=message):
        organize.extract_train(tmp_path / "t.tar", tmp_path / "out")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("reads", range(12))
def test_training_stopped_at_any_file(
    tmp_path: Path, train: Path, reads: int, monkeypatch: pytest.MonkeyPatch
):
    """Every folder with a class's name is whole; the next run does the rest."""
    left = iter(range(reads))
    read = TarReader.read

    def stopping(self: TarReader, position: int) -> bytes:
        if next(left, None) is None:
            raise KeyboardInterrupt
        return read(self, position)

    out = tmp_path / "out"
    monkeypatch.setattr(TarReader, "read", stopping)
    with pytest.raises(KeyboardInterrupt):
        organize.extract_train(train, out)
    for wnid in WNIDS:
        if (out / wnid).exists():
            assert images_in(out / wnid) == TRAIN_CLASSES[wnid]
    monkeypatch.undo()
    organize.extract_train(train, out)
    assert images_in(out) == TRAIN


@pytest.mark.parametrize(
    ("member", "message"),
    [
        (
            "n02012849_1.JPEG",
            "1 members are not called <wnid>/<wnid>_<number>.JPEG: n01440764/n02012849_1.JPEG",
        ),
        ("n01440764_x.JPEG", "n01440764/n01440764_x.JPEG"),
        ("n01440764_1_n02012849.JPEG", "n01440764/n01440764_1_n02012849.JPEG"),
        ("n02012849/n02012849_1.JPEG", "n01440764/n02012849/n02012849_1.JPEG"),
        ("n01440764_1.jpg", "n01440764/n01440764_1.jpg"),
        ("sub/n01440764_1.JPEG", "n01440764/sub/n01440764_1.JPEG"),
        ("n01440764_1.JPEG\n", "not called"),
        ("../n01440764_1.JPEG", "no safe file name"),
        ("/tmp/n01440764_1.JPEG", "no safe file name"),
    ],
)
def test_members_with_other_names_are_refused_before_anything_is_written(
    tmp_path: Path, member: str, message: str
):
    class_tar = tar_of({"n01440764_0.JPEG": b"", member: b""})
    (tmp_path / "t.tar").write_bytes(tar_of({"n01440764.tar": class_tar}))
    with pytest.raises(ValueError, match=re.escape(message)):
        organize.extract_train(tmp_path / "t.tar", tmp_path / "out")
    assert not (tmp_path / "out").exists()


def special(name: str, kind: bytes, link: str = "") -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.type = kind
    info.linkname = link
    return info


def ladder(victim: Path) -> list[tarfile.TarInfo]:
    """CVE-2025-4517: links whose resolved path outgrows PATH_MAX, then a way up through them."""
    members = []
    path = ""
    folder = "d" * 247
    for letter in "abcdefghijklmnop":
        members += [
            special(path + folder, tarfile.DIRTYPE),
            special(path + letter, tarfile.SYMTYPE, folder),
        ]
        path += folder + "/"
    top = "/".join("abcdefghijklmnop") + "/" + "l" * 254
    members += [special(top, tarfile.SYMTYPE, "../" * 16)]
    members += [special("escape", tarfile.SYMTYPE, f"{top}/../..{victim}")]
    return [*members, special("escape/n01440764_1.JPEG", tarfile.REGTYPE)]


CVES: dict[str, Callable[[Path], list[tarfile.TarInfo]]] = {
    "a link, then a file written through it": lambda victim: [
        special("n01440764_1.JPEG", tarfile.SYMTYPE, str(victim)),
        special("n01440764_1.JPEG", tarfile.REGTYPE),
    ],
    "CVE-2025-4517: a path that outgrows PATH_MAX": ladder,
    "CVE-2025-4138: a link out through another link": lambda victim: [
        special("in", tarfile.SYMTYPE, "."),
        special("in/out", tarfile.SYMTYPE, f"../..{victim}"),
    ],
    "CVE-2025-4330: a hard link to a link": lambda victim: [
        special("n01440764_1.JPEG", tarfile.SYMTYPE, str(victim)),
        special("n01440764_2.JPEG", tarfile.LNKTYPE, "n01440764_1.JPEG"),
    ],
    "CVE-2007-4559: a way up": lambda victim: [special(f"../../../../..{victim}", tarfile.REGTYPE)],
}


@pytest.mark.parametrize("attack", CVES)
@pytest.mark.parametrize("inside", [False, True], ids=["outer tar", "class tar"])
def test_the_attacks_on_tarfile_write_nothing(tmp_path: Path, attack: str, inside: bool):
    victim = tmp_path / "victim"
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=tarfile.GNU_FORMAT) as tar:
        for info in CVES[attack](victim):
            tar.addfile(info)
    data = tar_of({"n01440764.tar": out.getvalue()}) if inside else out.getvalue()
    (tmp_path / "t.tar").write_bytes(data)
    message = r"a (symbolic|hard) link: only regular files|no safe file name"
    for extraction in (organize.extract_train, organize.extract_validation):
        with pytest.raises(ValueError, match=message):
            extraction(tmp_path / "t.tar", tmp_path / "out")
    assert [path.name for path in tmp_path.iterdir()] == ["t.tar"]


def test_a_class_folder_with_another_count(tmp_path: Path, train: Path):
    (tmp_path / "out" / WNIDS[1]).mkdir(parents=True)
    message = r"n02012849: 4 files are missing, unexpected or not as long .*: move it away"
    with pytest.raises(ValueError, match=message):
        organize.extract_train(train, tmp_path / "out")


def test_a_class_folder_with_a_short_file(tmp_path: Path, train: Path):
    organize.extract_train(train, tmp_path / "out")
    (tmp_path / "out" / WNIDS[1] / f"{WNIDS[1]}_2.JPEG").write_bytes(b"half")
    message = r"n02012849: 1 files are missing, .* not as long .*\(n02012849_2\.JPEG\): move it"
    with pytest.raises(ValueError, match=message):
        organize.extract_train(train, tmp_path / "out")


@pytest.fixture
def steps(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What an extraction does to the disk, in order: w(rite), s(ync), r(ename), f(sync)."""
    done: list[str] = []

    def note(owner: object, name: str, letter: str) -> None:
        original = getattr(owner, name)

        def step(*arguments: object) -> object:
            done.append(letter)
            return original(*arguments)

        monkeypatch.setattr(owner, name, step)

    note(Path, "write_bytes", "w")
    note(Path, "rename", "r")
    note(Path, "replace", "r")
    note(files, "sync", "s")
    note(files, "fsync_folder", "f")
    return done


def test_a_class_gets_its_name_after_its_data_is_on_the_disk(
    tmp_path: Path, train: Path, steps: list[str]
):
    index = index_tar(train)
    # Forget the steps that made the archive.
    steps.clear()
    organize.extract_train(index, tmp_path / "out")
    assert "".join(steps) == "wwwwwsrf" + "wwwwsrf" + "wwwsrf"


def test_validation_images_get_their_names_after_their_data_is_on_the_disk(
    tmp_path: Path, steps: list[str], monkeypatch: pytest.MonkeyPatch
):
    (tmp_path / "val.tar").write_bytes(tar_of(FLAT))
    index = index_tar(tmp_path / "val.tar")
    steps.clear()
    monkeypatch.setattr(extract, "_IMAGES_PER_SYNC", 5)
    organize.extract_validation(index, tmp_path / "out")
    assert "".join(steps) == "wwwwwsrrrrr" + "wwwwwsrrrrr" + "wwsrr" + "f"
    assert images_in(tmp_path / "out") == FLAT


def test_a_small_disk_is_noticed_first(
    tmp_path: Path, train: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(files.shutil, "disk_usage", lambda _: type("Usage", (), {"free": 1000}))
    with pytest.raises(OSError, match="1,000 bytes free"):
        organize.extract_train(train, tmp_path / "out")
    assert images_in(tmp_path / "out") == {}


def test_validation_is_extracted_flat_and_again_where_it_was_cut(tmp_path: Path):
    names = list(FLAT)
    # As in the official archive, the tar's order is not the names' order.
    random.Random(2).shuffle(names)
    (tmp_path / "val.tar").write_bytes(tar_of({name: FLAT[name] for name in names}))
    out = tmp_path / "validation"
    assert organize.extract_validation(tmp_path / "val.tar", out).written == IMAGES
    assert images_in(out) == FLAT
    (out / names[3]).write_bytes(b"half")
    (out / names[5]).unlink()
    report = organize.extract_validation(tmp_path / "val.tar", out)
    assert (report.written, report.skipped) == (2, IMAGES - 2)
    assert images_in(out) == FLAT
    organize.sort_validation(out, LABELS)
    assert organize.extract_validation(tmp_path / "val.tar", out).written == 0
    assert images_in(out) == SORTED


def test_validation_images_are_extracted_flat_out_of_any_folder(tmp_path: Path):
    (tmp_path / "val.tar").write_bytes(tar_of({f"./val/{name}": FLAT[name] for name in FLAT}))
    organize.extract_validation(str(tmp_path / "val.tar"), str(tmp_path / "out"))
    assert images_in(tmp_path / "out") == FLAT


def test_validation_names_are_checked(tmp_path: Path):
    (tmp_path / "val.tar").write_bytes(tar_of({"val/ILSVRC2012_val_1.JPEG": b""}))
    message = r"not called ILSVRC2012_val_<8 digits>\.JPEG: val/ILSVRC2012"
    with pytest.raises(ValueError, match=message):
        organize.extract_validation(tmp_path / "val.tar", tmp_path / "out")


def test_what_finder_leaves_behind_is_passed_over(flat: Path, train: Path, tmp_path: Path):
    organize.extract_train(train, tmp_path / "out")
    (tmp_path / "out" / WNIDS[0] / ".DS_Store").touch()
    assert organize.extract_train(train, tmp_path / "out").written == 0


@pytest.mark.parametrize("extract_all", [organize.extract_train, organize.extract_validation])
def test_loose_files_that_are_no_images_are_left_out(
    tmp_path: Path, extract_all: Callable[..., organize.Extraction]
):
    is_train = extract_all is organize.extract_train
    images = TRAIN if is_train else FLAT
    loose = {"README.txt": b"", "synset.txt": b"", "data.csv": b""}
    path = tmp_path / "t.tar"
    path.write_bytes(tar_of(loose | images))
    with pytest.warns(
        UserWarning,
        match=r"files that are no images are left out: 3 \(README.txt, data.csv, synset.txt\)",
    ):
        done = extract_all(path, tmp_path / "out")
    assert (images_in(tmp_path / "out"), done.written) == (images, len(images))
    for wrong in (images | {"photo.webp": b""}, loose):
        path.write_bytes(tar_of(wrong))
        with pytest.raises(ValueError, match=r"t\.tar: [13],? members are not called"):
            extract_all(index_tar(path), tmp_path / "other")
