"""A network found in a folder, by its name or as the only one."""

from __future__ import annotations

from pathlib import Path

import pytest
from publishing import WNIDS, as_of_2015, publish, random_arrays, tiny

from imnetlib.engines import (
    Checkpoint,
    Published,
    Recipe,
    load_network,
    require_network,
    save_checkpoint,
    untrained,
)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A network in training, which MXNet's graph lies beside, and a published one."""
    save_checkpoint(untrained(Recipe(), WNIDS), tmp_path)
    (tmp_path / "inception-64px-symbol.json").write_text("not read")
    net = tiny(pooling_convention="full")
    publish(tmp_path, as_of_2015(net), random_arrays(net, 224))
    return tmp_path


def test_each_kind_is_found_by_its_name(folder: Path):
    assert isinstance(load_network(folder, "inception-64px"), Checkpoint)
    assert isinstance(load_network(str(folder), "Inception"), Published)


def test_the_only_one_needs_no_name(folder: Path):
    with pytest.raises(
        ValueError, match=r"is no folder of one network; there: Inception, inception-64px$"
    ):
        load_network(folder)
    for path in folder.glob("inception-64px*"):
        path.unlink()
    assert load_network(folder).wnids == WNIDS


@pytest.mark.parametrize("name", ["a+b", "my net", "Inception"])
def test_a_published_one_may_have_any_name(folder: Path, name: str):
    for path in folder.glob("Inception-*"):
        path.rename(path.with_name(path.name.replace("Inception", name)))
    assert isinstance(load_network(folder, name), Published)


def test_a_graph_that_a_training_left_before_its_first_checkpoint_is_no_network(tmp_path: Path):
    (tmp_path / "inception-64px-symbol.json").write_text("not read")
    for find in (load_network, require_network):
        with pytest.raises(
            FileNotFoundError, match=r"no network 'inception-64px' \(there are none\): train it by"
        ):
            find(tmp_path, "inception-64px")
    net = tiny(pooling_convention="full")
    publish(tmp_path, as_of_2015(net), random_arrays(net, 224))
    assert isinstance(load_network(tmp_path), Published)


def test_one_that_is_not_there_is_named_with_those_that_are(folder: Path):
    for find in (load_network, require_network):
        with pytest.raises(
            FileNotFoundError, match=r"'other' \(there are Inception, inception-64px\): train it"
        ):
            find(folder, "other")
    with pytest.raises(FileNotFoundError, match=r"has no network 'x' \(there are none\)"):
        require_network(folder / "nowhere", "x")
