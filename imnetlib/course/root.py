"""The root folder of a run, and how each chapter gets what the chapters before it would have left."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from imnetlib import catalog, imagelist, organize, pack, sample
from imnetlib.archive import TarIndex, index_tar
from imnetlib.catalog import DEVKIT, TRAIN_TAR, VALIDATION_TAR, Dataset, Layout
from imnetlib.course import server
from imnetlib.files import write_atomically
from imnetlib.imagelist import ImageList

CHECKOUT = Path(__file__).parent.parent.parent
MARKER = "imnetlib-root.json"
OURS = {"mirror", "archives", "imagenet", "lists", "records"}
SETS = ("train", "validation")
# What chapter 4 does with the parameters it comes with.
SEED = 100
SHARDS = {"train": 4, "validation": 1}
SETTINGS = pack.Settings(resize=256, quality=90)
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


def prepare(root: str, needs: str) -> Root:
    """Open ``root`` and see to it that ``needs`` ("mirror", "archives" or "records") is there.

    In a sample root whatever is missing is built, as the earlier chapters would have built it. In any other root
    nothing is built: FileNotFoundError says which chapter to run first.
    """
    opened = open_root(root)
    if opened.is_sample:
        sample.draw(opened.mirror)
    steps: dict[str, Callable[[Root], None]] = {"archives": _fetch, "records": _pack}
    for number, (step, build) in enumerate(steps.items()):
        if needs in list(steps)[number:] and (missing := _missing(opened, step)):
            if not opened.is_sample:
                chapter = {"archives": 1, "records": 4}[step]
                raise FileNotFoundError(f"{missing} is missing: run chapter {chapter} with this root first")
            build(opened)
    return opened


def _missing(root: Root, step: str) -> Path | None:
    """The first file that ``step`` should have left and that is not there."""
    if step == "archives":
        wanted = [root.archives / archive.name for archive in root.dataset.archives]
    else:
        wanted = [root.records / f"{name}-failures.tsv" for name in SETS]  # written when all shards are done
    return next((path for path in wanted if not path.exists()), None)


def _fetch(root: Root) -> None:
    """The sample's archives without the network: hard links to the mirror's, or copies where links cannot be."""
    root.archives.mkdir(exist_ok=True)
    for archive in root.dataset.archives:
        target = root.archives / archive.name
        if not target.exists():
            try:
                target.hardlink_to(root.mirror / archive.name)
            except OSError:
                shutil.copyfile(root.mirror / archive.name, target)


def _pack(root: Root) -> None:
    """Both sets as chapter 4 packs them with the parameters it comes with."""
    tars = {"train": TRAIN_TAR, "validation": VALIDATION_TAR}
    for name, images in image_lists(root).items():
        source = pack.Tar(tar_index(root, tars[name]))
        pack.pack(images, source, root.records, name, shards=SHARDS[name], settings=SETTINGS)


def tar_index(root: Root, name: str) -> Path:
    """The file that holds the index of the archive ``name``, made if it is not there."""
    path = root.archives / f"{name}.npz"
    if not path.exists():
        index_tar(root.archives / name).save(path)
    return path


def image_lists(root: Root, seed: int = SEED) -> dict[str, ImageList]:
    """The shuffled training list and the validation list in file-name order, labels by sorted wnid."""
    train = TarIndex.load(tar_index(root, TRAIN_TAR))
    validation = TarIndex.load(tar_index(root, VALIDATION_TAR))
    wnids = organize.labels_from_devkit(root.archives / DEVKIT)
    return {
        "train": imagelist.shuffle(imagelist.from_archive(train), seed),
        "validation": imagelist.from_archive(validation, wnids),
    }


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
