"""The programs of the guides run as they are printed, in their order, on a small set."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from making import encoded, photo
from trainings import ENGINES, SMALL, WNIDS

from imnetlib import pack
from imnetlib.engines import Checkpoint, Epoch, save_checkpoint

PROGRAM = re.compile(r"^```python\n(.*?)^```", re.DOTALL | re.MULTILINE)
OF_ENGINE = {"mxnet": re.compile(r"\bmx\."), "torch": re.compile(r"\btorch\.")}
# What a text says that it stands for: the probabilities of one image.
GIVEN = {"README.md": {"probabilities": np.full(21_841, 1 / 21_841)}}


@pytest.fixture
def scheduler(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """The address of a Dask cluster that works in a folder with what the guides take for granted.

    That is a folder of class folders, a shard of them, and a checkpoint of chapter 7.
    """
    from distributed import LocalCluster

    monkeypatch.chdir(tmp_path)
    for wnid in WNIDS:
        Path("photos", wnid).mkdir(parents=True)
        for number in range(24):
            picture = encoded(photo(300, 280, number))
            Path("photos", wnid, f"{wnid}_{number}.JPEG").write_bytes(picture)
    source = pack.Folder("photos")
    pack.pack(pack.list_folder("photos"), source, tmp_path, "train", shards=4)
    recipe = dataclasses.replace(SMALL, network="inception-64px")
    epoch = Epoch(1.0, 0.5, 0.75, 0.9, 1.0)
    weights = {"arg:n": np.zeros(1, np.float32), "aux:n": np.zeros(1, np.float32)}
    trained = Checkpoint(recipe, WNIDS, 7, (epoch,), {}, weights, {}, 0, (0.0, 0.0, 0.0, 0.0))
    save_checkpoint(trained, "data/sample/checkpoints")
    options = {"processes": False, "n_workers": 1, "dashboard_address": None, "silence_logs": 50}
    with LocalCluster(**options) as cluster:
        yield cluster.scheduler_address


@pytest.mark.parametrize("guide", ["README.md", "docs/practice.md"])
def test_every_program_of_a_guide_runs(
    guide: str, scheduler: str, checkout: Path, capsys: pytest.CaptureFixture[str]
):
    text = (checkout / guide).read_text(encoding="utf-8")
    programs = PROGRAM.findall(text.replace("tcp://scheduler:8786", scheduler))
    if guide == "README.md":
        # There each stands for itself; what reads shards comes before what packs them.
        programs.sort(key=lambda program: "pack.pack(" not in program)
    missing = [pattern for engine, pattern in OF_ENGINE.items() if engine not in ENGINES]
    names: dict[str, Any] = dict(GIVEN.get(guide, {}))
    for program in programs:
        if not any(pattern.search(program) for pattern in missing):
            exec(compile(program, guide, "exec"), names)
    assert len(programs) >= 4
    assert len(list(Path("shards").glob("train-*.rec"))) == 4
    assert capsys.readouterr().out
