"""imnetlib.pack against MXNet's im2rec.py: whole processes, the same files, 2 threads each.

    python tests/benchmarks/bench_pack.py [--images 5000] [--rounds 3]

Synthetic photos of ImageNet's mean size, 500 x 375 and about 110 KB. The limit is the codec alone:
two threads of a process that convert the same data in memory, its start not counted. "PSNR" is
against a Lanczos-reduced original of the size stored, so that nobody wins by a worse picture.
im2rec always enlarges to --resize; we do with upscale. Then: from the archive end to end, with the
disk space taken on the way; and the peak memory of 16 threads.
"""

from __future__ import annotations

import importlib.util
import io
import itertools
import json
import os
import shutil
import subprocess
import sys
import tarfile
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
from measure import PEAK
from PIL import Image
from results import Report, Table, Way, options

from imnetlib import pack, recordio

LIMIT = "the codec alone, data in memory"
IM2REC = (
    "import numpy, runpy, sys; numpy.bool = bool; tool = sys.argv.pop(1); "
    "runpy.run_path(tool, run_name='__main__')"
)
OURS = """
import json, sys
from pathlib import Path
from imnetlib.image import Settings
from imnetlib.pack import Folder, pack, read_lst
lst, root, out, settings, threads = sys.argv[1:]
pack(read_lst(Path(lst)), Folder(Path(root)), Path(out), "set", shards=1, threads=int(threads),
     settings=Settings(**json.loads(settings)))
print(peak())
"""
CODEC = """
import json, sys, time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from imnetlib.image import Settings, convert_image
settings = Settings(**json.loads(sys.argv[2]))
data = [path.read_bytes() for path in sorted(Path(sys.argv[1]).rglob("*.JPEG"))]
def half(start):
    for image in data[start::2]:
        convert_image(image, settings)
began = time.perf_counter()
with ThreadPoolExecutor(2) as pool:
    list(pool.map(half, range(2)))
print(len(data) / (time.perf_counter() - began))
"""
CASES: dict[str, tuple[list[str], dict[str, object]]] = {
    "pass-through": (["--pass-through"], {"pass_through": True}),
    "480/95, each tool's way": (["--resize", "480", "--quality", "95"], {"resize": 480}),
    "480/95, equal work": (
        ["--resize", "480", "--quality", "95"],
        {"resize": 480, "upscale": True},
    ),
    "256/90": (["--resize", "256", "--quality", "90"], {"resize": 256, "quality": 90}),
}


def photo(width: int, height: int, seed: int, grain: float = 9) -> np.ndarray:
    """Noise at every scale: compresses about like a photo."""
    rng = np.random.default_rng(seed)
    canvas = np.full((height, width, 3), 128, np.float32)
    cells = 2
    while cells < max(width, height):
        noise = rng.normal(0, 1, (max(2, cells * height // width), cells, 3)).astype(np.float32)
        noise = (0.35 * noise + noise.mean(2, keepdims=True)) * 110 / cells**0.62
        canvas += cv2.resize(noise, (width, height), interpolation=cv2.INTER_CUBIC)
        cells *= 2
    return np.clip(canvas + rng.normal(0, grain, (height, width, 1)), 0, 255).astype(np.uint8)


def make_input(folder: Path, count: int) -> None:
    """``count`` files of 100 pictures, and their list."""
    pictures = [
        cv2.imencode(".jpg", photo(500, 375, i), [cv2.IMWRITE_JPEG_QUALITY, 95])[1]
        for i in range(100)
    ]
    for i in range(count):
        path = folder / "in" / f"n{i % 10:02d}" / f"{i}.JPEG"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(pictures[i % 100].tobytes())
    images = pack.shuffle(pack.list_folder(folder / "in"), 1)
    pack.write_lst(images, folder / "set.lst")
    size = sum(len(picture) for picture in pictures) / 100
    print(f"{count:,} images of 500 x 375, {size / 1e3:.0f} KB each, 2 threads")


def run(command: list[str]) -> str:
    """What a whole process prints.

    What others have written goes to the disk first: ours would wait for it, as it syncs.
    """
    os.sync()
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    return done.stdout


def quality(folder: Path, rec: Path) -> tuple[int, float, float]:
    """Records, mean KB, and PSNR of the first 20 images against their Lanczos-reduced sources."""
    images = pack.read_lst(folder / "set.lst")
    paths = dict(zip(images.ids.tolist(), images.paths.tolist(), strict=True))
    offsets = recordio.scan(rec)
    found = []
    with recordio.RecordReader(rec) as reader:
        for offset in offsets[:20].tolist():
            header, data = recordio.unpack(reader.read_at(offset))
            stored = Image.open(io.BytesIO(data))
            source = Image.open(folder / "in" / paths[header.id].decode())
            reference = np.asarray(source.resize(stored.size, Image.Resampling.LANCZOS), float)
            error = np.mean((reference - np.asarray(stored)) ** 2)
            found.append(10 * np.log10(255**2 / error) if error else np.inf)
    return len(offsets), rec.stat().st_size / len(offsets) / 1e3, float(np.mean(found))


def im2rec() -> str:
    """The path of MXNet's tool."""
    package = importlib.util.find_spec("mxnet")
    assert package is not None
    assert package.origin is not None
    return str(Path(package.origin).parent / "tools" / "im2rec.py")


def packing(folder: Path, case: str, images: int, rounds: int) -> Table:
    """Images/s of both tools and of the codec alone, in turns; prints what they have written."""
    theirs, ours = CASES[case]
    out = folder / "out"
    prefix = str(folder / "set")
    settings = json.dumps(ours)
    our_arguments = [f"{prefix}.lst", str(folder / "in"), str(out), settings, "2"]
    their_arguments = [im2rec(), prefix, str(folder / "in"), "--num-thread", "2", *theirs]
    tools = {
        "im2rec.py": [sys.executable, "-c", IM2REC, *their_arguments],
        "imnetlib": [sys.executable, "-c", PEAK + OURS, *our_arguments],
    }
    codec = [sys.executable, "-c", CODEC, str(folder / "in"), settings]
    rates: dict[str, list[float]] = {LIMIT: [], **{tool: [] for tool in tools}}
    for _ in range(rounds):
        if not ours.get("pass_through"):
            rates[LIMIT].append(float(run(codec)))
        for tool, command in tools.items():
            shutil.rmtree(out, ignore_errors=True)
            began = time.perf_counter()
            run(command)
            rates[tool].append(images / (time.perf_counter() - began))
    for tool, rec in (("im2rec.py", folder / "set.rec"), ("imnetlib", next(out.glob("*.rec")))):
        records, size, psnr = quality(folder, rec)
        print(f"  {tool}: {records:,} records of {size:.1f} KB, PSNR {psnr:.2f} dB")
    ways = tuple(Way(name, tuple(values)) for name, values in rates.items() if values)
    title = f"pack {images:,} photos of 500 x 375, {case}"
    return Table(title, "images/s", ways, limit=LIMIT if rates[LIMIT] else "", peer="im2rec.py")


def from_archive(folder: Path, rounds: int) -> Iterator[Table]:
    """The way from a tar of class tars to records, im2rec's and ours: seconds, MB of disk.

    At 480/95 ours keeps the images that fit as they are.
    """
    archive = folder / "train.tar"
    with tarfile.open(archive, "w") as outer:
        for wnid in sorted(path.name for path in (folder / "in").iterdir()):
            with tarfile.open(folder / "one.tar", "w") as inner:
                for path in sorted((folder / "in" / wnid).iterdir()):
                    inner.add(path, path.name)
            outer.add(folder / "one.tar", f"{wnid}.tar")
    (folder / "one.tar").unlink()
    tool = f'{sys.executable} -c "{IM2REC}" {im2rec()}'
    imnet = f"{Path(sys.executable).parent / 'imnet'}"
    ways = {
        "tar, im2rec.py": f"mkdir in && cd in && tar -xf {archive} && "
        "for t in *.tar; do mkdir ${t%.tar}; tar -xf $t -C ${t%.tar}; rm $t; done; cd ..; "
        f"{tool} set in --list --recursive; "
        f"{tool} set in --resize 480 --quality 95 --num-thread 2",
        "imnet": f"ln {archive} . && {imnet} index train.tar && "
        f"{imnet} list train.tar.npz set.lst --seed 1 && "
        f"{imnet} pack set.lst train.tar.npz . --resize 480 --num-thread 2 && rm train.tar",
    }
    spent: dict[str, list[float]] = {name: [] for name in ways}
    disk: dict[str, float] = {}
    for _, (name, way) in itertools.product(range(rounds), ways.items()):
        work = folder / "work"
        work.mkdir()
        began = time.perf_counter()
        subprocess.run(["bash", "-ec", way], cwd=work, check=True, capture_output=True)
        spent[name].append(time.perf_counter() - began)
        disk[name] = sum(path.stat().st_size for path in work.rglob("*") if path.is_file()) / 1e6
        shutil.rmtree(work)
    timed = tuple(Way(name, tuple(values)) for name, values in spent.items())
    yield Table("from a tar of class tars to records", "s", timed, peer="tar, im2rec.py")
    taken = tuple(Way(name, (size,)) for name, size in disk.items())
    yield Table("disk that this takes beside the archive", "MB", taken, peer="tar, im2rec.py")


def peak(folder: Path) -> Table:
    """The most memory that packing takes."""
    out = folder / "out"
    found = []
    for threads in (2, 16):
        shutil.rmtree(out, ignore_errors=True)
        settings = json.dumps(CASES["480/95, equal work"][1])
        paths = [str(folder / "set.lst"), str(folder / "in"), str(out)]
        command = [sys.executable, "-c", PEAK + OURS, *paths, settings, str(threads)]
        found.append(Way(f"imnetlib, {threads} threads", (int(run(command)) / 1e6,)))
    return Table("the most memory that packing takes", "MB", tuple(found))


def main() -> None:
    """Measure all tables."""
    chosen = options(__doc__ or "", images=(5000, 500), rounds=(3, 1))
    report = Report("pack")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        make_input(folder, chosen.images)
        for case in CASES:
            report.add(packing(folder, case, chosen.images, chosen.rounds))
        for table in from_archive(folder, chosen.rounds):
            report.add(table)
        report.add(peak(folder))
    report.save(chosen.to)


if __name__ == "__main__":
    main()
