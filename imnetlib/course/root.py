"""The root folder of a run: where each chapter finds what the chapters before it left."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from imnetlib import catalog, organize
from imnetlib.archive import open_index
from imnetlib.catalog import Dataset
from imnetlib.course import sample
from imnetlib.files import visible_names, write_bytes_atomically

CHECKOUT = Path(__file__).parent.parent.parent
MARKER = "imnetlib-root.json"
# What chapters leave under a root; anything else there belongs to somebody else.
FOLDERS = {"mirror", "archives", "imagenet", "lists", "records", "checkpoints", "predictions"}

Way = Literal["archives", "kaggle", "parquet", "folders", "list"]


def _judged_on_ilsvrc(dataset: Dataset) -> Dataset:
    """As the note does it: train on all classes, validate on ILSVRC2012's validation images."""
    _, *validation = catalog.ILSVRC2012.archives
    return dataclasses.replace(
        dataset, validation=catalog.ILSVRC2012.validation, archives=(*dataset.archives, *validation)
    )


DATASETS = {
    "sample": catalog.SAMPLE,
    "ILSVRC2012": catalog.ILSVRC2012,
    "winter21": _judged_on_ilsvrc(catalog.WINTER21),
    "fall11": _judged_on_ilsvrc(catalog.IMAGENET21K),
    "folders": Dataset("your own images", classes=0, train=0, validation=0, archives=()),
}


@dataclass(frozen=True, slots=True)
class Root:
    """A root folder and its data set: where each step of the course puts its files.

    ``source``: where the images lie, if they came in another way than the official archives:
    Kaggle's unpacked download, the folder of the parquet files, that of the class folders, a list.
    """

    root: Path
    dataset: Dataset
    source: Path | None = None

    @property
    def is_sample(self) -> bool:
        """Whether this root holds the miniature that the course draws itself."""
        return self.dataset.name == "sample"

    @property
    def is_miniature(self) -> bool:
        """Whether its archives are in its mirror, drawn and not downloaded."""
        return self.is_sample or sample.is_finished(self.mirror)

    @property
    def way(self) -> Way:
        """In which way the images were got."""
        return "archives" if self.source is None else _way_of(self.source)

    @property
    def there(self) -> Path:
        """The ``source``; ValueError where the images came as archives."""
        if self.source is None:
            raise ValueError(f"the images of {self.root} came as archives")
        return self.source

    @property
    def wnids(self) -> tuple[str, ...]:
        """The class of each label, from the lists of chapter 4 or, before it, from the images."""
        listed = self.lists / "synset.txt"
        if listed.exists():
            return catalog.read_classes(listed)
        if self.way == "archives" and self.training_archive.exists():
            return open_index(self.training_archive).class_names
        if self.way == "kaggle":
            return catalog.read_classes(self.there / organize.KAGGLE_CLASSES)
        if self.is_sample:
            return sample.sample_wnids()
        if self.dataset.classes == len(catalog.wnids_1k()):
            return catalog.wnids_1k()
        raise FileNotFoundError(
            f"{listed} is missing, the class of each label: run chapter 4 with this root first"
        )

    @property
    def training_archive(self) -> Path:
        """The tar of the training images, unpacked if it comes as a .tar.gz."""
        return self.archives / self.dataset.archives[0].name.removesuffix(".gz")

    @property
    def class_folders(self) -> Path:
        """The folder of the training set's class folders."""
        if self.way == "archives":
            return self.train
        if self.way == "kaggle":
            return self.there / organize.KAGGLE_IMAGES / "train"
        inside = self.there / "train"
        return inside if inside.is_dir() else self.there

    @property
    def mirror(self) -> Path:
        """Where the sample's archives are drawn, and served from in place of the official site."""
        return self.root / "mirror"

    @property
    def archives(self) -> Path:
        """The downloaded archives."""
        return self.root / "archives"

    @property
    def train(self) -> Path:
        """One folder per training class."""
        return self.root / "imagenet" / "train"

    @property
    def validation(self) -> Path:
        """The validation images: flat as they come, one folder per class once organized."""
        return self.root / "imagenet" / "validation"

    @property
    def lists(self) -> Path:
        """The ``.lst`` files."""
        return self.root / "lists"

    @property
    def records(self) -> Path:
        """The shards, a folder for each setting they were packed with."""
        return self.root / "records"

    @property
    def checkpoints(self) -> Path:
        """The trained networks."""
        return self.root / "checkpoints"

    @property
    def predictions(self) -> Path:
        """What a trained network predicts for the validation images."""
        return self.root / "predictions"


def _way_of(source: Path) -> Way:
    """What lies in ``source``; FileNotFoundError or ValueError where it is none of the ways."""
    if not source.exists():
        raise FileNotFoundError(f"{source}, where the images of this root lay, is gone")
    if source.suffix == ".lst":
        return "list"
    if not source.is_dir():
        raise ValueError(f"{source} is no folder of images and no .lst: name one of these")
    if (source / organize.KAGGLE_IMAGES).is_dir():
        return "kaggle"
    if any(source.glob("**/*.parquet")):
        return "parquet"
    return "folders"


def open_root(root: str, dataset: str = "", source: str = "") -> Root:
    """The folder ``root`` (a relative path starts at the checkout), made if it is not there.

    A new folder is marked with ``dataset`` ("sample" unless given) and the ``source`` of images
    that are here already: Kaggle's unpacked download or parquet files (ILSVRC2012 unless
    ``dataset`` says otherwise), class folders or a .lst ("folders"). A folder that holds ImageNet
    in the course's layout is taken for the set whose training archive, drawn or real, is there, or
    for ILSVRC2012. ValueError when it holds something else, or another data set or source than
    asked for.
    """
    folder = CHECKOUT / Path(root).expanduser()
    if folder.exists() and not folder.is_dir():
        raise ValueError(f"{folder} is a file: the root must be a folder")
    if dataset and dataset not in DATASETS:
        raise ValueError(f"There is no data set {dataset!r}; known are {', '.join(DATASETS)}")
    images = str(Path(source).expanduser().absolute()) if source else ""
    marker = folder / MARKER
    if marker.exists():
        marked = {"source": "", **json.loads(marker.read_text(encoding="utf-8"))}
        for what, asked in (("data set", dataset), ("source", images)):
            held = marked["dataset" if what == "data set" else what]
            if asked not in ("", held):
                raise ValueError(
                    f"{folder} holds the {what} {held or 'of the archives'}, not {asked}: "
                    "choose another root"
                )
    else:
        marked = {"dataset": dataset or _recognized(folder, images), "source": images}
        write_bytes_atomically(marker, json.dumps(marked).encode())
    held = Path(marked["source"]) if marked["source"] else None
    opened = Root(folder, DATASETS[marked["dataset"]], held)
    if opened.is_miniature and not opened.is_sample:
        return dataclasses.replace(opened, dataset=sample.load(opened.mirror))
    return opened


def _recognized(folder: Path, images: str) -> str:
    """The data set of a folder without a mark; ValueError where it holds other things."""
    names = visible_names(folder) if folder.exists() else set()
    if names - FOLDERS:
        first = ", ".join(sorted(names - FOLDERS)[:5])
        raise ValueError(
            f"{folder} holds other things ({first}): choose an empty or a new folder as the root"
        )
    if images:
        return "ILSVRC2012" if _way_of(Path(images)) in ("kaggle", "parquet") else "folders"
    if sample.is_finished(folder / "mirror"):
        return sample.load(folder / "mirror").name
    for name, held in DATASETS.items():
        own = [folder / "archives" / archive.name for archive in held.archives[:1]]
        if name != "sample" and any(path.exists() for path in own):
            return name
    return "ILSVRC2012" if names - {"mirror"} else "sample"


def publication(root: Root) -> Dataset:
    """The data set as its publisher offers it: the archives with sizes and checksums."""
    return sample.load(root.mirror) if root.is_miniature else root.dataset


@contextmanager
def site(root: Root) -> Iterator[Callable[[str], str]]:
    """The address of each archive: on a server of this machine for a miniature, else official."""
    if not root.is_miniature:
        yield lambda name: catalog.published(name)[0]
        return
    # Only this needs Werkzeug.
    from imnetlib.course import server

    with server.serve(root.mirror) as url:
        yield lambda name: url + name
