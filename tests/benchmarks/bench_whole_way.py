"""The whole way of the archives, from a server to verified class folders: time and peak memory.

    python tests/benchmarks/bench_whole_way.py [--classes 20] [--train 100] [--validation 50]

The sample is of noise, 110 KB an image as ImageNet's. 200 classes of 500 are 11 GB and need 50 GB
of disk below the present folder. Each step is a process of its own. The peer: tar(1) for the outer
archive, then for each class.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import noise_sample
from measure import PEAK

STEP = """
import sys, time
from collections import Counter
from pathlib import Path
import noise_sample
from imnetlib import archive, catalog, download, organize
from imnetlib.course import server
from imnetlib.course.root import Root
root = Root(Path(sys.argv[1]), catalog.SAMPLE)
train, validation, devkit = (
    root.archives / name for name in (catalog.TRAIN_TAR, catalog.VALIDATION_TAR, catalog.DEVKIT)
)
began = time.perf_counter()
{code}
took = time.perf_counter() - began
print(took, peak() / 1e6)
"""
FETCH = """
with server.serve(root.mirror) as url:
    for each in noise_sample.load(root.mirror).archives:
        download.download(url + each.name, root.archives / each.name, size=each.size, md5=each.md5,
                          index=each.name.endswith(".tar"))
"""
VERIFY = """
states = download.verify_archives(noise_sample.load(root.mirror), root.archives)
assert all(state.state == "whole" for state in states)
"""
SORT = "organize.sort_validation(root.validation, organize.labels_from_devkit(devkit))"
SURVEY = """
expected = [organize.train_counts(devkit), Counter(organize.labels_from_devkit(devkit))]
for folder, counts in zip((root.train, root.validation), expected):
    assert not organize.survey_folders(folder, counts).wrong
"""
STEPS = {
    "download three archives, MD5 and index on the way (server included)": FETCH,
    "verify-archives": VERIFY,
    "index the training archive by itself": "archive.index_tar(train)",
    "extract the training archive": "organize.extract_train(train, root.train)",
    "the same again: nothing to do": "organize.extract_train(train, root.train)",
    "extract the validation archive": "organize.extract_validation(validation, root.validation)",
    "sort it by the devkit": SORT,
    "survey both folders": SURVEY,
    "make the validation folder flat again": "organize.undo_validation(root.validation)",
}
TAR = """
set -e
mkdir "$2" && cd "$2" && tar -xf "$1"
for each in *.tar; do mkdir "${each%.tar}"; tar -xf "$each" -C "${each%.tar}"; rm "$each"; done
sync
"""


def row(name: str, seconds: float, memory: str = "") -> None:
    """Print one step's line."""
    print(f"{name:70}{seconds:8.1f} s {memory}", flush=True)


def time_step(name: str, code: str, root: Path) -> None:
    """Run ``code`` in a process of its own, and print its time and its peak memory."""
    modules = os.pathsep.join([str(Path(__file__).parent), os.environ.get("PYTHONPATH", "")])
    done = subprocess.run(
        [sys.executable, "-c", PEAK + STEP.format(code=code), str(root)],
        env=os.environ | {"PYTHONPATH": modules},
        check=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    seconds, peak = map(float, done.stdout.split()[-2:])
    row(name, seconds, f"{peak:8.0f} MB")


def main() -> None:
    """Draw the sample, then time each step and the peer."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--classes", type=int, default=20)
    parser.add_argument("--train", type=int, default=100)
    parser.add_argument("--validation", type=int, default=50)
    chosen = parser.parse_args()
    # Not under /tmp, which may be small, or memory.
    with tempfile.TemporaryDirectory(dir=Path.cwd()) as folder:
        root = Path(folder)
        mirror = root / "mirror"
        began = time.perf_counter()
        noise_sample.draw(mirror, chosen.classes, chosen.train, chosen.validation)
        row("draw the sample", time.perf_counter() - began)
        train = mirror / "ILSVRC2012_img_train.tar"
        images = chosen.classes * (chosen.train + chosen.validation)
        print(f"{images:,} images; the training archive has {train.stat().st_size / 1e9:.1f} GB")
        for name, code in STEPS.items():
            time_step(name, code, root)
        began = time.perf_counter()
        subprocess.run(["bash", "-c", TAR, "tar", str(train), str(root / "by-tar")], check=True)
        row("peer: tar(1), outer archive and each class", time.perf_counter() - began)


if __name__ == "__main__":
    main()
