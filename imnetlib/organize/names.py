"""What ImageNet calls its images (chapter 2)."""

from __future__ import annotations

import os
import re
from pathlib import Path

from imnetlib.files import listed_names

JOURNAL = ".sorted.json"
TRAIN_NAME = re.compile(rb"(n\d{8})/\1_\d+\.JPEG")
VALIDATION_NAME = re.compile(rb"ILSVRC2012_val_\d{8}\.JPEG")


def is_training_name(wnid: str, name: str) -> bool:
    """Whether ImageNet calls training images of the class ``wnid`` like this."""
    return TRAIN_NAME.fullmatch(os.fsencode(f"{wnid}/{name}")) is not None


def validation_name(number: int) -> str:
    """The file name of validation image ``number``, counted from 1."""
    return f"ILSVRC2012_val_{number:08d}.JPEG"


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
