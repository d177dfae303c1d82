"""Judge predictions of the size of ImageNet in a process of its own: seconds and peak memory.

    python tests/benchmarks/bench_evaluate.py [--quick] [--to FOLDER] [--images 50000]

The file of float16, 2.2 GB by default, lies in a temporary folder and is removed.
"""

from __future__ import annotations

import contextlib
import functools
import io
import tempfile
from pathlib import Path

import numpy as np
from results import Report, apart, options

from imnetlib import catalog

DRAWN = 250
ROUNDS = 2


def write_predictions(path: Path, wnids: list[str], images: int) -> None:
    """Random probabilities, each row another one; the true class is often among the first.

    Few rows are drawn, with the true class in column 0, and turned until it stands in its own.
    """
    column = {wnid: number for number, wnid in enumerate(wnids)}
    raised = np.exp(2 * np.random.default_rng(0).standard_normal((DRAWN, len(wnids)), np.float32))
    raised[:, 0] *= 3000
    drawn = (raised / raised.sum(axis=1, keepdims=True)).astype(np.float16)
    out = np.lib.format.open_memmap(path, "w+", np.float16, (images, len(wnids)))
    for row, wnid in enumerate(catalog.validation_wnids()[:images]):
        out[row] = np.roll(drawn[row % DRAWN], column.get(wnid, 0))


def evaluate(predictions: Path, classes: Path, labels: Path) -> None:
    """What ``imnet evaluate`` does, in both label spaces."""
    from imnetlib.cli import main as imnet

    arguments = ["evaluate", predictions, "--classes", classes, "--labels", labels]
    with contextlib.redirect_stdout(io.StringIO()):
        imnet([str(each) for each in arguments], standalone_mode=False)


def main() -> None:
    """Measure both tables."""
    every = catalog.ILSVRC2012.validation
    chosen = options(__doc__ or "", {"images": every}, images=(every, 2000))
    report = Report("evaluate")
    first = catalog.wnids_1k()
    others = [wnid for wnid in catalog.wnids_21k() if wnid not in set(first)]
    wnids = [*first, *others][: catalog.IMAGENET21K.classes]
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        rows = enumerate(catalog.validation_wnids()[: chosen.images])
        labels = folder / "rows.lst"
        labels.write_text("".join(f"{row}\t0\t{wnid}/{row}.JPEG\n" for row, wnid in rows))
        classes = folder / "synset.txt"
        classes.write_text("".join(f"{wnid}\n" for wnid in wnids))
        path = folder / "predictions.npy"
        write_predictions(path, wnids, chosen.images)
        job = functools.partial(evaluate, path, classes, labels)
        title = f"judge predictions of {chosen.images:,} images in {len(wnids):,} classes"
        for table in apart(title, {"imnet evaluate": job}, ROUNDS):
            report.add(table)
    report.save(chosen.to)


if __name__ == "__main__":
    main()
