"""The root folder of a run, and how each chapter gets what the chapters before it would have left."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from imnetlib import catalog, sample
from imnetlib.archive import index_tar
from imnetlib.catalog import Dataset, Layout
from imnetlib.course import server
from imnetlib.files import write_atomically

CHECKOUT = Path(__file__).parent.parent.parent
MARKER = "imnetlib-root.json"
OURS = {"mirror", "archives", "imagenet", "lists", "records"}
DATASETS = {"sample": catalog.SAMPLE, "ILSVRC2012": catalog.ILSVRC2012}


@dataclass(frozen=True, slots=True)
class Root(Layout):
    """A layout whose data set is known."""

    dataset: Dataset

    @property
    def is_sample(self) -> bool:
        """Does this root hold the miniature that the course draws itself?"""
        return self.dataset.name == "sample"

    @property
    def mirror(self) -> Path:
        """Where the sample's archives are drawn, and served from in place of the official site."""
        return self.root / "mirror"


def open_root(root: str, dataset: str = "") -> Root:
    """The folder ``root`` (a relative path starts at the checkout), made if it is not there.

    A new folder is marked with ``dataset`` ("sample" unless given). A folder that holds ImageNet in the course's
    layout is taken for ILSVRC2012. ValueError when it holds something else, or another data set than asked for.
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
            raise ValueError(f"{folder} holds the data set {marked}, not {dataset}: choose another root")
        return Root(folder, DATASETS[marked])
    there = (
        {path.name for path in folder.iterdir() if not path.name.startswith(".")}
        if folder.exists()
        else set()
    )
    if there - OURS:
        first = ", ".join(sorted(there - OURS)[:5])
        raise ValueError(
            f"{folder} holds other things ({first}): choose an empty or a new folder as the root"
        )
    chosen = dataset or ("ILSVRC2012" if there - {"mirror"} else "sample")
    with write_atomically(marker) as out:
        out.write(json.dumps({"dataset": chosen}).encode())
    return Root(folder, DATASETS[chosen])


def prepare(root: str, needs: Literal["mirror", "archives"]) -> Root:
    """Open ``root`` and see to it that the sample's mirror, or the downloaded archives, are there.

    In a sample root whatever is missing is built, as the earlier chapters would have built it. In any other root
    nothing is built: FileNotFoundError says which chapter to run first.
    """
    opened = open_root(root)
    if opened.is_sample:
        sample.draw(opened.mirror)
    if needs == "archives":
        wanted = [opened.archives / archive.name for archive in opened.dataset.archives]
        missing = next((path for path in wanted if not path.exists()), None)
        if missing and not opened.is_sample:
            raise FileNotFoundError(f"{missing} is missing: run chapter 1 with this root first")
        if missing:
            _fetch(opened)
    return opened


def _fetch(root: Root) -> None:
    """The sample's archives without the network: hard links to the mirror's, or copies where links cannot be."""
    root.archives.mkdir(exist_ok=True)
    for archive in root.dataset.archives:
        target = root.archives / archive.name
        if not target.exists():
            try:
                target.hardlink_to(root.mirror / archive.name)
            except OSError:
                with (root.mirror / archive.name).open("rb") as drawn, write_atomically(target) as out:
                    shutil.copyfileobj(drawn, out)


def tar_index(root: Root, name: str) -> Path:
    """The file that holds the index of the archive ``name``, made if it is not there."""
    path = root.archives / f"{name}.npz"
    if not path.exists():
        index_tar(root.archives / name).save(path)
    return path


def publication(root: Root) -> Dataset:
    """The data set as its publisher offers it: the archives with sizes and checksums."""
    return sample.load(root.mirror) if root.is_sample else root.dataset


@contextmanager
def site(root: Root) -> Iterator[str]:
    """The base URL of the archives: a server on this machine for the sample, else the official site."""
    if not root.is_sample:
        yield root.dataset.url
        return
    with server.serve(root.mirror) as url:
        yield url
