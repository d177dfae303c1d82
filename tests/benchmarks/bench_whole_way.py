"""The whole way of the archives, from a server to class folders that are checked: time and peak
memory of each step.

    python tests/benchmarks/bench_whole_way.py [--classes 20] [--train 100] [--validation 50]

The sample is of noise, 110 KB an image as ImageNet's. 200 classes of 500 are 11 GB and need 50 GB
of disk below the present folder. Each step is a process of its own. The peer: tar(1) for the outer
archive, then for each class.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from measure import PEAK

STEP = """
import sys, time
from collections import Counter
from pathlib import Path
from imnetlib import archive, catalog, download, organize
from imnetlib.course import sample, server
from imnetlib.course.root import Layout
root = Path(sys.argv[1])
layout = Layout(root)
train, validation, devkit = (layout.archives / n for n in (catalog.TRAIN_TAR, catalog.VALIDATION_TAR, catalog.DEVKIT))
began = time.perf_counter()
{code}
took = time.perf_counter() - began
print(took, peak() / 1e6)
"""
FETCH = """
with server.serve(root / "mirror") as url:
    for one in sample.load(root / "mirror").archives:
        download.download(url + one.name, layout.archives / one.name, size=one.size, md5=one.md5,
                          index=one.name.endswith(".tar"))
"""
STEPS = {
    "download three archives, MD5 and index on the way (server included)": FETCH,
    "verify-archives": "assert all(s.state == 'whole' for s in download.verify_archives("
    "sample.load(root / 'mirror'), layout.archives))",
    "index the training archive by itself": "archive.index_tar(train)",
    "extract the training archive": "organize.extract_train(train, layout.train)",
    "the same again: nothing to do": "organize.extract_train(train, layout.train)",
    "extract the validation archive": "organize.extract_validation(validation, layout.validation)",
    "sort it by the devkit": "organize.sort_validation(layout.validation, organize.labels_from_devkit(devkit))",
    "survey both folders": """
train = organize.survey_folders(layout.train, organize.train_counts(devkit))
labels = Counter(organize.labels_from_devkit(devkit))
validation = organize.survey_folders(layout.validation, labels)
assert not train.wrong + validation.wrong""",
    "make the validation folder flat again": "organize.undo_validation(layout.validation)",
}
TAR = """
set -e
mkdir "$2" && cd "$2" && tar -xf "$1"
for each in *.tar; do mkdir "${each%.tar}"; tar -xf "$each" -C "${each%.tar}"; rm "$each"; done
sync
"""


def step(name: str, code: str, root: Path) -> None:
    command = [sys.executable, "-c", PEAK + STEP.format(code=code), str(root)]
    done = subprocess.run(
        command, check=True, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    )
    took, peak = map(float, done.stdout.split()[-2:])
    print(f"{name:70}{took:8.1f} s {peak:8.0f} MB", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--classes", type=int, default=20)
    parser.add_argument("--train", type=int, default=100)
    parser.add_argument("--validation", type=int, default=50)
    chosen = parser.parse_args()
    # /tmp may be small, or memory
    with tempfile.TemporaryDirectory(dir=Path.cwd()) as folder:
        root = Path(folder)
        counts = f"train_per_class={chosen.train}, validation_per_class={chosen.validation}"
        drawing = f"sample.draw(root / 'mirror', classes={chosen.classes}, {counts}, noise=True)"
        step("draw the sample", drawing, root)
        train = root / "mirror" / "ILSVRC2012_img_train.tar"
        images = chosen.classes * (chosen.train + chosen.validation)
        print(f"{images:,} images; the training archive has {train.stat().st_size / 1e9:.1f} GB")
        for name, code in STEPS.items():
            step(name, code, root)
        began = time.perf_counter()
        subprocess.run(["bash", "-c", TAR, "tar", str(train), str(root / "by-tar")], check=True)
        print(
            f"{'peer: tar(1), outer archive and each class':70}{time.perf_counter() - began:8.1f} s"
        )


if __name__ == "__main__":
    main()
