"""What a chapter needs of earlier ones: verified, or built for the sample."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Literal

from imnetlib import engines, pack
from imnetlib.course import sample
from imnetlib.course.root import Root, open_root
from imnetlib.course.steps.networks import RECIPE, SHIPPED, is_trained, network_folder, train_sample
from imnetlib.course.steps.predictions import predict, predicted, prediction_folder
from imnetlib.course.steps.records import default_records, is_packed, pack_sample
from imnetlib.files import write_atomically

Step = Literal["mirror", "archives", "records", "checkpoint", "predictions"]

_BY_NETWORK = ("checkpoint", "predictions")


def prepare(root: str, needs: Step, network: str = "", outputs: str = "", engine: str = "") -> Root:
    """Open ``root`` and see to it that what a chapter needs is there.

    In a sample root whatever is missing is built, as the earlier chapters would have built it. In
    any other root nothing is built: FileNotFoundError says which chapter to run first. ValueError
    names a list, shards, a network or predictions that are incomplete or do not fit the classes of
    the root. ``network``, ``outputs``: whose checkpoint or predictions, as in
    ``prediction_folder``; only chapter 7's network is built, or the repository's own taken in its
    place, which is said. ``engine``: as in ``course.engine``.
    """
    opened = open_root(root)
    wanted = network or RECIPE.network
    if needs == "predictions":
        wanted = prediction_folder(opened, network, outputs).name
    if opened.is_sample and (needs not in _BY_NETWORK or wanted == RECIPE.network):
        _build(opened, needs, engine)
    elif opened.is_sample:
        _require_network(opened, wanted, needs)
        _build(opened, "records", engine)
    if needs == "archives" and opened.way == "archives":
        _require_archives(opened)
    if needs in ("records", *_BY_NETWORK):
        _require(opened.records, chapter=4)
        path = opened.lists / "train.lst"
        if path.exists():
            pack.verify_labels(pack.read_lst(path), opened.wnids, path)
    if needs in _BY_NETWORK:
        _require_network(opened, wanted, needs)
    if needs == "predictions":
        predicted(opened, network, outputs)
    return opened


def _require_archives(root: Root) -> None:
    _require(root.training_archive, chapter=1)
    for archive in root.dataset.archives[1:]:
        _require(root.archives / archive.name, chapter=1)


def _require_network(root: Root, network: str, needs: Step) -> None:
    """FileNotFoundError where there is no such checkpoint, or none of its predictions."""
    folder = network_folder(root, network)
    if folder == SHIPPED:
        print(f"The network is data/network/{network}: chapter 7 trains one of this root's own")
    if needs == "predictions":
        _require(root.predictions / network / pack.CLASSES, chapter=8)
        return
    _require(folder, chapter=7)
    engines.require_network(folder, network)


def _require(path: Path, chapter: int) -> None:
    if not path.exists():
        raise FileNotFoundError(f"{path} is missing: run chapter {chapter} with this root first")


def _build(root: Root, needs: Step, engine: str) -> None:
    """Build what is missing, going back only as far as needed."""
    # A sample of other counts may have been put there.
    if needs in ("mirror", "archives") and not sample.is_finished(root.mirror):
        sample.draw(root.mirror)
    if needs == "archives":
        _fetch(root)
    elif needs == "records" and not any(map(is_packed, root.records.glob("*"))):
        _build(root, "archives", engine)
        pack_sample(root)
    elif needs == "checkpoint":
        _build(root, "records", engine)
        if not is_trained(root) and network_folder(root, RECIPE.network) != SHIPPED:
            train_sample(root, engine)
    elif needs == "predictions":
        _build(root, "checkpoint", engine)
        predict(root, records=default_records(root), engine=engine)


def _fetch(root: Root) -> None:
    """Link the sample's archives to the mirror's, or copy them where links cannot be made."""
    root.archives.mkdir(exist_ok=True)
    for archive in root.dataset.archives:
        source = root.mirror / archive.name
        target = root.archives / archive.name
        if target.exists():
            continue
        try:
            target.hardlink_to(source)
        except OSError:
            with source.open("rb") as drawn, write_atomically(target) as out:
                shutil.copyfileobj(drawn, out)
