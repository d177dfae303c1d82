"""Schematics say what the library says, and can be read."""

from __future__ import annotations

import itertools
import re
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path

import matplotlib as mpl
import numpy as np
import pytest
import seeing
from making import MAGIC, PAYLOADS, tar_of
from matplotlib.axes import Axes
from matplotlib.colors import to_hex
from matplotlib.patches import FancyArrowPatch, FancyBboxPatch
from matplotlib.transforms import Bbox
from werkzeug.wrappers import Response

from imnetlib import archive, download, engines, order, recordio, wordnet
from imnetlib.course import plots, schematics, server
from imnetlib.course.schematics import sketch

IMAGE = recordio.pack(recordio.IRHeader(0, 388.0, 7, 0), b"\xff\xd8 a JPEG \xff\xd9")
LAYERS = engines.layers(engines.network("inception-bn", 1000))
SHAPES = engines.infer_shapes(LAYERS, 224)
BLOCKS = [layer.name for layer in LAYERS if layer.kind == "Concat"]
IMAGES = {
    "n02084071": {"n02084071_7.JPEG": b"\xff\xd8 seven", "n02084071_1.JPEG": b"\xff\xd8 one"},
    "n02121620": {"n02121620_3.JPEG": b"\xff\xd8 three"},
}
IN_TARS = {f"{wnid}.tar": tar_of(images) for wnid, images in IMAGES.items()}
IN_FOLDERS = {f"{w}/{name}": data for w, images in IMAGES.items() for name, data in images.items()}
# A way of two steps and one of three.
EDGES = [("dog", "pet"), ("pet", "animal")]
EDGES += [("dog", "canine"), ("canine", "carnivore"), ("carnivore", "animal")]


def lines_of(drawn: plots.Drawing) -> list[str]:
    """All lines of text, in the order in which they were written."""
    return [text.get_text() for text in drawn.figure.axes[0].texts]


def index_of(members: dict[str, bytes], folder: Path) -> archive.TarIndex:
    path = folder / "train.tar"
    path.write_bytes(tar_of(members))
    return archive.index_tar(path)


def graph(edges: Iterable[tuple[str, str]]) -> plots.Drawing:
    """A graph over one class, with each node's number of ways down to it beside its mass."""
    hierarchy = wordnet.build(["dog"], list(edges))
    ways = np.zeros(len(hierarchy))
    ways[hierarchy.classes] = 1
    for node in range(len(hierarchy) - 1, 0, -1):
        ways[hierarchy.parents[[node]].indices] += ways[node]
    sums = {"bottom up": ways, "mass": hierarchy.mass([1.0])}
    return schematics.shared_descendant(hierarchy, hierarchy.classes[0], sums)


DRAWINGS = {
    "tar of tars": lambda folder: schematics.tar_of_tars(index_of(IN_TARS, folder)),
    "tar of folders": lambda folder: schematics.tar_of_tars(index_of(IN_FOLDERS, folder)),
    "download": lambda _: schematics.broken_download("archive.tar", 8_000_000, 5_000_000),
    "record": lambda _: schematics.record_bytes(b"giant panda"),
    "split record": lambda _: schematics.record_bytes(b"four" + MAGIC + b"more"),
    "image record": lambda _: schematics.record_bytes(IMAGE, image=True),
    "long record": lambda _: schematics.record_bytes(bytes(range(50))),
    "epoch": lambda _: schematics.epoch_order([8, 8, 8], 4, readers=2, seed=100),
    "step": lambda _: schematics.training_step(8, 32),
    "graph": lambda _: graph(EDGES),
    "graph with a direct edge": lambda _: graph([*EDGES, ("dog", "animal")]),
} | {
    block: lambda _, block=block: schematics.inception_block(LAYERS, SHAPES, block)
    for block in BLOCKS
}


@pytest.mark.parametrize("name", DRAWINGS)
def test_a_schematic_can_be_read(name: str, tmp_path: Path):
    """No text is small, leaves the picture, lies on another one or crosses a border."""
    figure, alt = DRAWINGS[name](tmp_path)
    assert len(alt) > 100
    assert "\n" not in alt
    figure.draw_without_rendering()
    (axis,) = figure.axes
    assert figure.get_figwidth() <= 8
    assert min(text.get_fontsize() for text in axis.texts) >= 9
    said = [(text.get_text(), text.get_window_extent()) for text in axis.texts]
    borders = [p.get_window_extent() for p in axis.patches if isinstance(p, FancyBboxPatch)]
    for text, extent in said:
        assert is_within(extent, figure.bbox), text
        assert [b for b in borders if b.overlaps(extent) and not is_within(extent, b)] == [], text
    paths = [line.get_path() for line in axis.lines]
    paths += [arrow.get_path() for arrow in axis.patches if isinstance(arrow, FancyArrowPatch)]
    drawn = [axis.transData.transform_path(path).to_polygons(closed_only=False) for path in paths]
    strokes = [mpl.path.Path(stroke) for stroke in itertools.chain.from_iterable(drawn)]
    for text, extent in said:
        # A box hides what leads through below it.
        if not any(is_within(extent, border) for border in boxes_of(axis)):
            assert not any(stroke.intersects_bbox(extent, filled=False) for stroke in strokes), text
    pairs = itertools.combinations(said, 2)
    assert [(one[0], two[0]) for one, two in pairs if one[1].overlaps(two[1])] == []


def boxes_of(axis: Axes) -> list[Bbox]:
    filled = [p for p in axis.patches if isinstance(p, FancyBboxPatch) and p.get_zorder() > 1]
    return [patch.get_window_extent() for patch in filled]


def is_within(inner: Bbox, outer: Bbox) -> bool:
    return bool((inner.min >= outer.min).all() and (inner.max <= outer.max).all())


@pytest.mark.parametrize("look", [to_hex, seeing.in_the_dark], ids=["light", "dark"])
@pytest.mark.parametrize("color", [plots.BLUE, plots.ORANGE, plots.GREEN, plots.GRAY])
def test_words_stand_out_from_what_they_stand_on(color: str, look: Callable[[object], str]):
    fill = 1 - sketch.PALE * (1 - np.array(mpl.colors.to_rgb(color)))
    assert seeing.contrast(look(fill), look(plots.BLACK)) >= 4.5


@pytest.mark.parametrize(("members", "ending"), [(IN_TARS, ".tar"), (IN_FOLDERS, "/")])
def test_a_tar_of_tars_shows_where_its_images_lie(
    members: dict[str, bytes], ending: str, tmp_path: Path
):
    lines = lines_of(schematics.tar_of_tars(index_of(members, tmp_path)))
    content = (tmp_path / "train.tar").read_bytes()
    assert f"train.tar: {len(content):,} bytes, 2 classes" in lines
    assert f"n02084071{ending}: 2 images" in lines
    assert f"n02121620{ending}" in lines
    found = re.findall(r"offset ([\d,]+)\nsize (\d+)", "\n".join(lines))
    places = [(int(offset.replace(",", "")), int(size)) for offset, size in found]
    images = [content[offset : offset + size] for offset, size in places]
    assert images == [*IMAGES["n02084071"].values()]


@dataclass(frozen=True)
class Heard(server.Fault):
    """Notes of each request the range that it asks for, and of the answer status and headers."""

    log: list = field(default_factory=list)

    def respond(self, folder: Path, environ: dict) -> Response:
        response = super().respond(folder, environ)
        self.log.append((environ.get("HTTP_RANGE"), response.status.lower(), response.headers))
        return response


def test_a_broken_download_shows_what_goes_over_the_line(tmp_path: Path):
    (tmp_path / "archive.tar").write_bytes(bytes(300_000))
    heard = Heard(drop_after=200_000)
    with server.serve(tmp_path, [heard, Heard(log=heard.log)]) as url:
        with pytest.raises(download.DownloadError):
            download.download(url + "archive.tar", tmp_path / "got.tar", attempts=1)
        again = download.download(url + "archive.tar", tmp_path / "got.tar")
    (_, first, _), (asked, second, headers) = heard.log
    drawn = schematics.broken_download("archive.tar", 300_000, again.resumed_from)
    lines = [line.lower() for line in lines_of(drawn)]
    assert f"{first}: the first {again.resumed_from:,} bytes arrive" in lines
    assert f"get archive.tar, range: {asked}" in lines
    assert second in lines
    assert f"content-range: {headers['Content-Range']}" in lines


@pytest.mark.parametrize("payload", [p for p in PAYLOADS if len(p) < 100], ids=bytes.hex)
def test_a_record_is_shown_byte_by_byte_with_the_place_of_each_field(
    payload: bytes, tmp_path: Path
):
    path = tmp_path / "one.rec"
    path.write_bytes(recordio.frame(payload))
    with recordio.RecordReader(path) as reader:
        parts = list(reader.parts_at(0))
    begins = {place for start, stop, _ in parts for place in (start - 8, start - 4, start, stop)}
    size = path.stat().st_size
    begins |= {*range(0, size, 24)}

    written = schematics.record_bytes(payload).figure.axes[0].texts
    cells = [text.get_text() for text in written if text.get_ha() == "center"]
    assert "".join(filter(re.compile(r"[\da-f]{2}").fullmatch, cells)) == path.read_bytes().hex()
    places = {int(text.get_text()) for text in written[1:] if text.get_ha() == "left"}
    assert places == begins & {*range(size)}
    lengths = [f"length {stop - start}" for start, stop, _ in parts]
    assert [line for line in cells if line.startswith("length")] == lengths


def test_an_image_record_names_the_fields_of_its_header():
    lines = lines_of(schematics.record_bytes(IMAGE, image=True))
    assert lines[0] == "An image record of 44 bytes"
    told = "\n".join(lines)
    for field_of_it in ("flag\n0", "label\n388.0", "id\n7", "id2\n0", "JPEG\n12 bytes"):
        assert f"\n{field_of_it}" in told


@pytest.mark.parametrize("seed", [0, 100])
@pytest.mark.parametrize(("records", "batch_size", "readers"), [((8, 8, 8), 4, 2), ((5, 6), 4, 3)])
def test_an_epoch_is_in_the_order_in_which_readers_get_it(
    records: tuple[int, ...], batch_size: int, readers: int, seed: int
):
    count = sum(records)
    lines = lines_of(schematics.epoch_order(records, batch_size, readers, seed))
    cells = [int(line) for line in lines if line.isdecimal()]
    orders = [order.order_of(records, True, seed, epoch).tolist() for epoch in (0, 1)]
    assert cells == [*range(count), *orders[0], *orders[1]]
    batches = -(-count // batch_size)
    shown = re.findall(r"batch (\d+)\nreader (\d+)", "\n".join(lines))
    assert sorted(shown) == sorted([(f"{n}", f"{n % readers}") for n in range(batches)] * 2)


def test_a_step_divides_the_images_and_not_the_weights():
    lines = lines_of(schematics.training_step(8, 32))
    assert lines.count("4 images") == 2
    assert lines.count("32 numbers") == lines.count("32 weights") == 2


@pytest.mark.parametrize("block", BLOCKS)
def test_a_block_shows_each_of_its_layers_and_what_they_add_up_to(block: str):
    lines = lines_of(schematics.inception_block(LAYERS, SHAPES, block))
    shape = "×".join(map(str, SHAPES[block]))
    assert f"{block}: {shape}" in lines
    stacked = [int(line) for line in lines if line.isdecimal()][1:]
    assert sum(stacked) == SHAPES[block][0]
    kinds = ("Convolution", "Pooling")
    inside = [one for one in LAYERS if one.name.startswith(f"{block}_") and one.kind in kinds]
    shown = Counter(line for line in lines if re.fullmatch(r"[\d×]+×[\d×]+", line))
    assert shown == Counter("×".join(map(str, SHAPES[one.name])) for one in inside)


def test_a_graph_tells_both_sums_and_what_it_leaves_out():
    lines = lines_of(graph(EDGES))
    assert lines[0] == "From dog up to animal there are 2 ways"
    told = " ".join(lines[1:])
    assert "animal 2.00" in told.partition("mass")[0]
    assert "animal 1.00" in told.partition("mass")[2]
    assert lines.count("1 more") == 2


@pytest.mark.parametrize(
    ("name", "words"),
    [
        (
            "split record",
            "A record of 24 bytes, in 2 parts, each byte in a cell: from byte 0 on magic "
            "0xced7230a, from byte 4 on length 4 more follows, from byte 8 on data “four”, from "
            "byte 12 on magic 0xced7230a, from byte 16 on length 4 the last part, from byte 20 on "
            "data “more”.",
        ),
        (
            "3a",
            "Block 3a: 4 branches read the same pictures and are stacked. From 192×28×28 to "
            "256×28×28 lead 1×1 filters; 1×1 filters, then 3×3 filters; 1×1 filters, then 3×3 "
            "filters, then 3×3 filters; 3×3 avg pool, then 1×1 filters.",
        ),
        (
            "graph",
            "From dog up to animal there are 2 ways, over pet, and over canine and 1 more; "
            "bottom up (animal 2.00, dog 1.00, pet 1.00, canine 1.00); "
            "mass (animal 1.00, dog 1.00, pet 1.00, canine 1.00).",
        ),
    ],
)
def test_what_is_drawn_is_said_in_words(name: str, words: str, tmp_path: Path):
    assert DRAWINGS[name](tmp_path).alt == words
