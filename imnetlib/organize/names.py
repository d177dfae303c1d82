"""What ImageNet calls its images (chapter 2)."""

from __future__ import annotations

import os
import re
from pathlib import Path

from imnetlib.files import first_names

JOURNAL = ".sorted.json"
TRAIN_NAME = re.compile(rb"(n\d{8})/\1_\d+\.JPEG")
VALIDATION_NAME = re.compile(rb"ILSVRC2012_val_\d{8}\.JPEG")


def is_training_name(wnid: str, name: str) -> bool:
    """Whether ImageNet calls training images of the class ``wnid`` like this."""
    return TRAIN_NAME.fullmatch(os.fsencode(f"{wnid}/{name}")) is not None


def is_validation_name(name: str) -> bool:
    """Whether ImageNet calls validation images like this."""
    return VALIDATION_NAME.fullmatch(os.fsencode(name)) is not None


def validation_name(number: int) -> str:
    """The file name of validation image 1, 2, …"""
    return f"ILSVRC2012_val_{number:08d}.JPEG"


def require_same_names(
    found: set[str], expected: set[str], where: Path, what: str = "validation images"
) -> None:
    """ValueError that counts and names what is missing and what is too much."""
    missing = expected - found
    unexpected = found - expected
    if missing or unexpected:
        said = [
            f"{len(names):,} {kind} ({first_names(names)})"
            for kind, names in (("missing", missing), ("unexpected", unexpected))
            if names
        ]
        raise ValueError(
            f"{where}: of {len(expected):,} {what}, {' and '.join(said)}: nothing was done"
        )
