"""The root folder of a run: where each chapter finds what the chapters before it left."""

from __future__ import annotations

import dataclasses
import functools
import json
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, NamedTuple

from imnetlib import catalog, organize
from imnetlib.archive import open_index
from imnetlib.catalog import Dataset
from imnetlib.course import sample
from imnetlib.files import listed_names, visible_names, write_bytes_atomically

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


# Those whose archives come from elsewhere.
REAL_SETS = ("ILSVRC2012", "winter21", "fall11")
_PACKED = (".zip", ".tar", ".tar.gz", ".tgz", ".7z", ".rar")


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


@functools.cache
def _holds_parquet(source: Path) -> bool:
    """Whether there are parquet files; class folders without any are walked through once."""
    return any(source.glob("**/*.parquet"))


def _way_of(source: Path) -> Way:
    """What lies in ``source``; FileNotFoundError or ValueError where it is none of the ways."""
    if not source.exists():
        raise FileNotFoundError(f"{source}, where the images of this root lay, is gone")
    if source.suffix == ".lst":
        return "list"
    if not source.is_dir():
        raise ValueError(
            f"{source} is no folder of images and no .lst: name one, such as the folder that it is "
            "in"
        )
    # Half of Kaggle's download is no class folders either.
    if (source / Path(organize.KAGGLE_IMAGES).parts[0]).is_dir():
        return "kaggle"
    return "parquet" if _holds_parquet(source) else "folders"


def _require_images(source: Path) -> None:
    """FileNotFoundError or ValueError for a source that cannot be one, with what to name instead.

    That it is one is known when chapter 1 has read it.
    """
    if not source.exists():
        raise FileNotFoundError(
            f"{source} is not there: name the folder of your images, or their .lst"
        )
    entries = [source]
    if source.is_dir():
        entries = [source / name for name in visible_names(source)]
    if not any(entry.is_dir() for entry in entries):
        _refuse_packed({entry.name for entry in entries}, source)
    way = _way_of(source)
    if way == "kaggle" and _holds_parquet(source):
        raise ValueError(
            f"{source} holds Kaggle's download and parquet files: name the folder of one of them"
        )


def _refuse_packed(names: set[str], source: Path) -> None:
    """ValueError where these files are archives."""
    for dataset in REAL_SETS:
        own = names & {archive.name for archive in DATASETS[dataset].archives}
        if own:
            raise ValueError(
                f"{source}: {listed_names(own)} belongs to {dataset}'s archives: put them into the "
                f"folder archives of the root, and give dataset {dataset} in place of a source"
            )
    packed = {name for name in names if name.lower().endswith(_PACKED)}
    if packed:
        raise ValueError(
            f"{source}: {listed_names(packed)} is packed: unzip it, and name the folder that "
            "comes out"
        )


class _Mark(NamedTuple):
    """What a root says of itself: a name in ``DATASETS``, and the source or ""."""

    dataset: str
    source: str


def open_root(root: str, dataset: str = "", source: str = "") -> Root:
    """The folder ``root`` (a relative path starts at the checkout), made if it is not there.

    A new folder is marked with ``dataset`` ("sample" unless given) and the ``source`` of images
    that are here already: Kaggle's unpacked download or parquet files (ILSVRC2012 unless
    ``dataset`` says otherwise), class folders or a .lst ("folders"). A folder that holds ImageNet
    in the course's layout is taken for the set whose training archive, drawn or real, is there, or
    for ILSVRC2012. A root that holds nothing but its mark is marked anew. FileNotFoundError for a
    source that is not there, ValueError when the folder holds something else, or another data set
    or source than asked for, and when these do not go together.
    """
    # Chapters that are stored begin anew: what is there already, they would not do again.
    folder = Path(os.environ.get("IMNETLIB_ROOTS", CHECKOUT), Path(root).expanduser())
    if folder.exists() and not folder.is_dir():
        raise ValueError(f"{folder} is a file: the root must be a folder")
    if dataset and dataset not in DATASETS:
        raise ValueError(f"There is no data set {dataset!r}; known are {', '.join(DATASETS)}")
    images = str(Path(source).expanduser().absolute()) if source else ""
    marker = folder / MARKER
    marked = _read_mark(marker) if marker.exists() else None
    if marked and not _is_asked_for(marked, dataset, images, folder):
        print(f"{folder} held nothing of {marked.source or marked.dataset} yet: it is marked anew")
        marked = None
    if marked is None:
        marked = _mark(folder, dataset, images)
        write_bytes_atomically(marker, json.dumps(marked._asdict()).encode())
    held = Path(marked.source) if marked.source else None
    miniature = _miniature(folder / "mirror", marked.dataset)
    return Root(folder, miniature or DATASETS[marked.dataset], held)


def _miniature(mirror: Path, dataset: str) -> Dataset | None:
    """What is drawn there; ValueError where it is not of ``dataset``."""
    if not sample.is_finished(mirror):
        return None
    drawn = sample.load(mirror)
    if drawn.name != dataset:
        raise _other_set(mirror, drawn.name, dataset)
    return drawn


def _read_mark(marker: Path) -> _Mark:
    """The mark of a root; ValueError where the file is none."""
    try:
        read = json.loads(marker.read_text(encoding="utf-8"))
        problem = _problem_of(read)
    except ValueError as error:
        problem = str(error)
    if problem:
        raise ValueError(
            f"{marker} does not say what this root holds ({problem}): remove it, and run chapter 1 "
            "with the dataset or the source of this root"
        )
    # An earlier version had no sources.
    return _Mark(read["dataset"], read.get("source", ""))


def _problem_of(read: object) -> str:
    """What is wrong with the content of a mark; "" if nothing is."""
    if not isinstance(read, dict) or "dataset" not in read:
        return "it names no dataset"
    dataset = read["dataset"]
    source = read.get("source", "")
    if not isinstance(dataset, str) or dataset not in DATASETS:
        return f"there is no data set {dataset!r}"
    if not isinstance(source, str):
        return f"{source!r} is the path of no source"
    return "images of your own have a source" if (dataset, source) == ("folders", "") else ""


def _is_asked_for(marked: _Mark, dataset: str, images: str, folder: Path) -> bool:
    """Whether a root is what is asked for; ValueError where it is not and holds something."""
    for what, held, asked in (
        ("data set", marked.dataset, dataset),
        ("source", marked.source, images),
    ):
        if asked not in ("", held):
            if visible_names(folder) - {MARKER}:
                raise ValueError(
                    f"{folder} holds the {what} {held or 'of the archives'}, not {asked}: "
                    "choose another root"
                )
            return False
    return True


def _mark(folder: Path, dataset: str, images: str) -> _Mark:
    """The mark of a new root; ValueError where data set, source and folder do not go together."""
    if images:
        _require_images(Path(images))
    name = dataset or _recognized(folder, images)
    if name == "sample" and images:
        raise ValueError(f"the sample is painted, so {images} is none: leave out the dataset")
    if name == "folders" and not images:
        raise ValueError(
            "the data set folders is images that you have: give their folder or .lst as source"
        )
    if images and _way_of(Path(images)) == "kaggle" and name != "ILSVRC2012":
        raise ValueError(
            f"{images} is Kaggle's download, which is ILSVRC2012, not {name}: leave out the dataset"
        )
    _miniature(folder / "mirror", name)
    if not images:
        require_own_archives(folder / "archives", DATASETS[name])
    return _Mark(name, images)


def require_own_archives(archives: Path, dataset: Dataset) -> None:
    """ValueError where the training archive in a folder is that of another set alone."""
    if _has_training_archive(archives, dataset):
        return
    for name in REAL_SETS:
        if _has_training_archive(archives, DATASETS[name]):
            raise _other_set(archives, name, dataset.name)


def _other_set(where: Path, found: str, wanted: str) -> ValueError:
    return ValueError(
        f"{where} holds archives of {found}, and this root is one of {wanted}: give dataset "
        f"{found}, choose another root, or move them away"
    )


def _has_training_archive(archives: Path, dataset: Dataset) -> bool:
    """Whether it is there, packed or unpacked."""
    own = [archive.name for archive in dataset.archives[:1]]
    unpacked = [name.removesuffix(".gz") for name in own]
    return any((archives / name).exists() for name in own + unpacked)


def _recognized(folder: Path, images: str) -> str:
    """The data set of a folder without a mark; ValueError where it holds other things."""
    names = visible_names(folder) - {MARKER} if folder.exists() else set()
    if names - FOLDERS:
        raise ValueError(
            f"{folder} holds other things ({listed_names(names - FOLDERS)}): "
            "choose an empty or a new folder as the root"
        )
    if images:
        return "ILSVRC2012" if _way_of(Path(images)) in ("kaggle", "parquet") else "folders"
    if sample.is_finished(folder / "mirror"):
        return sample.load(folder / "mirror").name
    for name in REAL_SETS:
        if _has_training_archive(folder / "archives", DATASETS[name]):
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
