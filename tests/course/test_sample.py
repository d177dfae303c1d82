"""The sample: the official layout, the planted oddities, and the same bytes whatever happens."""

from __future__ import annotations

import hashlib
import inspect
import io
import json
import multiprocessing
import os
import re
import shutil
import signal
import subprocess
import sys
import tarfile
import threading
import time
import warnings
from collections import Counter
from concurrent.futures import process
from pathlib import Path

import numpy as np
import pytest
import scipy.io
from benchmarks import noise_sample
from click.testing import CliRunner
from PIL import Image

from imnetlib import catalog, organize
from imnetlib.catalog import DEVKIT, TRAIN_TAR, VALIDATION_TAR
from imnetlib.cli import main, stopping
from imnetlib.course import sample
from imnetlib.course.sample import archives, drawing

SETTINGS = {"classes": 5, "train_per_class": 4, "validation_per_class": 3, "seed": 7}


@pytest.fixture(scope="module")
def drawn(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny sample, painted by this process alone."""
    folder = tmp_path_factory.mktemp("sample")
    sample.draw(folder, **SETTINGS, workers=1)
    return folder


@pytest.fixture(scope="module")
def noise(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small sample of noise, as benchmarks draw it."""
    folder = tmp_path_factory.mktemp("noise")
    planted = noise_sample.draw(
        folder, classes=40, train_per_class=2, validation_per_class=1, seed=7
    )
    (folder / "sample.json").write_text(json.dumps({"quirks": planted}))
    return folder


def members(data: bytes | Path) -> list[tuple[tarfile.TarInfo, bytes]]:
    """All members of a tar with their content, in archive order."""
    source = {"fileobj": io.BytesIO(data)} if isinstance(data, bytes) else {"name": data}
    with tarfile.open(**source) as tar:
        return [(info, tar.extractfile(info).read()) for info in tar]


def training(folder: Path) -> dict[str, bytes]:
    """Training file name to its bytes, in archive order."""
    return {f.name: data for _, inner in members(folder / TRAIN_TAR) for f, data in members(inner)}


def validation(folder: Path) -> dict[str, bytes]:
    """Validation file name to its bytes, in archive order."""
    return {f.name: data for f, data in members(folder / VALIDATION_TAR)}


def quirks(folder: Path) -> dict[str, str]:
    """The planted quirks by file name."""
    return json.loads((folder / "sample.json").read_text())["quirks"]


def md5s(folder: Path) -> dict[str, str]:
    """The archives' MD5 sums, computed here."""
    names = (TRAIN_TAR, VALIDATION_TAR, DEVKIT)
    return {
        n: hashlib.md5((folder / n).read_bytes()).hexdigest()
        for n in names
        if (folder / n).exists()
    }


def difference(data: bytes, pixels: np.ndarray) -> float:
    """Mean absolute difference of a file's pixels from others; infinite when the sizes differ."""
    found = np.asarray(Image.open(io.BytesIO(data)).convert("RGB"), float)
    return float(np.abs(found - pixels).mean()) if found.shape == pixels.shape else np.inf


def test_the_classes_are_real_and_hold_what_the_course_needs():
    wnids = sample.sample_wnids()
    assert list(wnids) == sorted(set(wnids))
    assert len(wnids) >= 32
    assert set(wnids) <= set(catalog.wnids_21k())
    assert len(set(wnids) & set(catalog.wnids_1k())) >= 20
    note = (
        "n09468604 n09332890 n04366367 n09193705 n09428293 "
        "n11620673 n11624531 n11621281 n11628456 n11627908"
    )
    assert set(note.split()) <= set(wnids)
    # Conifer and citrus are ancestors of other classes.
    assert {"n13108841", "n07747055"} <= set(wnids)


def test_the_catalog_tells_what_is_drawn_by_default():
    defaults = {n: p.default for n, p in inspect.signature(sample.draw).parameters.items()}
    assert catalog.SAMPLE.classes == len(sample.sample_wnids())
    assert catalog.SAMPLE.train == catalog.SAMPLE.classes * defaults["train_per_class"]
    assert catalog.SAMPLE.validation == catalog.SAMPLE.classes * defaults["validation_per_class"]


def test_every_class_can_be_painted_and_no_two_pictures_are_alike():
    pictures = [sample.render(wnid, index) for wnid in sample.sample_wnids() for index in (0, 1)]
    for picture in pictures:
        assert picture.dtype == np.uint8
        assert picture.ndim == 3
        assert picture.shape[2] == 3
        assert 180 <= min(picture.shape[:2]) <= max(picture.shape[:2]) <= 1024
        assert picture.std() > 15
    assert len({picture.tobytes() for picture in pictures}) == len(pictures)
    np.testing.assert_array_equal(
        sample.render("n09193705", 3, seed=2), sample.render("n09193705", 3, seed=2)
    )


def test_a_class_that_is_not_in_the_sample_is_named():
    with pytest.raises(KeyError, match=r"n02510455.*not in the sample.*n11620673"):
        sample.render("n02510455", 0)


def test_the_training_archive_is_a_tar_of_class_tars(drawn: Path):
    outer = members(drawn / TRAIN_TAR)
    names = [info.name for info, _ in outer]
    assert names == sorted(names)
    assert len(names) == 5
    for info, inner in outer:
        assert (info.mtime, info.uid, info.uname) == (0, 0, "")
        numbers = []
        for file, _ in members(inner):
            found = re.fullmatch(r"(n\d{8})_(\d+)\.JPEG", file.name)
            assert found is not None
            assert found[1] + ".tar" == info.name
            numbers.append(int(found[2]))
        assert len(numbers) == 4
        assert numbers == sorted(numbers)
        assert numbers != list(range(numbers[0], numbers[0] + 4))


def test_the_validation_archive_is_flat_and_out_of_order(drawn: Path):
    names = list(validation(drawn))
    assert sorted(names) == [f"ILSVRC2012_val_{n:08d}.JPEG" for n in range(1, 16)]
    assert names != sorted(names)


def test_the_development_kit_reads_as_the_official_one(drawn: Path):
    kit = {info.name: data for info, data in members(drawn / DEVKIT)}
    rows = scipy.io.loadmat(
        io.BytesIO(kit["ILSVRC2012_devkit_t12/data/meta.mat"]),
        squeeze_me=True,
        struct_as_record=False,
    )["synsets"]
    classes = [row for row in rows if row.num_children == 0]
    assert [row.ILSVRC2012_ID for row in rows] == list(range(1, len(rows) + 1))
    assert [row.ILSVRC2012_ID for row in classes] == list(range(1, 6))
    wnids = [row.WNID for row in classes]
    assert set(wnids) == {name.split("_")[0] for name in training(drawn)}
    assert wnids != sorted(wnids)
    assert all(row.num_train_images == 4 and row.wordnet_height == 0 for row in classes)
    children = [int(child) for row in rows[5:] for child in np.atleast_1d(row.children)]
    assert sorted(children) == list(range(1, 6))
    assert all(row.words == ", ".join(catalog.classes()[row.WNID].names) for row in rows)
    truth = kit["ILSVRC2012_devkit_t12/data/ILSVRC2012_validation_ground_truth.txt"].split()
    assert Counter(map(int, truth)) == dict.fromkeys(range(1, 6), 3)
    # The labels are in file-name order: what each file shows is a picture of the class its label
    # names.
    files = validation(drawn)
    odd = quirks(drawn)
    used = set()
    for name, label in zip(sorted(files), truth, strict=True):
        if name in odd:
            continue
        wnid = wnids[int(label) - 1]
        candidates = {(wnid, 1_000_000 + i) for i in range(3)} - used
        used.add(min(candidates, key=lambda c: difference(files[name], sample.render(*c, seed=7))))
    assert len(used) == 15 - len(set(odd) & set(files))


def test_training_files_hold_what_render_paints(drawn: Path):
    odd = quirks(drawn)
    place = Counter[str]()
    for name, data in training(drawn).items():
        wnid = name.split("_")[0]
        if name not in odd:
            assert difference(data, sample.render(wnid, place[wnid], seed=7)) < 6
        place[wnid] += 1


@pytest.mark.parametrize("kind_of_sample", ["drawn", "noise"])
def test_exactly_the_listed_oddities_are_there(kind_of_sample: str, request: pytest.FixtureRequest):
    drawn: Path = request.getfixturevalue(kind_of_sample)
    found = {}
    broken = []
    for name, data in (training(drawn) | validation(drawn)).items():
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            picture = Image.open(io.BytesIO(data))
            has_exif = "exif" in picture.info
            picture.getexif().get_ifd(0x8769)
        try:
            picture.load()
        except OSError:
            broken.append(name)
            found[name] = "truncated"
            continue
        kind = (
            "png"
            if picture.format == "PNG"
            else {"CMYK": "cmyk", "L": "grayscale"}.get(picture.mode)
        )
        if has_exif:
            assert caught
            kind = "broken-exif"
        if kind:
            found[name] = kind
    assert found == quirks(drawn)
    assert len(broken) == 1
    assert broken[0] in training(drawn)
    kinds = Counter(found.values())
    assert kinds["png"] == 1
    assert kinds["cmyk"] == 3
    assert kinds["broken-exif"] == 2
    assert kinds["grayscale"] >= 4


def test_the_sums_are_right_and_load_repeats_them(drawn: Path):
    lines = (drawn / "MD5SUMS").read_text().splitlines()
    assert sorted(lines) == sorted(f"{md5}  {name}" for name, md5 in md5s(drawn).items())
    found = sample.load(drawn)
    assert (found.name, found.classes, found.train, found.validation) == ("sample", 5, 20, 15)
    for archive in found.archives:
        assert archive.md5 == md5s(drawn)[archive.name]
        assert archive.size == (drawn / archive.name).stat().st_size


def test_a_painter_that_is_killed_is_one_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    add = archives._add

    def kill_and_add(*arguments: object) -> None:
        for worker in multiprocessing.active_children()[:1]:
            os.kill(worker.pid, signal.SIGKILL)
        add(*arguments)

    monkeypatch.setattr(archives, "_add", kill_and_add)
    with pytest.raises(ChildProcessError, match="a process that paints was killed"):
        sample.draw(tmp_path, **SETTINGS | {"train_per_class": 40}, workers=2)
    assert multiprocessing.active_children() == []


def test_a_closed_terminal_ends_all_processes_with_one_sentence(tmp_path: Path):
    """It sends SIGHUP to each of them, also to the one that multiprocessing starts for itself."""
    script = "import sys; from imnetlib.cli import main; main(sys.argv[1:])"
    command = [sys.executable, "-c", script, "sample", str(tmp_path / "s"), "--train", "500"]
    verb = subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, start_new_session=True
    )
    until = time.monotonic() + 60
    while not list(tmp_path.glob(f"s/.{TRAIN_TAR}.*.tmp")) and time.monotonic() < until:
        time.sleep(0.02)
    os.killpg(verb.pid, signal.SIGHUP)
    # To the end of the last process that could say something.
    said = verb.communicate(timeout=20)[0].splitlines()
    assert verb.returncode == 128 + signal.SIGHUP
    assert [line for line in said if line and not line.startswith("draw: ")] == [stopping.STOPPED]


def test_the_bytes_do_not_depend_on_the_workers(drawn: Path, tmp_path: Path):
    sample.draw(tmp_path, **SETTINGS, workers=2)
    # A thread of the pool that is left would close a pipe to which Python writes at its exit.
    left = [
        thread for thread in threading.enumerate() if type(thread).__module__ == process.__name__
    ]
    assert left == []
    assert multiprocessing.active_children() == []
    assert md5s(tmp_path) == md5s(drawn)
    assert (tmp_path / "sample.json").read_bytes() == (drawn / "sample.json").read_bytes()


def test_a_sample_of_noise_has_the_official_layout(noise: Path):
    wnids = [info.name.removesuffix(".tar") for info, _ in members(noise / TRAIN_TAR)]
    assert wnids == sorted(wnids)
    # Evenly, over all 1,000.
    assert wnids == [catalog.wnids_1k()[25 * i] for i in range(40)]
    assert Counter(name.split("_")[0] for name in training(noise)) == dict.fromkeys(wnids, 2)
    assert sorted(validation(noise)) == [f"ILSVRC2012_val_{n:08d}.JPEG" for n in range(1, 41)]
    assert Counter(organize.labels_from_devkit(noise / DEVKIT)) == dict.fromkeys(wnids, 1)
    found = noise_sample.load(noise)
    assert {archive.name: archive.md5 for archive in found.archives} == md5s(noise)


def test_pictures_of_noise_weigh_what_imagenets_do_and_differ(noise: Path):
    odd = quirks(noise)
    every = training(noise) | validation(noise)
    plain = [data for name, data in every.items() if name not in odd]
    assert 80_000 < np.mean([len(data) for data in plain]) < 140_000
    assert {Image.open(io.BytesIO(data)).size for data in plain} == {(500, 375)}
    assert len(set(every.values())) == 120


def test_a_sample_of_noise_holds_any_number_of_classes(tmp_path: Path):
    noise_sample.draw(tmp_path, classes=1, train_per_class=1, validation_per_class=1)
    assert len(training(tmp_path)) == 1
    assert noise_sample.chosen_wnids(1_000) == catalog.wnids_1k()


def test_a_painted_sample_is_what_it_was_before_there_was_noise(drawn: Path):
    noted = json.loads((drawn / "sample.json").read_text())
    assert list(noted) == [*SETTINGS, "quirks", "images"]
    assert list(noted["quirks"])[::8] == ["n02690373_18751.JPEG", "n11608250_17475.JPEG"]
    assert sample.draw(drawn, **SETTINGS) == sample.load(drawn)


def test_another_seed_gives_other_pictures(drawn: Path, tmp_path: Path):
    sample.draw(tmp_path, **SETTINGS | {"seed": 8}, workers=1)
    assert not set(md5s(tmp_path).values()) & set(md5s(drawn).values())


def test_a_finished_sample_is_left_alone(drawn: Path):
    before = {path.name: path.stat().st_mtime_ns for path in drawn.iterdir()}
    assert sample.draw(drawn, **SETTINGS) == sample.load(drawn)
    assert {path.name: path.stat().st_mtime_ns for path in drawn.iterdir()} == before


def test_a_folder_with_another_sample_is_refused(drawn: Path):
    with pytest.raises(FileExistsError, match=r"'seed': 7.*not.*'seed': 9.*another folder"):
        sample.draw(drawn, **SETTINGS | {"seed": 9})


def test_the_real_archives_are_never_overwritten(tmp_path: Path):
    (tmp_path / TRAIN_TAR).write_bytes(b"147 GB")
    with pytest.raises(FileExistsError, match="not of the sample"):
        sample.draw(tmp_path, **SETTINGS)
    assert [path.name for path in tmp_path.iterdir()] == [TRAIN_TAR]
    assert (tmp_path / TRAIN_TAR).read_bytes() == b"147 GB"


@pytest.mark.parametrize("content", ["{}", "[]", "no JSON", '{"classes": 1}'])
def test_another_programs_sample_json_is_left_alone(tmp_path: Path, content: str):
    (tmp_path / drawing.DESCRIPTION).write_text(content)
    with pytest.raises(
        FileExistsError, match=r"sample\.json is not of the sample: draw it into another folder"
    ):
        sample.draw(tmp_path, classes=1, train_per_class=9, validation_per_class=4)
    assert (tmp_path / drawing.DESCRIPTION).read_text() == content


@pytest.mark.parametrize("missing", ["MD5SUMS", "sample.json", VALIDATION_TAR])
def test_an_unfinished_sample_does_not_load(drawn: Path, tmp_path: Path, missing: str):
    shutil.copytree(drawn, tmp_path, dirs_exist_ok=True)
    (tmp_path / missing).unlink()
    with pytest.raises(
        FileNotFoundError, match=r"no finished sample.*imnetlib\.course\.sample\.draw"
    ):
        sample.load(tmp_path)


@pytest.mark.parametrize("classes", [0, 37])
def test_class_counts_are_refused_with_those_there_may_be(tmp_path: Path, classes: int):
    with pytest.raises(ValueError, match=f"a sample has 1 to 36 classes, not {classes}"):
        sample.draw(tmp_path / "new", **SETTINGS | {"classes": classes})
    assert not (tmp_path / "new").exists()


def test_the_command_draws_the_same_sample(
    drawn: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(os, "cpu_count", lambda: 1)
    command = ["sample", str(tmp_path), "--train", "4", "--validation", "3", "--seed", "7"]
    done = CliRunner().invoke(main, [*command, "--classes", "5"])
    assert done.output.endswith(f"5 classes, 20 + 15 images in {tmp_path}\n")
    assert md5s(tmp_path) == md5s(drawn)
    refused = CliRunner().invoke(main, [*command, "--classes", "37"])
    assert (refused.exit_code, refused.output.count("\n")) == (1, 1)
    assert "a sample has 1 to 36 classes, not 37" in refused.output


@pytest.mark.parametrize(
    "wrong", [{"train_per_class": 0}, {"validation_per_class": 0}, {"seed": -1}]
)
def test_counts_that_make_no_sample_are_refused(tmp_path: Path, wrong: dict[str, int]):
    with pytest.raises(ValueError, match="a sample"):
        sample.draw(tmp_path / "new", **SETTINGS | wrong)
    assert not (tmp_path / "new").exists()


def test_a_full_disk_is_named_before_anything_is_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    usage = shutil.disk_usage(tmp_path)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage._replace(free=1_000_000))
    with pytest.raises(
        OSError, match="has 1,000,000 bytes free and 2,100,000 are needed: make room"
    ):
        sample.draw(tmp_path, **SETTINGS)
    assert list(tmp_path.iterdir()) == []
