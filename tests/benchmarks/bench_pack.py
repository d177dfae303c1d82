"""imnetlib.pack beside its peers: whole processes, the same files, 2 threads or processes each.

    python tests/benchmarks/bench_pack.py [--quick] [--to FOLDER] [--images 2000] [--rounds 2]

Synthetic photos of ImageNet's mean size, 500 x 375 and about 110 KB; --images of them, and two and
a half times as many where packing goes fast. Peers: MXNet's im2rec.py, WebDataset, MosaicML
Streaming, litdata, FFCV; pack_peers.py says how each is used. The limit is the codec alone: two
threads of a process that convert the same data in memory, its start not counted; where nothing is
converted, the bytes of the files in one new file. Of each tool also the rate that a long job has:
that of the photos beyond the first 20, whose time, nearly all start, is measured apart and taken
off. Beside it, what is stored of a photo: its bytes, and the PSNR against a Lanczos-reduced
original of that size, so that nobody wins by a worse picture. Then: from the archive end to end,
with the disk space taken on the way; and the peak memory of 16 threads.
"""

from __future__ import annotations

import importlib.util
import io
import itertools
import json
import math
import os
import shutil
import statistics
import subprocess
import sys
import tarfile
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from itertools import starmap
from operator import itemgetter
from pathlib import Path
from typing import Any, NamedTuple

import cv2
import numpy as np
from pack_peers import WRITERS
from peers_environment import move_there, reason
from PIL import Image
from results import Report, Table, Way, alone, options, peak, take_turns, ways

from imnetlib import pack, recordio
from imnetlib.image import Settings

LIMIT = "the codec alone, data in memory"
# Photos whose pixels are held against their sources, and those of a run that is nearly all start.
FEW = 20
LIMIT_OF_COPIES = "the files' bytes into one file"
OUR_TOOL = "imnetlib"
THEIR_TOOL = "im2rec.py"
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
"""
CODEC = """
import json, sys, time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from imnetlib.image import Settings, convert_image
settings = Settings(**json.loads(sys.argv[2]))
data = [path.read_bytes() for path in sorted(Path(sys.argv[1]).rglob("*.JPEG"))]
waiting = iter(data)
def convert(_):
    for image in waiting:
        convert_image(image, settings)
began = time.perf_counter()
with ThreadPoolExecutor(2) as pool:
    list(pool.map(convert, range(2)))
print(time.perf_counter() - began)
"""
COPY = """
import os, sys, time
from pathlib import Path
paths = sorted(Path(sys.argv[1]).rglob("*.JPEG"))
began = time.perf_counter()
with open(sys.argv[2], "wb") as out:
    for path in paths:
        out.write(path.read_bytes())
    out.flush()
    os.fsync(out.fileno())
print(time.perf_counter() - began)
"""
ENLARGED = "short edge 480, quality 95, enlarged"
SHRUNK = "short edge 256, quality 90"


class Case(NamedTuple):
    """What im2rec.py is told, what our settings are, and how many times --images there are."""

    theirs: list[str]
    ours: dict[str, Any]
    times: float
    # The short edge that the other peers shrink to. None where they take no part: they would need
    # more than their documentation shows, or most of their time to start.
    edge: int | None


CASES = {
    "as they are": Case(["--pass-through"], {"pass_through": True}, 2.5, None),
    ENLARGED: Case(
        ["--resize", "480", "--quality", "95"], {"resize": 480, "upscale": True}, 1, None
    ),
    SHRUNK: Case(["--resize", "256", "--quality", "90"], {"resize": 256, "quality": 90}, 2.5, 256),
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


def make_input(folder: Path, count: int) -> Path:
    """A folder of ``count`` files of 100 pictures, and their list; made once."""
    folder /= str(count)
    if folder.exists():
        return folder
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
    return folder


def run(command: list[str], folder: Path | None = None) -> tuple[str, float]:
    """What a whole process prints, in ``folder`` if it is given, and its seconds.

    RuntimeError says in a line why it failed. What others have written goes to the disk first: ours
    would wait for it, as it syncs.
    """
    os.sync()
    began = time.perf_counter()
    done = subprocess.run(command, cwd=folder, check=False, capture_output=True, text=True)
    if done.returncode:
        raise RuntimeError(reason(done.stderr))
    return done.stdout, time.perf_counter() - began


def decibels(source: Path, data: bytes) -> float:
    """PSNR of what is stored against the Lanczos-reduced source."""
    image = Image.open(io.BytesIO(data))
    reduced = Image.open(source).resize(image.size, Image.Resampling.LANCZOS)
    error = np.mean((np.asarray(reduced, float) - np.asarray(image)) ** 2)
    return float(10 * np.log10(255**2 / error)) if error else float("inf")


def stored_records(folder: Path, rec: Path, count: int) -> Iterator[tuple[Path, bytes]]:
    """Source and image of the first ``count`` records."""
    images = pack.read_lst(folder / "set.lst")
    paths = dict(zip(images.ids.tolist(), images.paths.tolist(), strict=True))
    with recordio.RecordReader(rec) as reader:
        for _, record in itertools.islice(reader, count):
            header, data = recordio.unpack(bytes(record))
            yield folder / "in" / paths[header.id].decode(), data


def stored_by_peer(folder: Path, name: str, edge: int, count: int) -> Iterator[tuple[Path, bytes]]:
    """The same of a peer, for the first photos of the list."""
    for path in pack.read_lst(folder / "set.lst").paths[:count].tolist():
        source = folder / "in" / path.decode()
        yield source, WRITERS[name][1](source, edge)


def im2rec() -> str:
    """The path of MXNet's tool."""
    package = importlib.util.find_spec("mxnet")
    assert package is not None
    assert package.origin is not None
    return str(Path(package.origin).parent / "tools" / "im2rec.py")


@dataclass(frozen=True)
class Tool:
    """A way to pack: its command, where its output lies, and some of what it stores."""

    command: list[str]
    out: Path
    stored: Callable[[], Iterator[tuple[Path, bytes]]]
    # The list that has to lie where the output goes.
    listed: Path | None = None

    def run(self) -> float:
        """The seconds of a whole process."""
        shutil.rmtree(self.out, ignore_errors=True)
        if self.listed:
            self.out.mkdir()
            shutil.copy(self.listed, self.out)
        return run(self.command)[1]

    def size(self) -> int:
        """The bytes it has written."""
        return sum(path.stat().st_size for path in self.out.rglob("*") if path.is_file())


def tools(folder: Path, case: str, peers: bool) -> dict[str, Tool]:
    """The ways to do a case, by name."""
    theirs, ours, _, edge = CASES[case]
    out = folder / "out"
    root = str(folder / "in")
    settings = json.dumps(ours)
    moved = folder / "im2rec"
    lst = folder / "set.lst"
    their_command = [im2rec(), str(moved / "set"), root, "--num-thread", "2", *theirs]
    our_command = [str(lst), root, str(out), settings, "2"]
    found = {
        OUR_TOOL: Tool(
            [sys.executable, "-c", OURS, *our_command],
            out,
            lambda: stored_records(folder, next(out.glob("*.rec")), FEW),
        ),
        THEIR_TOOL: Tool(
            [sys.executable, "-c", IM2REC, *their_command],
            moved,
            lambda: stored_records(folder, moved / "set.rec", FEW),
            lst,
        ),
    }
    if peers and edge is not None:
        for name in WRITERS:
            there = folder / name
            arguments = [name, str(lst), root, str(there), str(edge)]
            found[name] = Tool(
                [sys.executable, str(Path(__file__).with_name("pack_peers.py")), *arguments],
                there,
                partial(stored_by_peer, folder, name, edge, FEW),
            )
    return found


def further(
    found: Mapping[str, list[float] | str], started: Mapping[str, list[float] | str], photos: int
) -> tuple[Way, ...]:
    """Photos a second beyond the first few of each tool, by its seconds for all and for those.

    Of a tool whose start is more than half of its time there is none: it would be that of noise.
    """
    rates = []
    for way in ways({name: of for name, of in found.items() if name in started}):
        few = started[way.name]
        start = math.inf if isinstance(few, str) else statistics.median(few)
        if way.values and min(way.values) < 2 * start:
            rates.append(Way(way.name, failure="there is no such rate: most of its time is start"))
        else:
            later = tuple((photos - FEW) / (seconds - start) for seconds in way.values)
            rates.append(Way(way.name, later, way.failure))
    return tuple(rates)


def packing(
    folder: Path, case: str, images: int, rounds: int, started: Mapping[str, list[float] | str]
) -> Iterator[Table]:
    """Images/s of each way and of the limit, in turns; then what they have written.

    ``started`` are the seconds of each tool for the first few photos; in a quick run, of which they
    would be the most, there are none, and no peers but im2rec.py.
    """
    settings = CASES[case].ours
    copies = bool(settings.get("pass_through"))
    limit = LIMIT_OF_COPIES if copies else LIMIT
    source = [COPY, str(folder / "in"), str(folder / "copy")]
    if not copies:
        source = [CODEC, str(folder / "in"), json.dumps(settings)]
    all_tools = tools(folder, case, bool(started))
    bare = partial(printed_seconds, [sys.executable, "-c", *source])
    jobs = {limit: bare} | {name: tool.run for name, tool in all_tools.items()}
    found = take_turns(jobs, rounds)
    title = f"pack {images:,} photos of 500 x 375, {case}"
    rates = ways(found, lambda seconds: images / seconds)
    yield Table(title, "images/s", rates, limit=limit, peer=THEIR_TOOL)
    done = {way.name: all_tools[way.name] for way in rates if way.values and way.name in all_tools}
    sizes = [Way(name, (way.size() / images / 1e3,)) for name, way in done.items()]
    changed = {name: tuple(starmap(decibels, way.stored())) for name, way in done.items()}
    if started:
        later = further(found, started, images)
        yield Table(title, "images/s", later, peer=THEIR_TOOL, what="its start not counted")
    yield Table(title, "KB an image", tuple(sizes), what="stored")
    kept = [Way(name, of) for name, of in changed.items() if math.isfinite(max(of))]
    if kept:
        yield Table(title, "dB", tuple(kept), what=f"PSNR of {FEW} photos")
    for way in all_tools.values():
        shutil.rmtree(way.out, ignore_errors=True)


def printed_seconds(command: list[str]) -> float:
    """The seconds that a process prints of itself."""
    return float(run(command)[0])


def from_archive(folder: Path, images: int, rounds: int) -> Iterator[Table]:
    """The way from a tar of class tars to records, im2rec's and ours: seconds, MB of disk."""
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
    settings = " ".join(CASES[SHRUNK].theirs)
    commands = {
        "tar and im2rec.py": f"mkdir in && cd in && tar -xf {archive} && "
        "for t in *.tar; do mkdir ${t%.tar}; tar -xf $t -C ${t%.tar}; rm $t; done; cd ..; "
        f"{tool} set in --list --recursive; "
        f"{tool} set in {settings} --num-thread 2",
        "imnet": f"ln {archive} . && {imnet} index train.tar && "
        f"{imnet} list train.tar.npz set.lst --seed 1 && "
        f"{imnet} pack set.lst train.tar.npz . {settings} --num-thread 2 && rm train.tar",
    }
    jobs = {name: partial(run_in, folder / "work", way) for name, way in commands.items()}
    found = take_turns(jobs, rounds)
    title = f"from a tar of class tars of {images:,} photos to records, {SHRUNK}"
    for number, (unit, what) in enumerate((("s", ""), ("MB", "disk taken beside the archive"))):
        rows = ways(found, itemgetter(number))
        yield Table(title, unit, rows, peer="tar and im2rec.py", what=what)


def run_in(work: Path, script: str) -> tuple[float, float]:
    """Seconds of a shell's script in a folder of its own, and MB of the files that it leaves."""
    shutil.rmtree(work, ignore_errors=True)
    work.mkdir()
    _, seconds = run(["bash", "-ec", script], work)
    return seconds, sum(path.stat().st_size for path in work.rglob("*") if path.is_file()) / 1e6


def memory_of_packing(folder: Path, threads: int) -> float:
    """MB that packing takes at most."""
    images = pack.read_lst(folder / "set.lst")
    settings = Settings(**CASES[ENLARGED].ours)
    with tempfile.TemporaryDirectory(dir=folder) as out:
        pack.pack(
            images, pack.Folder(folder / "in"), Path(out), "set", shards=1, threads=threads,
            settings=settings,
        )  # fmt: skip
    return peak() / 1e6


def memory(folder: Path) -> Table:
    """The most memory that packing takes, by threads."""
    found = [
        Way(f"{threads} threads", (alone(partial(memory_of_packing, folder, threads)),))
        for threads in (2, 16)
    ]
    return Table(f"pack photos of 500 x 375, {ENLARGED}", "MB", tuple(found), what="peak memory")


def main() -> None:
    """Measure all tables."""
    chosen = options(__doc__ or "", images=(2000, 100), rounds=(2, 1))
    move_there()
    report = Report("pack")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        started: dict[str, list[float] | str] = {}
        if not chosen.quick:
            few = tools(make_input(folder, FEW), SHRUNK, True)
            jobs = {name: tool.run for name, tool in few.items()}
            started = take_turns(jobs, 1, warm_up=True)
        # A quick run takes the first and the last.
        for case in [*CASES][:: 2 if chosen.quick else 1]:
            count = int(chosen.images * CASES[case].times)
            work = make_input(folder, count)
            for table in packing(work, case, count, chosen.rounds, started):
                report.add(table)
        work = make_input(folder, chosen.images)
        for table in from_archive(work, chosen.images, chosen.rounds):
            report.add(table)
        report.add(memory(work))
    report.save(chosen.to)


if __name__ == "__main__":
    main()
