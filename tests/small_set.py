"""A small training and validation set, and the images that a folder holds of it."""

from __future__ import annotations

from pathlib import Path

from making import jpeg, tree

from imnetlib import organize

WNIDS = ("n01440764", "n02012849", "n03126707")
# The files of each class, and the same by their paths.
TRAIN_CLASSES = {
    wnid: {f"{wnid}_{i}.JPEG": jpeg(seed=i) for i in range(3 + at)} for at, wnid in enumerate(WNIDS)
}
TRAIN = {
    f"{wnid}/{name}": data
    for wnid, images in TRAIN_CLASSES.items()
    for name, data in images.items()
}

IMAGES = 12
LABELS = tuple(WNIDS[i * 7 % 3] for i in range(IMAGES))
FLAT = {organize.validation_name(i): b"image %d" % i for i in range(1, IMAGES + 1)}
SORTED = {f"{wnid}/{name}": FLAT[name] for wnid, name in zip(LABELS, FLAT, strict=True)}


def images_in(folder: Path) -> dict[str, bytes]:
    """Every file below a folder, the journal aside."""
    return tree(folder, organize.JOURNAL)
