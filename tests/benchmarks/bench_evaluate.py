"""Judge predictions of the size of ImageNet in a process of its own: seconds and peak memory.

python tests/benchmarks/bench_evaluate.py [--images 50000] [--classes 21841] [--dtype float16]

The file, 2.2 GB by default, lies in a temporary folder and is removed.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from measure import PEAK

from imnetlib import catalog

IMNET = (
    PEAK + "import sys; from imnetlib.cli import main; main(standalone_mode=False); print(peak())"
)
ROWS = 250


def write_predictions(path: Path, wnids: list[str], images: int, dtype: str) -> None:
    """Random probabilities, each row another one; the true class is often among the first."""
    random = np.random.default_rng(0)
    column = {wnid: number for number, wnid in enumerate(wnids)}
    truth = [column.get(wnid, 0) for wnid in catalog.validation_wnids()[:images]]
    noise = np.exp(2 * random.standard_normal((ROWS, len(wnids)), np.float32))
    out = np.lib.format.open_memmap(path, "w+", dtype, (images, len(wnids)))
    for start in range(0, images, ROWS):
        labels = truth[start : start + ROWS]
        raised = np.roll(noise[: len(labels)], start, axis=1)
        raised[np.arange(len(labels)), labels] *= 3000
        out[start : start + ROWS] = raised / raised.sum(axis=1, keepdims=True)


def main() -> None:
    """Print what ``imnet evaluate`` says, then its time and memory."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--images", type=int, default=catalog.ILSVRC2012.validation)
    parser.add_argument("--classes", type=int, default=catalog.IMAGENET21K.classes)
    parser.add_argument("--dtype", default="float16")
    arguments = parser.parse_args()
    first = catalog.wnids_1k()
    others = [wnid for wnid in catalog.wnids_21k() if wnid not in set(first)]
    wnids = [*first, *others][: arguments.classes]
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        rows = enumerate(catalog.validation_wnids()[: arguments.images])
        lst = folder / "rows.lst"
        lst.write_text("".join(f"{row}\t0\t{wnid}/{row}.JPEG\n" for row, wnid in rows))
        (folder / "synset.txt").write_text("".join(f"{wnid}\n" for wnid in wnids))
        path = folder / "predictions.npy"
        write_predictions(path, wnids, arguments.images, arguments.dtype)
        size = path.stat().st_size
        command = [sys.executable, "-c", IMNET, "evaluate", str(path)]
        command += ["--classes", str(folder / "synset.txt"), "--labels", str(lst)]
        started = time.perf_counter()
        done = subprocess.run(command, check=True, text=True, stdout=subprocess.PIPE)
        seconds = time.perf_counter() - started
        *said, memory = done.stdout.splitlines()
        print("\n".join(said))
        print(
            f"{size / 1e9:.2f} GB of {arguments.dtype}: {seconds:.1f} s, {int(memory) / 1e6:.0f} MB"
        )


if __name__ == "__main__":
    main()
