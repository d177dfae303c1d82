"""The root folder of a run: where each chapter finds what the chapters before it left."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from imnetlib import catalog
from imnetlib.catalog import Dataset
from imnetlib.course import sample
from imnetlib.files import visible_names, write_bytes_atomically

CHECKOUT = Path(__file__).parent.parent.parent
MARKER = "imnetlib-root.json"
# What chapters leave under a root; anything else there belongs to somebody else.
FOLDERS = {"mirror", "archives", "imagenet", "lists", "records", "checkpoints", "predictions"}
DATASETS = {"sample": catalog.SAMPLE, "ILSVRC2012": catalog.ILSVRC2012}


@dataclass(frozen=True, slots=True)
class Root:
    """A root folder and its data set: where each step of the course puts its files."""

    root: Path
    dataset: Dataset

    @property
    def is_sample(self) -> bool:
        """Whether this root holds the miniature that the course draws itself."""
        return self.dataset.name == "sample"

    @property
    def wnids(self) -> tuple[str, ...]:
        """The class of each label."""
        return sample.sample_wnids() if self.is_sample else catalog.wnids_1k()

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


def open_root(root: str, dataset: str = "") -> Root:
    """The folder ``root`` (a relative path starts at the checkout), made if it is not there.

    A new folder is marked with ``dataset`` ("sample" unless given). A folder that holds ImageNet in
    the course's layout is taken for ILSVRC2012. ValueError when it holds something else, or another
    data set than asked for.
    """
    folder = CHECKOUT / Path(root).expanduser()
    if folder.exists() and not folder.is_dir():
        raise ValueError(f"{folder} is a file: the root must be a folder")
    if dataset and dataset not in DATASETS:
        raise ValueError(f"There is no data set {dataset!r}; known are {', '.join(DATASETS)}")
    marker = folder / MARKER
    if marker.exists():
        marked = json.loads(marker.read_text(encoding="utf-8"))["dataset"]
        if dataset not in ("", marked):
            raise ValueError(
                f"{folder} holds the data set {marked}, not {dataset}: choose another root"
            )
        return Root(folder, DATASETS[marked])
    names = visible_names(folder) if folder.exists() else set()
    if names - FOLDERS:
        first = ", ".join(sorted(names - FOLDERS)[:5])
        raise ValueError(
            f"{folder} holds other things ({first}): choose an empty or a new folder as the root"
        )
    chosen = dataset or ("ILSVRC2012" if names - {"mirror"} else "sample")
    write_bytes_atomically(marker, json.dumps({"dataset": chosen}).encode())
    return Root(folder, DATASETS[chosen])


def publication(root: Root) -> Dataset:
    """The data set as its publisher offers it: the archives with sizes and checksums."""
    return sample.load(root.mirror) if root.is_sample else root.dataset


@contextmanager
def site(root: Root) -> Iterator[str]:
    """The base URL of the archives: of a server on this machine for the sample, else official."""
    if not root.is_sample:
        yield root.dataset.url
        return
    # Only this needs Werkzeug.
    from imnetlib.course import server

    with server.serve(root.mirror) as url:
        yield url
