"""Finding a network in a folder, whoever trained it (chapter 8)."""

from __future__ import annotations

import re
from pathlib import Path

from imnetlib.arguments import PathLike
from imnetlib.engines import checkpoint
from imnetlib.engines.published import Trained, load_published
from imnetlib.files import listed_names


def networks(folder: PathLike) -> set[str]:
    """The names of the networks in ``folder``: in training or trained, and published ones.

    A graph without weights is none: MXNet's engine leaves one where it has not saved anything yet.
    """
    folder = Path(folder)
    graphs = {path.name.removesuffix("-symbol.json") for path in folder.glob("*-symbol.json")}
    weights = {re.sub(r"-\d{4,}\.params$", "", path.name) for path in folder.glob("*.params")}
    return checkpoint.networks(folder) | (graphs & weights)


def require_network(folder: PathLike, name: str) -> None:
    """FileNotFoundError where ``folder`` has no network of that name; it names those there."""
    there = networks(folder)
    if not {name, checkpoint.file_name(name)} & there:
        raise FileNotFoundError(
            f"{folder} has no network {name!r} (there are {listed_names(there) or 'none'}): train "
            "it by chapter 7, or put the files of a published one there: its graph, its weights "
            "and synset.txt"
        )


def load_network(folder: PathLike, name: str = "") -> Trained:
    """A network by its name, or the only one in ``folder``: trained, or published (chapter 8).

    FileNotFoundError where there is no such network, ValueError where none is named and there is
    not one; else as ``load_checkpoint`` and ``load_published``.
    """
    if not name:
        there = networks(folder)
        if len(there) != 1:
            known = listed_names(there) or "none"
            raise ValueError(f"{folder} is no folder of one network; there: {known}")
        (name,) = there
    require_network(folder, name)
    if checkpoint.file_name(name) in checkpoint.networks(folder):
        return checkpoint.load(folder, name)
    return load_published(folder, name)
