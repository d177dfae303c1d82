"""The images of class folders, found as torchvision and timm find them (make peers asks both)."""

from __future__ import annotations

import os
import re
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from making import put

from imnetlib.pack import list_folder

SUFFIXES = (".JPEG", ".jpg", ".jpeg", ".png")
wnids = st.integers(0, 99_999_999).map("n{:08d}".format)
files = st.tuples(st.integers(0, 30_000), st.sampled_from([*SUFFIXES, ".txt", ".tar"]))
folders = st.dictionaries(wnids, st.sets(files, max_size=8), min_size=1, max_size=6)


def by_image_folder(root: Path) -> list[tuple[str, int]]:
    """The rule of torchvision's ImageFolder: classes, folders and files in the order of bytes."""
    classes = sorted(entry.name for entry in os.scandir(root) if entry.is_dir())
    found = []
    for label, name in enumerate(classes):
        for folder, _, names in sorted(os.walk(root / name)):
            for file in sorted(names):
                if file.lower().endswith(SUFFIXES[1:]):
                    found.append((f"{Path(folder).relative_to(root)}/{file}", label))
    return found


def natural_key(path: str) -> list[tuple[int, str]]:
    """The rule of timm: digits as numbers, letters without their case."""
    return [
        (int(piece) if piece.isdigit() else -1, piece) for piece in re.split(r"(\d+)", path.lower())
    ]


@pytest.mark.filterwarnings("ignore:.*other files are left out")
@settings(max_examples=60, deadline=None)
@given(classes=folders)
def test_the_images_and_labels_of_torchvision_in_the_order_of_timm(
    tmp_path_factory: pytest.TempPathFactory, classes: dict[str, set[tuple[int, str]]]
):
    root = tmp_path_factory.mktemp("classes")
    for wnid, members in classes.items():
        # A class without an image is refused.
        names = [f"{wnid}_{number}{suffix}" for number, suffix in {*members, (1, ".JPEG")}]
        put(root, {f"{wnid}/{name}": b"" for name in names})
    images = list_folder(root)
    found = list(
        zip(map(os.fsdecode, images.paths), images.labels[:, 0].astype(int).tolist(), strict=True)
    )
    expected = by_image_folder(root)
    assert sorted(found) == expected
    assert [path for path, _ in found] == sorted((path for path, _ in expected), key=natural_key)
    assert images.classes == tuple(sorted(classes))
