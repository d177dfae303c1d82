"""Checkpoints on the disk: which are kept, what damage costs."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest
from trainings import SMALL, WNIDS

from imnetlib import engines
from imnetlib.engines import Checkpoint, Epoch, load_checkpoint, networks_in, save_checkpoint


def after(top1: list[float], steps: int = 0, network: str = "inception-64px") -> Checkpoint:
    """A checkpoint after epochs of these validation accuracies, its number in its weights."""
    recipe = dataclasses.replace(SMALL, network=network, epochs=9)
    history = tuple(Epoch(1.0, 0.5, value, 0.9, 1.0) for value in top1)
    number = np.array([100 * len(top1) + steps], np.float32)
    return Checkpoint(
        recipe, WNIDS, 7, history, {"epoch": 1}, {"arg:n": number}, {}, steps, (1.5, 2.0, 3.0, 4.0)
    )


def stems(folder: Path) -> list[str]:
    return sorted({path.stem.removeprefix("inception-64px-") for path in folder.iterdir()})


def test_all_of_it_comes_back(tmp_path: Path):
    saved = after([0.25, 0.5], steps=3)
    save_checkpoint(saved, tmp_path)
    loaded = load_checkpoint(tmp_path, "inception-64px")
    for field in dataclasses.fields(Checkpoint):
        if field.name != "parameters":
            assert getattr(loaded, field.name) == getattr(saved, field.name), field.name
    assert loaded.parameters["arg:n"] == 203


def test_the_last_two_and_the_best_are_kept(tmp_path: Path):
    top1 = [0.1, 0.8, 0.3, 0.4, 0.5]
    for epochs in range(1, 6):
        save_checkpoint(after(top1[:epochs]), tmp_path)
        if epochs < 5:
            save_checkpoint(after(top1[:epochs], steps=20), tmp_path)
    assert stems(tmp_path) == ["0002", "0004-000020", "0005"]
    assert load_checkpoint(tmp_path, "inception-64px").parameters["arg:n"] == 500
    assert load_checkpoint(tmp_path, "inception-64px", best=True).parameters["arg:n"] == 200


@pytest.mark.parametrize("suffix", [".params", ".state", ".json"])
@pytest.mark.parametrize("damage", ["flip", "cut", "remove"])
def test_a_damaged_newest_one_gives_way_to_the_one_before(tmp_path: Path, suffix: str, damage: str):
    for epochs in (1, 2):
        save_checkpoint(after([0.5] * epochs), tmp_path)
    path = tmp_path / f"inception-64px-0002{suffix}"
    content = bytearray(path.read_bytes())
    if damage == "remove":
        path.unlink()
    else:
        content[-3] ^= 1
        path.write_bytes(content if damage == "flip" else content[: len(content) // 2])
    if (suffix, damage) == (".json", "remove"):
        # Not finished: a .json comes last.
        assert load_checkpoint(tmp_path, "inception-64px").parameters["arg:n"] == 100
        return
    message = r"0002\.json is no sound checkpoint \(.*\): going back to inception-64px-0001\.json"
    with pytest.warns(UserWarning, match=message):
        loaded = load_checkpoint(tmp_path, "inception-64px")
    assert (loaded.parameters["arg:n"], len(loaded.history)) == (100, 1)


@pytest.mark.parametrize(("damaged", "epochs", "further"), [(1, 2, (50, 60)), (2, 1, (10, 20))])
def test_damaged_newer_ones_take_no_place_of_what_is_saved_after_going_back(
    tmp_path: Path, damaged: int, epochs: int, further: tuple[int, int]
):
    top1 = [0.9, 0.5, 0.5]
    for done, steps in ((1, 0), (2, 40), (3, 0)):
        save_checkpoint(after(top1[:done], steps), tmp_path)
    for path in sorted(tmp_path.glob("*.params"))[-damaged:]:
        path.write_bytes(b"")
    for steps in further:
        save_checkpoint(after(top1[:epochs], steps), tmp_path)
    # The newest of the sound ones, and where that is damaged too the one before it.
    for steps in further[::-1]:
        with pytest.warns(UserWarning, match="is no sound checkpoint"):
            loaded = load_checkpoint(tmp_path, "inception-64px")
        assert loaded.parameters["arg:n"] == 100 * epochs + steps
        (tmp_path / f"inception-64px-{epochs:04}-{steps:06}.params").unlink()


def test_where_none_is_sound_each_is_named(tmp_path: Path):
    save_checkpoint(after([0.5]), tmp_path)
    (tmp_path / "inception-64px-0001.params").write_bytes(b"")
    with pytest.raises(
        ValueError, match=r"0001\.params is not as it was written\): remove it and train again"
    ):
        load_checkpoint(tmp_path, "inception-64px")


def test_networks_of_a_folder_are_told_apart(tmp_path: Path):
    for name in ("inception-64px", "timm:resnet50", "timm:resnet50_gn"):
        save_checkpoint(after([0.5], network=name), tmp_path)
    (tmp_path / "Inception-symbol.json").write_text("{}")
    assert networks_in(tmp_path) == {"inception-64px", "timm-resnet50", "timm-resnet50_gn"}
    assert load_checkpoint(tmp_path, "timm:resnet50").recipe.network == "timm:resnet50"
    with pytest.raises(
        FileNotFoundError, match=r"no checkpoint of other \(networks there: inception-64px, timm-r"
    ):
        load_checkpoint(tmp_path, "other")


def test_no_folder_is_no_checkpoint(tmp_path: Path):
    assert engines.describe_checkpoint(tmp_path / "none", "inception-64px") == {}
    with pytest.raises(FileNotFoundError, match="networks there: none"):
        load_checkpoint(tmp_path / "none", "inception-64px")
