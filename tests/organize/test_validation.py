"""The validation images sorted and made flat again, whole or stopped anywhere."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
from making import put
from small_set import FLAT, IMAGES, LABELS, SORTED, images_in

from imnetlib import organize
from imnetlib.organize import sort_validation, undo_validation, validation_name


def test_sorting_undoing_and_doing_it_twice(flat: Path):
    report = sort_validation(flat, LABELS)
    assert images_in(flat) == SORTED
    assert (report.classes, report.moved, report.in_place) == (3, IMAGES, 0)
    before = {p: p.stat().st_mtime_ns for p in flat.rglob("*")}
    again = sort_validation(flat, LABELS)
    assert (again.moved, again.in_place) == (0, IMAGES)
    assert {p: p.stat().st_mtime_ns for p in flat.rglob("*")} == before
    assert undo_validation(flat).moved == IMAGES
    assert images_in(flat) == FLAT
    assert sorted(p.name for p in flat.iterdir()) == sorted(FLAT)
    with pytest.raises(ValueError, match="it holds no validation images that were sorted here"):
        undo_validation(flat)


def test_names_by_number():
    assert validation_name(np.int32(7)) == "ILSVRC2012_val_00000007.JPEG"
    with pytest.raises(ValueError, match="validation images are counted from 1, not 0"):
        validation_name(0)
    with pytest.raises(TypeError, match=r"number is a whole number, not '7' \(str\)"):
        validation_name("7")


NAMES = [validation_name(number, wnid) for number, wnid in enumerate(LABELS, 1)]


@pytest.mark.parametrize("link", [False, True], ids=["move", "link"])
def test_names_that_end_in_the_class(tmp_path: Path, link: bool):
    """They stay as they are, and say the same as the labels; a half-sorted folder is finished."""
    assert NAMES[0] == f"ILSVRC2012_val_00000001_{LABELS[0]}.JPEG"
    flat = {name: b"%d" % number for number, name in enumerate(NAMES)}
    put(tmp_path, flat)
    expected = {f"{wnid}/{name}": flat[name] for wnid, name in zip(LABELS, NAMES, strict=True)}
    for moved in (IMAGES, 0):
        assert sort_validation(tmp_path, LABELS, link=link).moved == moved
        assert images_in(tmp_path) == expected | (flat if link else {})
    undo_validation(tmp_path)
    assert images_in(tmp_path) == flat
    with stopped_after(3):
        sort_validation(tmp_path, LABELS, link=link)
    assert sort_validation(tmp_path, LABELS, link=link).moved == IMAGES - 3


def test_names_that_end_in_another_class_than_the_label(tmp_path: Path):
    other = validation_name(1, LABELS[1])
    assert other != NAMES[0]
    put(tmp_path, dict.fromkeys([other, *NAMES[1:]], b""))
    message = rf"of 12 validation images, 1 missing \({NAMES[0]}\) and 1 unexpected \({other}\)"
    with pytest.raises(ValueError, match=message):
        sort_validation(tmp_path, LABELS)
    assert {path.name for path in tmp_path.iterdir()} == {other, *NAMES[1:]}


def test_labels_in_an_array_and_paths_as_text(flat: Path):
    assert sort_validation(str(flat), np.array(LABELS)).moved == IMAGES
    assert images_in(flat) == SORTED
    assert undo_validation(str(flat)).moved == IMAGES


def test_sorting_and_undoing_show_how_far_they_are(flat: Path, capsys: pytest.CaptureFixture[str]):
    sort_validation(flat, LABELS)
    shown = "".join(capsys.readouterr())
    assert "sort validation: 100%" in shown
    assert "12/12" in shown
    undo_validation(flat)
    shown = "".join(capsys.readouterr())
    assert "undo validation: 100%" in shown
    assert "12/12" in shown


def test_links_leave_the_originals(flat: Path):
    sort_validation(flat, LABELS, link=True)
    assert images_in(flat) == FLAT | SORTED
    assert all((flat / name).stat().st_nlink == 2 for name in FLAT)
    assert sort_validation(flat, LABELS, link=True).moved == 0
    with pytest.raises(ValueError, match="sorted with links, not moves: imnet organize undo"):
        sort_validation(flat, LABELS)
    # The link is now the only copy.
    (flat / validation_name(3)).unlink()
    undo_validation(flat)
    assert images_in(flat) == FLAT


@contextmanager
def stopped_after(steps: int) -> Iterator[None]:
    """Expect a Ctrl-C in place of the next step after so many with images."""
    left = iter(range(steps))

    def stopping(original: Callable[..., object]) -> Callable[..., object]:
        def step(self: Path, *arguments: object, **options: object) -> object:
            if self.name.startswith("ILSVRC") and next(left, None) is None:
                raise KeyboardInterrupt
            return original(self, *arguments, **options)

        return step

    with pytest.MonkeyPatch.context() as patched:
        for name in ("rename", "hardlink_to", "unlink"):
            patched.setattr(Path, name, stopping(getattr(Path, name)))
        with pytest.raises(KeyboardInterrupt):
            yield


@pytest.mark.parametrize(
    "undo", [False, True], ids=["stopped while sorting", "stopped while undoing"]
)
@pytest.mark.parametrize("link", [False, True], ids=["move", "link"])
@pytest.mark.parametrize("steps", [0, 1, 5, IMAGES - 1])
def test_stopped_anywhere(flat: Path, steps: int, link: bool, undo: bool):
    """Half sorted or half undone, it can be finished either way."""

    def sort() -> None:
        sort_validation(flat, LABELS, link=link)

    for finish in (sort, lambda: undo_validation(flat)):
        if undo:
            sort()
            with stopped_after(steps):
                undo_validation(flat)
        else:
            with stopped_after(steps):
                sort()
        assert set((FLAT | SORTED).values()) == set(images_in(flat).values())
        finish()
        if finish is sort:
            assert images_in(flat) == (FLAT | SORTED if link else SORTED)
            undo_validation(flat)
        assert images_in(flat) == FLAT


@pytest.mark.parametrize(
    ("change", "message"),
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
            r"1 missing \(ILSVRC2012_val_00000012.JPEG\) "
            r"and 1 unexpected \(ILSVRC2012_val_00000013.JPEG\)",
        ),
    ],
)
def test_nothing_moves_unless_every_name_fits(
    flat: Path, change: Callable[[Path], object], message: str
):
    change(flat)
    before = sorted(flat.rglob("*"))
    with pytest.raises(ValueError, match=message):
        sort_validation(flat, LABELS)
    assert sorted(flat.rglob("*")) == before


def test_labels_that_cannot_be_used(flat: Path):
    with pytest.raises(ValueError, match=r"not all wnids: \.\./\.\./up"):
        sort_validation(flat, ("../../up", *LABELS[1:]))
    with pytest.raises(ValueError, match="1 unexpected"):
        sort_validation(flat, LABELS[:-1])
    sort_validation(flat, LABELS)
    message = r"sorted with other labels: imnet organize undo .*, then sort again"
    with pytest.raises(ValueError, match=message):
        sort_validation(flat, LABELS[::-1])
    (flat / LABELS[6] / validation_name(7)).unlink()
    message = r"1 of 12 images are gone \(ILSVRC2012_val_00000007.JPEG\): imnet"
    with pytest.raises(ValueError, match=message):
        sort_validation(flat, LABELS)


def test_undoing_names_what_has_gone_and_leaves_what_is_not_its_own(flat: Path):
    sort_validation(flat, LABELS)
    (flat / LABELS[6] / validation_name(7)).unlink()
    (flat / LABELS[0] / "notes.txt").write_text("mine")
    undone = undo_validation(flat)
    assert (undone.moved, undone.missing) == (IMAGES - 1, (validation_name(7),))
    rest = {name: data for name, data in FLAT.items() if name != validation_name(7)}
    assert images_in(flat) == rest | {f"{LABELS[0]}/notes.txt": b"mine"}
    assert not (flat / organize.JOURNAL).exists()


def test_undoing_does_not_lose_an_image_whose_place_is_taken(flat: Path):
    sort_validation(flat, LABELS)
    (flat / validation_name(5)).write_bytes(b"another")
    before = images_in(flat)
    message = r"other files have taken the places of ILSVRC2012_val_00000005\.JPEG: move"
    with pytest.raises(ValueError, match=message):
        undo_validation(flat)
    assert images_in(flat) == before


def test_undoing_makes_the_old_folder_anew(flat: Path, tmp_path: Path):
    sort_validation(tmp_path / "sorted", LABELS, flat=flat)
    # An empty download is soon deleted.
    flat.rmdir()
    assert undo_validation(tmp_path / "sorted").moved == IMAGES
    assert images_in(flat) == FLAT


def test_a_damaged_journal_is_named(flat: Path):
    sort_validation(flat, LABELS)
    message = r"\.sorted\.json is damaged .*: move the images back by hand"
    for damage in (b"", b"{}", b"[1"):
        (flat / organize.JOURNAL).write_bytes(damage)
        with pytest.raises(ValueError, match=message):
            undo_validation(flat)
        with pytest.raises(ValueError, match=message):
            sort_validation(flat, LABELS)


@pytest.mark.parametrize("link", [False, True], ids=["move", "link"])
def test_sorting_out_of_another_folder(flat: Path, tmp_path: Path, link: bool):
    target = tmp_path / "sorted"
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "other").touch()
    message = r"full holds other things \(other\): choose an empty folder"
    with pytest.raises(ValueError, match=message):
        sort_validation(tmp_path / "full", LABELS, flat=flat)
    assert sort_validation(target, LABELS, link=link, flat=flat).moved == IMAGES
    assert images_in(target) == SORTED
    assert images_in(flat) == (FLAT if link else {})
    assert sort_validation(target, LABELS, link=link, flat=flat).moved == 0
    message = r"sorted with images out of .*validation: imnet organize undo .*sorted"
    with pytest.raises(ValueError, match=message):
        sort_validation(target, LABELS, link=link)
    assert undo_validation(target).moved == IMAGES
    assert images_in(flat) == FLAT
    assert list(target.iterdir()) == []
