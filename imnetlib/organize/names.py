"""What ImageNet calls its images (chapter 2)."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import SupportsIndex

from imnetlib.arguments import require, whole_number
from imnetlib.files import listed_names

JOURNAL = ".sorted.json"
# In any folders. Some releases put the class behind the number as well, after an underscore.
TRAIN_PATH = re.compile(rb"(?:.+/)?(?P<wnid>n\d{8})/(?P<name>(?P=wnid)_\d+(?:_(?P=wnid))?\.JPEG)")
VALIDATION_PATH = re.compile(rb"(?:.+/)?(?P<name>ILSVRC2012_val_\d{8}(?:_(?P<wnid>n\d{8}))?\.JPEG)")


def is_training_name(wnid: str, name: str) -> bool:
    """Whether ImageNet calls training images of the class ``wnid`` like this."""
    return TRAIN_PATH.fullmatch(os.fsencode(f"{wnid}/{name}")) is not None


def is_validation_name(wnid: str, name: str) -> bool:
    """Whether ImageNet calls validation images like this, and names no other class in it."""
    match = VALIDATION_PATH.fullmatch(os.fsencode(name))
    return match is not None and match["wnid"] in (None, wnid.encode())


def validation_name(number: SupportsIndex, wnid: str = "") -> str:
    """The file name of validation image ``number``, counted from 1; ValueError for less.

    With ``wnid``, its class, the name that some releases give it, which ends in the class.
    """
    number = whole_number("number", number)
    require(number >= 1, "validation images are counted from 1", number)
    return f"ILSVRC2012_val_{number:08d}{wnid and f'_{wnid}'}.JPEG"


def require_same_names(
    names: set[str], expected: set[str], where: Path, what: str = "validation images"
) -> None:
    """ValueError that counts and lists the missing and the unexpected names."""
    differences = []
    for kind, differing in (("missing", expected - names), ("unexpected", names - expected)):
        if differing:
            differences.append(f"{len(differing):,} {kind} ({listed_names(differing)})")
    if differences:
        listed = " and ".join(differences)
        raise ValueError(f"{where}: of {len(expected):,} {what}, {listed}: nothing was done")
