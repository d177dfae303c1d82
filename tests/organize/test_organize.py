"""From archives to one folder per class: what is whole, what is refused, what survives a stop."""

import csv
import gzip
import io
import os
import random
import re
import tarfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from making import jpeg, tar_of
from scipy.io import loadmat, savemat

from imnetlib import catalog, files, organize
from imnetlib.archive import TarReader, index_tar
from imnetlib.organize import extract, sort_validation, undo_validation, validation_name

WNIDS = ("n01440764", "n02012849", "n03126707")


def tree(folder: Path) -> dict[str, bytes]:
    """Every file below a folder, the journal aside."""
    files = {str(p.relative_to(folder)): p.read_bytes() for p in folder.rglob("*") if p.is_file()}
    return {name: data for name, data in files.items() if name != organize.JOURNAL}


TRAIN = {
    wnid: {f"{wnid}_{i}.JPEG": jpeg(seed=i) for i in range(3 + at)} for at, wnid in enumerate(WNIDS)
}
TRAIN_TREE = {
    f"{wnid}/{name}": data for wnid, files in TRAIN.items() for name, data in files.items()
}


@pytest.fixture
def train(tmp_path: Path) -> Path:
    path = tmp_path / "train.tar"
    path.write_bytes(
        tar_of({f"{wnid}.tar": tar_of(files) for wnid, files in reversed(TRAIN.items())})
    )
    return path


def test_each_training_class_gets_its_folder(tmp_path: Path, train: Path):
    report = organize.extract_train(train, tmp_path / "out")
    assert tree(tmp_path / "out") == TRAIN_TREE
    assert (report.classes, report.written, report.skipped) == (3, 12, 0)
    assert report.bytes == sum(map(len, TRAIN_TREE.values()))
    again = organize.extract_train(index_tar(train), tmp_path / "out")
    assert (again.written, again.skipped, again.bytes) == (0, 12, 0)


def test_a_copy_tarred_again_from_class_folders(tmp_path: Path):
    names = list(TRAIN_TREE)
    # classes interleaved, as `find | tar` may leave them
    random.Random(1).shuffle(names)
    (tmp_path / "flat.tar").write_bytes(tar_of({f"./{name}": TRAIN_TREE[name] for name in names}))
    organize.extract_train(tmp_path / "flat.tar", tmp_path / "out")
    assert tree(tmp_path / "out") == TRAIN_TREE


@pytest.mark.parametrize("reads", range(12))
def test_training_stopped_at_any_file(
    tmp_path: Path, train: Path, reads: int, monkeypatch: pytest.MonkeyPatch
):
    """Whatever stands under a class's own name is whole; the next run does the rest."""
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
            assert tree(out / wnid) == TRAIN[wnid]
    monkeypatch.undo()
    organize.extract_train(train, out)
    assert tree(out) == TRAIN_TREE


@pytest.mark.parametrize(
    ("member", "said"),
    [
        (
            "n02012849_1.JPEG",
            "1 members are not called <wnid>/<wnid>_<number>.JPEG: n01440764/n02012849_1.JPEG",
        ),
        ("n01440764_x.JPEG", "n01440764/n01440764_x.JPEG"),
        ("n01440764_1.jpg", "n01440764/n01440764_1.jpg"),
        ("sub/n01440764_1.JPEG", "n01440764/sub/n01440764_1.JPEG"),
        ("n01440764_1.JPEG\n", "not called"),
        ("../n01440764_1.JPEG", "no safe file name"),
        ("/tmp/n01440764_1.JPEG", "no safe file name"),
    ],
)
def test_members_with_other_names_are_refused_before_anything_is_written(
    tmp_path: Path, member: str, said: str
):
    (tmp_path / "t.tar").write_bytes(
        tar_of({"n01440764.tar": tar_of({"n01440764_0.JPEG": b"", member: b""})})
    )
    with pytest.raises(ValueError, match=re.escape(said)):
        organize.extract_train(tmp_path / "t.tar", tmp_path / "out")
    assert not (tmp_path / "out").exists()


def special(name: str, kind: bytes, link: str = "") -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.type = kind
    info.linkname = link
    return info


def ladder(victim: Path) -> list[tarfile.TarInfo]:
    """CVE-2025-4517: folders and links whose resolved path outgrows PATH_MAX, then a way up through
    them.
    """
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
    said = r"a (symbolic|hard) link: only regular files|no safe file name"
    for extraction in (organize.extract_train, organize.extract_validation):
        with pytest.raises(ValueError, match=said):
            extraction(tmp_path / "t.tar", tmp_path / "out")
    assert [path.name for path in tmp_path.iterdir()] == ["t.tar"]


def test_a_class_folder_with_another_count(tmp_path: Path, train: Path):
    (tmp_path / "out" / WNIDS[1]).mkdir(parents=True)
    with pytest.raises(ValueError, match=r"n02012849 holds 0 files, the archive 4: move it away"):
        organize.extract_train(train, tmp_path / "out")


def test_a_class_folder_with_a_short_file(tmp_path: Path, train: Path):
    organize.extract_train(train, tmp_path / "out")
    (tmp_path / "out" / WNIDS[1] / f"{WNIDS[1]}_2.JPEG").write_bytes(b"half")
    with pytest.raises(
        ValueError,
        match=r"n02012849: 1 files are missing or not as long .*\(n02012849_2\.JPEG\): move it",
    ):
        organize.extract_train(train, tmp_path / "out")


@pytest.fixture
def steps(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What an extraction does to the disk, in order: w(rite), s(ync), r(ename)."""
    done: list[str] = []
    for owner, name, letter in (
        *((Path, "write_bytes", "w"), (Path, "rename", "r"), (Path, "replace", "r")),
        *((extract, "sync", "s"), (extract, "fsync_folder", "f")),
    ):
        original = getattr(owner, name)

        def step(
            *arguments: object, original: Callable[..., object] = original, letter: str = letter
        ) -> object:
            done.append(letter)
            return original(*arguments)

        monkeypatch.setattr(owner, name, step)
    return done


def test_a_class_gets_its_name_after_its_data_is_on_the_disk(
    tmp_path: Path, train: Path, steps: list[str]
):
    index = index_tar(train)
    # making the archive
    steps.clear()
    organize.extract_train(index, tmp_path / "out")
    assert "".join(steps) == "wwwwwsrf" + "wwwwsrf" + "wwwsrf"


def test_validation_images_get_their_names_after_their_data_is_on_the_disk(
    tmp_path: Path, steps: list[str], monkeypatch: pytest.MonkeyPatch
):
    (tmp_path / "val.tar").write_bytes(tar_of(FLAT))
    index = index_tar(tmp_path / "val.tar")
    steps.clear()
    monkeypatch.setattr(extract, "_IMAGES_A_SYNC", 5)
    organize.extract_validation(index, tmp_path / "out")
    assert "".join(steps) == "wwwwwsrrrrr" + "wwwwwsrrrrr" + "wwsrr" + "f"
    assert tree(tmp_path / "out") == FLAT


def test_a_small_disk_is_noticed_first(
    tmp_path: Path, train: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(files.shutil, "disk_usage", lambda _: type("Usage", (), {"free": 1000}))
    with pytest.raises(OSError, match="1,000 bytes free"):
        organize.extract_train(train, tmp_path / "out")
    assert tree(tmp_path / "out") == {}


IMAGES = 12
LABELS = tuple(WNIDS[i * 7 % 3] for i in range(IMAGES))
FLAT = {validation_name(i): b"image %d" % i for i in range(1, IMAGES + 1)}
SORTED = {f"{LABELS[int(name[15:23]) - 1]}/{name}": data for name, data in FLAT.items()}


@pytest.fixture
def flat(tmp_path: Path) -> Path:
    folder = tmp_path / "validation"
    folder.mkdir()
    for name, data in FLAT.items():
        (folder / name).write_bytes(data)
    return folder


def test_validation_is_extracted_flat_and_again_where_it_was_cut(tmp_path: Path):
    names = list(FLAT)
    # as in the official archive: the tar's order is not the names' order
    random.Random(2).shuffle(names)
    (tmp_path / "val.tar").write_bytes(tar_of({name: FLAT[name] for name in names}))
    out = tmp_path / "validation"
    assert organize.extract_validation(tmp_path / "val.tar", out).written == IMAGES
    assert tree(out) == FLAT
    (out / names[3]).write_bytes(b"half")
    (out / names[5]).unlink()
    report = organize.extract_validation(tmp_path / "val.tar", out)
    assert (report.written, report.skipped) == (2, IMAGES - 2)
    assert tree(out) == FLAT
    sort_validation(out, LABELS)
    assert organize.extract_validation(tmp_path / "val.tar", out).written == 0
    assert tree(out) == SORTED


def test_validation_names_are_checked(tmp_path: Path):
    (tmp_path / "val.tar").write_bytes(tar_of({"val/ILSVRC2012_val_00000001.JPEG": b""}))
    with pytest.raises(
        ValueError, match=r"not called ILSVRC2012_val_<8 digits>\.JPEG: val/ILSVRC2012"
    ):
        organize.extract_validation(tmp_path / "val.tar", tmp_path / "out")


def devkit(
    folder: Path, wnids: tuple[str, ...], labels: tuple[str, ...], ids: dict[str, int]
) -> Path:
    """A development kit as published: ids in an order of its own, inner synsets after the classes."""
    fields = ["ILSVRC2012_ID", "WNID", "num_children", "words", "num_train_images"]
    synsets = np.empty((len(wnids) + 1, 1), dtype=[(name, object) for name in fields])
    for row, wnid in enumerate(sorted(wnids, key=ids.__getitem__)):
        synsets[row, 0] = (float(ids[wnid]), wnid, 0.0, "words", float(1300 - ids[wnid]))
    synsets[-1, 0] = (float(len(wnids) + 1), "n00001740", 3.0, "entity", 0.0)
    meta = io.BytesIO()
    savemat(meta, {"synsets": synsets})
    truth = "".join(f"{ids[wnid]}\n" for wnid in labels).encode()
    members = {
        "ILSVRC2012_devkit_t12/data/meta.mat": meta.getvalue(),
        "ILSVRC2012_devkit_t12/data/ILSVRC2012_validation_ground_truth.txt": truth,
    }
    path = folder / "devkit.tar.gz"
    with tarfile.open(path, "w:gz") as tar:
        for name, data in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            tar.addfile(info, io.BytesIO(data))
    return path


def kaggle(folder: Path, labels: tuple[str, ...]) -> Path:
    rows = [
        [validation_name(i).removesuffix(".JPEG"), f"{w} 1 2 3 4 {w} 5 6 7 8 "]
        for i, w in enumerate(labels, 1)
    ]
    random.Random(3).shuffle(rows)
    path = folder / "LOC_val_solution.csv"
    with path.open("w", newline="") as out:
        csv.writer(out).writerows([["ImageId", "PredictionString"], *rows])
    return path


def test_the_labels_come_back_from_either_file(tmp_path: Path):
    """All 50,000, in the layout of both; the first three are published: sea snake, alp, Shetland
    sheepdog.
    """
    known = organize.labels_from_catalog()
    assert known[:3] == ("n01751748", "n09193705", "n02105855")
    assert len(known) == 50_000
    order = list(catalog.wnids_1k())
    random.Random(4).shuffle(order)
    ids = {wnid: number for number, wnid in enumerate(order, 1)}
    assert organize.labels_from_devkit(devkit(tmp_path, catalog.wnids_1k(), known, ids)) == known
    assert organize.labels_from_kaggle(kaggle(tmp_path, known)) == known


def test_labels_that_are_not_whole(tmp_path: Path):
    ids = {wnid: number for number, wnid in enumerate(reversed(WNIDS), 1)}
    assert organize.labels_from_devkit(devkit(tmp_path, WNIDS, LABELS, ids)) == LABELS
    with pytest.raises(ValueError, match="3 of 3 classes have labels, 3 to 4 each"):
        organize.labels_from_devkit(devkit(tmp_path, WNIDS, LABELS[:-1], ids))
    with pytest.raises(ValueError, match="ids that are no class: 3"):
        organize.labels_from_devkit(devkit(tmp_path, WNIDS[1:], LABELS, ids))
    (tmp_path / "other.tar.gz").write_bytes(b"")
    with tarfile.open(tmp_path / "other.tar.gz", "w:gz"):
        pass
    with pytest.raises(ValueError, match="is it the devkit"):
        organize.labels_from_devkit(tmp_path / "other.tar.gz")
    table = kaggle(tmp_path, LABELS)
    table.write_text(
        "".join(line for line in table.read_text().splitlines(True) if "00000005" not in line)
    )
    with pytest.raises(
        ValueError, match=r"1 missing \(ILSVRC2012_val_00000005.JPEG\) and 1 unexpected"
    ):
        organize.labels_from_kaggle(table)


def test_a_devkit_that_is_cut_or_another_file(tmp_path: Path):
    ids = {wnid: number for number, wnid in enumerate(WNIDS, 1)}
    whole = devkit(tmp_path, WNIDS, LABELS, ids).read_bytes()
    # the checksum at the end
    flipped = whole[:-8] + bytes([whole[-8] ^ 1]) + whole[-7:]
    truth = "ILSVRC2012_validation_ground_truth.txt"
    meta = io.BytesIO()
    savemat(meta, {"synsets": np.arange(3)})
    kits = [{"a": b""}, {truth: b"1"}]
    kits += [{truth: b"1", "meta.mat": mat} for mat in (b"", b"text" * 99, meta.getvalue())]
    foreign = [b"", b"<html>", tar_of({"a": b""}), gzip.compress(b"text" * 500)]
    foreign += [gzip.compress(tar_of(kit)) for kit in kits]
    cuts = [whole[:cut] for cut in range(0, len(whole), 23)]
    path = tmp_path / "kit.tar.gz"
    for data in [*cuts, flipped, *foreign]:
        path.write_bytes(data)
        with pytest.raises(
            ValueError, match=r"kit\.tar\.gz cannot be read \(.* Download ILSVRC2012_devkit_t12"
        ):
            organize.labels_from_devkit(path)
    with pytest.raises(FileNotFoundError):
        organize.labels_from_devkit(tmp_path / "nowhere.tar.gz")


@pytest.mark.parametrize(
    "text",
    [
        b"a,b\n1,2\n",
        b"ImageId,PredictionString\nILSVRC2012_val_00000001,\n",
        b"ImageId,PredictionString\nILSVRC2012_val_00000001\n",
        b"\xff\xfe\n",
    ],
)
def test_a_table_that_is_not_kaggles(tmp_path: Path, text: bytes):
    (tmp_path / "LOC.csv").write_bytes(text)
    with pytest.raises(
        ValueError, match=r"LOC\.csv has no ImageId and .* after 0 images: .* Download it again"
    ):
        organize.labels_from_kaggle(tmp_path / "LOC.csv")


def test_meta_mat_is_read_as_torchvision_reads_it(tmp_path: Path):
    """Its rule, from torchvision/datasets/imagenet.py: rows whose fifth field is 0, then id to
    wnid.
    """
    ids = dict(zip(WNIDS, (2, 3, 1), strict=True))
    path = devkit(tmp_path, WNIDS, LABELS, ids)
    with tarfile.open(path) as tar:
        member = tar.extractfile("ILSVRC2012_devkit_t12/data/meta.mat")
        assert member is not None
        rows = [
            row for row in loadmat(member, squeeze_me=True)["synsets"] if row["num_children"] == 0
        ]
    by_id = {row["ILSVRC2012_ID"]: row["WNID"] for row in rows}
    assert organize.labels_from_devkit(path) == tuple(by_id[ids[wnid]] for wnid in LABELS)


def test_sorting_undoing_and_doing_it_twice(flat: Path):
    report = sort_validation(flat, LABELS)
    assert tree(flat) == SORTED
    assert (report.classes, report.moved, report.in_place) == (3, IMAGES, 0)
    before = {p: p.stat().st_mtime_ns for p in flat.rglob("*")}
    again = sort_validation(flat, LABELS)
    assert (again.moved, again.in_place) == (0, IMAGES)
    assert {p: p.stat().st_mtime_ns for p in flat.rglob("*")} == before
    assert undo_validation(flat).moved == IMAGES
    assert tree(flat) == FLAT
    assert sorted(p.name for p in flat.iterdir()) == sorted(FLAT)
    with pytest.raises(ValueError, match="it holds no validation images that were sorted here"):
        undo_validation(flat)


def test_sorting_and_undoing_show_how_far_they_are(flat: Path, capsys: pytest.CaptureFixture[str]):
    for do, what in (
        (lambda: sort_validation(flat, LABELS), "sort"),
        (lambda: undo_validation(flat), "undo"),
    ):
        do()
        shown = "".join(capsys.readouterr())
        assert f"{what} validation: 100%" in shown
        assert "12/12" in shown


def test_links_leave_the_originals(flat: Path):
    sort_validation(flat, LABELS, link=True)
    assert tree(flat) == FLAT | SORTED
    assert all((flat / name).stat().st_nlink == 2 for name in FLAT)
    assert sort_validation(flat, LABELS, link=True).moved == 0
    with pytest.raises(ValueError, match="sorted with links, not moves: imnet organize undo"):
        sort_validation(flat, LABELS)
    # the link is now the only copy
    (flat / validation_name(3)).unlink()
    undo_validation(flat)
    assert tree(flat) == FLAT


@pytest.mark.parametrize(
    "undo", [False, True], ids=["stopped while sorting", "stopped while undoing"]
)
@pytest.mark.parametrize("link", [False, True], ids=["move", "link"])
@pytest.mark.parametrize("steps", [0, 1, 5, IMAGES - 1])
def test_stopped_anywhere(
    flat: Path, steps: int, link: bool, undo: bool, monkeypatch: pytest.MonkeyPatch
):
    """Half sorted or half undone, it can be finished either way."""

    def stop_after(count: int, do: Callable[..., object], *arguments: object) -> None:
        left = iter(range(count))
        with monkeypatch.context() as patched:
            for name in ("rename", "hardlink_to", "unlink"):
                original = getattr(Path, name)

                def step(
                    self: Path,
                    *args: object,
                    original: Callable[..., object] = original,
                    **kw: object,
                ) -> object:
                    if self.name.startswith("ILSVRC") and next(left, None) is None:
                        raise KeyboardInterrupt
                    return original(self, *args, **kw)

                patched.setattr(Path, name, step)
            with pytest.raises(KeyboardInterrupt):
                do(*arguments)

    def sort() -> None:
        sort_validation(flat, LABELS, link=link)

    for finish in (sort, lambda: undo_validation(flat)):
        if undo:
            sort()
            stop_after(steps, undo_validation, flat)
        else:
            stop_after(steps, sort)
        assert set((FLAT | SORTED).values()) == set(tree(flat).values())
        finish()
        if finish is sort:
            assert tree(flat) == (FLAT | SORTED if link else SORTED)
            undo_validation(flat)
        assert tree(flat) == FLAT


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (
            lambda folder: (folder / validation_name(4)).unlink(),
            r"of 12 validation images, 1 missing \(.*00004.JPEG\)",
        ),
        (
            lambda folder: (folder / "extra.txt").touch(),
            r"1 unexpected \(extra.txt\): nothing was done",
        ),
        (lambda folder: (folder / "n01440764").mkdir(), r"1 unexpected \(n01440764\)"),
        (lambda folder: [path.unlink() for path in folder.iterdir()], r"12 missing \(.*, …\)"),
        (
            lambda folder: (folder / validation_name(12)).rename(folder / validation_name(13)),
            r"1 missing \(ILSVRC2012_val_00000012.JPEG\) and 1 unexpected \(ILSVRC2012_val_00000013.JPEG\)",
        ),
    ],
)
def test_nothing_moves_unless_every_name_fits(
    flat: Path, change: Callable[[Path], object], said: str
):
    change(flat)
    before = sorted(flat.rglob("*"))
    with pytest.raises(ValueError, match=said):
        sort_validation(flat, LABELS)
    assert sorted(flat.rglob("*")) == before


def test_labels_that_cannot_be_used(flat: Path):
    with pytest.raises(ValueError, match=r"not all wnids: \.\./\.\./up"):
        sort_validation(flat, ("../../up", *LABELS[1:]))
    with pytest.raises(ValueError, match="1 unexpected"):
        sort_validation(flat, LABELS[:-1])
    sort_validation(flat, LABELS)
    with pytest.raises(
        ValueError, match=r"sorted with other labels: imnet organize undo .*, then sort again"
    ):
        sort_validation(flat, LABELS[::-1])
    (flat / LABELS[6] / validation_name(7)).unlink()
    with pytest.raises(
        ValueError, match=r"1 of 12 images are gone \(ILSVRC2012_val_00000007.JPEG\): imnet"
    ):
        sort_validation(flat, LABELS)


def test_undoing_names_what_has_gone_and_leaves_what_is_not_its_own(flat: Path):
    sort_validation(flat, LABELS)
    (flat / LABELS[6] / validation_name(7)).unlink()
    (flat / LABELS[0] / "notes.txt").write_text("mine")
    undone = undo_validation(flat)
    assert (undone.moved, undone.missing) == (IMAGES - 1, (validation_name(7),))
    rest = {name: data for name, data in FLAT.items() if name != validation_name(7)}
    assert tree(flat) == rest | {f"{LABELS[0]}/notes.txt": b"mine"}
    assert not (flat / organize.JOURNAL).exists()


def test_undoing_does_not_lose_an_image_whose_place_is_taken(flat: Path):
    sort_validation(flat, LABELS)
    (flat / validation_name(5)).write_bytes(b"another")
    before = tree(flat)
    with pytest.raises(
        ValueError,
        match=r"other files have taken the places of ILSVRC2012_val_00000005\.JPEG: move",
    ):
        undo_validation(flat)
    assert tree(flat) == before


def test_undoing_makes_the_old_folder_anew(flat: Path, tmp_path: Path):
    sort_validation(tmp_path / "sorted", LABELS, flat=flat)
    # as one does with an empty download
    flat.rmdir()
    assert undo_validation(tmp_path / "sorted").moved == IMAGES
    assert tree(flat) == FLAT


def test_a_damaged_journal_is_named(flat: Path):
    sort_validation(flat, LABELS)
    for damage in (b"", b"{}", b"[1"):
        (flat / organize.JOURNAL).write_bytes(damage)
        for function in (lambda: undo_validation(flat), lambda: sort_validation(flat, LABELS)):
            with pytest.raises(
                ValueError, match=r"\.sorted\.json is damaged .*: move the images back by hand"
            ):
                function()


def test_two_at_once_in_one_folder(flat: Path, train: Path, tmp_path: Path):
    """The second is refused before it touches anything; the first goes on."""
    (tmp_path / "out").mkdir()
    with (
        files.exclusive_lock(tmp_path / "out"),
        pytest.raises(OSError, match=r"another process is at work in .*out: run this"),
    ):
        organize.extract_train(train, tmp_path / "out")
    (tmp_path / "val.tar").write_bytes(tar_of(FLAT))
    with files.exclusive_lock(flat):
        for function in (
            lambda: sort_validation(flat, LABELS),
            lambda: organize.extract_validation(tmp_path / "val.tar", flat),
        ):
            with pytest.raises(OSError, match="another process is at work"):
                function()
    assert tree(tmp_path / "out") == {}
    organize.extract_train(train, tmp_path / "out")
    assert tree(tmp_path / "out") == TRAIN_TREE


def test_what_finder_leaves_behind_is_passed_over(flat: Path, train: Path, tmp_path: Path):
    organize.extract_train(train, tmp_path / "out")
    (tmp_path / "out" / WNIDS[0] / ".DS_Store").touch()
    assert organize.extract_train(train, tmp_path / "out").written == 0


@pytest.mark.parametrize("link", [False, True], ids=["move", "link"])
def test_sorting_out_of_another_folder(flat: Path, tmp_path: Path, link: bool):
    target = tmp_path / "sorted"
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "other").touch()
    with pytest.raises(
        ValueError, match=r"full holds other things \(other\): choose an empty folder"
    ):
        sort_validation(tmp_path / "full", LABELS, flat=flat)
    assert sort_validation(target, LABELS, link=link, flat=flat).moved == IMAGES
    assert tree(target) == SORTED
    assert tree(flat) == (FLAT if link else {})
    assert sort_validation(target, LABELS, link=link, flat=flat).moved == 0
    with pytest.raises(
        ValueError, match=r"sorted with images out of .*validation: imnet organize undo .*sorted"
    ):
        sort_validation(target, LABELS, link=link)
    assert undo_validation(target).moved == IMAGES
    assert tree(flat) == FLAT
    assert list(target.iterdir()) == []


def as_torchvision(folder: Path) -> list[tuple[str, int]]:
    """ImageFolder's documented rule: every folder is a class, sorted; its files by extension, all
    levels down.
    """
    classes = sorted(entry.name for entry in os.scandir(folder) if entry.is_dir())
    return [
        (name, label)
        for label, wnid in enumerate(classes)
        for _, _, names in sorted(os.walk(folder / wnid, followlinks=True))
        for name in sorted(names)
        if name.lower().endswith(
            (".jpg", ".jpeg", ".png", ".ppm", ".bmp", ".pgm", ".tif", ".tiff", ".webp")
        )
    ]


def as_keras(folder: Path) -> list[tuple[str, int]]:
    """image_dataset_from_directory's rule: folders in alphanumeric order but hidden ones, files by
    extension.
    """
    classes = sorted(
        entry.name for entry in os.scandir(folder) if entry.is_dir() and entry.name[0] != "."
    )
    return [
        (path.name, label)
        for label, wnid in enumerate(classes)
        for path in sorted((folder / wnid).rglob("*"))
        if path.name.lower().endswith((".bmp", ".gif", ".jpeg", ".jpg", ".png"))
    ]


@pytest.mark.parametrize("read", [as_torchvision, as_keras])
@pytest.mark.parametrize("link", [False, True], ids=["move", "link"])
def test_other_libraries_read_the_result(
    flat: Path,
    tmp_path: Path,
    train: Path,
    link: bool,
    read: Callable[[Path], list[tuple[str, int]]],
):
    """Labels 0, 1, 2 in the order of the wnids, of each image once: journal and flat originals do
    not count.
    """
    sort_validation(flat, LABELS, link=link)
    expected = {
        validation_name(number): sorted(WNIDS).index(wnid) for number, wnid in enumerate(LABELS, 1)
    }
    assert sorted(read(flat)) == sorted(expected.items())
    organize.extract_train(train, tmp_path / "out")
    assert sorted(read(tmp_path / "out")) == sorted(
        (name, label) for label, wnid in enumerate(sorted(WNIDS)) for name in TRAIN[wnid]
    )
