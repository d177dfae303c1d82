"""The engines, and a small set that each of them learns from."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from trainings import ENGINES, WNIDS, engine_of, has_gpu

from imnetlib import image, pack

MXNET = (
    "feed",
    "finding",
    "memory",
    "mxnet_train",
    "names",
    "network",
    "parity",
    "params",
    "published",
)
TORCH = ("parity", "torch")
# They need a framework that may not be installed.
collect_ignore = [] if has_gpu() else ["test_gpu.py"]
collect_ignore += [
    f"test_{name}.py"
    for framework, names in (("mxnet", MXNET), ("torch", TORCH))
    for name in names
    if framework not in ENGINES
]
COLORS = ((200, 40, 40), (40, 200, 40), (40, 40, 200))


@pytest.fixture(autouse=True)
def without_gpu(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Compute on the CPU, which gives the same bits each time, also where there is a GPU."""
    if "torch" in ENGINES and request.path.name != "test_gpu.py":
        import torch

        monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
        monkeypatch.setattr(torch.backends.mps, "is_available", lambda: False)


@pytest.fixture(scope="module", params=ENGINES)
def engine(request: pytest.FixtureRequest) -> SimpleNamespace:
    """Each engine that is installed, by its modules."""
    return engine_of(request.param)


@pytest.fixture(scope="session")
def shards(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """42 noisy pictures of three colours, a class each, in two shards; no multiple of the batch."""
    folder = tmp_path_factory.mktemp("colours")
    random = np.random.default_rng(5)
    for wnid, color in zip(WNIDS, COLORS, strict=True):
        (folder / "images" / wnid).mkdir(parents=True)
        for number in range(14):
            noise = random.integers(-30, 31, (72, 80, 3))
            pixels = np.clip(np.array(color) + noise, 0, 255).astype(np.uint8)
            (folder / "images" / wnid / f"{wnid}_{number}.JPEG").write_bytes(
                image.encode(pixels, ".jpg", 90)
            )
    images = pack.shuffle(pack.list_folder(folder / "images"), 1)
    pack.pack(images, pack.Folder(folder / "images"), folder / "records", "train", shards=2)
    return sorted((folder / "records").glob("*.rec"))
