"""The whole way of the archives, from a server to verified class folders: time and peak memory.

    python tests/benchmarks/bench_whole_way.py [--quick] [--to FOLDER] [--classes 20] [--train 100]

The sample is of noise, 110 KB an image as ImageNet's, and half as many validation images. 200
classes of 500 are 11 GB and need 50 GB of disk below build/. --train: images of a class. Each step
is a process of its own. The peer: tar(1) for the outer archive, then for each class.
"""

from __future__ import annotations

import functools
import subprocess
from collections import Counter
from pathlib import Path

import noise_sample
from results import Report, apart, options, work_folder

from imnetlib import archive, catalog, download, organize
from imnetlib.course import server
from imnetlib.course.root import Root

TAR = """
set -e
mkdir "$2" && cd "$2" && tar -xf "$1"
for each in *.tar; do mkdir "${each%.tar}"; tar -xf "$each" -C "${each%.tar}"; rm "$each"; done
sync
"""


def fetch(root: Root) -> None:
    with server.serve(root.mirror) as url:
        for each in noise_sample.load(root.mirror).archives:
            place = root.archives / each.name
            index = each.name.endswith(".tar")
            download.download(url + each.name, place, size=each.size, md5=each.md5, index=index)


def verify(root: Root) -> None:
    states = download.verify_archives(noise_sample.load(root.mirror), root.archives)
    assert all(state.state == "whole" for state in states)


def index(root: Root) -> None:
    archive.index_tar(root.archives / catalog.TRAIN_TAR)


def extract_train(root: Root) -> None:
    organize.extract_train(root.archives / catalog.TRAIN_TAR, root.train)


def extract_validation(root: Root) -> None:
    organize.extract_validation(root.archives / catalog.VALIDATION_TAR, root.validation)


def sort(root: Root) -> None:
    labels = organize.labels_from_devkit(root.archives / catalog.DEVKIT)
    organize.sort_validation(root.validation, labels)


def survey(root: Root) -> None:
    devkit = root.archives / catalog.DEVKIT
    counts = organize.train_counts(devkit)
    assert not organize.survey_folders(root.train, counts).wrong
    counts = Counter(organize.labels_from_devkit(devkit))
    assert not organize.survey_folders(root.validation, counts).wrong


def undo(root: Root) -> None:
    organize.undo_validation(root.validation)


def by_tar(root: Root) -> None:
    """What the most used instructions do, and a sync, as ours has one."""
    paths = [str(root.archives / catalog.TRAIN_TAR), str(root.root / "by-tar")]
    subprocess.run(["bash", "-c", TAR, "tar", *paths], check=True)


PEER = "tar(1), the archive and each class"
# In this order: a step takes what those before it have left.
STEPS = {
    "fetch and prove": {
        "download three archives, MD5 and index on the way, with the server": fetch,
        "verify the archives": verify,
        "index the training archive by itself": index,
    },
    "extract the training archive": {PEER: by_tar, "imnetlib": extract_train},
    "extract it again": {"nothing to do": extract_train},
    "put the validation images in order": {
        "extract the validation archive": extract_validation,
        "sort it by the devkit": sort,
        "survey both folders": survey,
        "make the validation folder flat again": undo,
    },
}


def main() -> None:
    """Draw the sample, then measure each step and the peer."""
    chosen = options(__doc__ or "", {"classes": 1000}, classes=(20, 5), train=(100, 40))
    report = Report("whole_way")
    with work_folder() as folder:
        root = Root(Path(folder), catalog.SAMPLE)
        noise_sample.draw(root.mirror, chosen.classes, chosen.train, chosen.train // 2)
        size = (root.mirror / catalog.TRAIN_TAR).stat().st_size / 1e6
        train = chosen.classes * chosen.train
        held_out = chosen.classes * (chosen.train // 2)
        images = f"{train:,} images for training ({size:,.0f} MB), {held_out:,} for validation"
        for part, steps in STEPS.items():
            title = f"{part}: {images}"
            jobs = {name: functools.partial(step, root) for name, step in steps.items()}
            for table in apart(title, jobs, peer=PEER if PEER in jobs else ""):
                report.add(table)
    report.save(chosen.to)


if __name__ == "__main__":
    main()
