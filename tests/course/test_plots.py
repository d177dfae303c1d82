"""How every figure looks: told apart by all readers, read at half its size, nothing on another."""

from __future__ import annotations

import base64
import io
import itertools
import json
import re
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import measured_tables
import numpy as np
import pytest
import seeing
from hypothesis import given
from hypothesis import strategies as st
from making import encoded, photo, psnr
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import to_hex
from matplotlib.figure import Figure
from matplotlib.text import Text
from PIL import Image
from results import Table, Way

from imnetlib import catalog, course, engines, organize, throughput, wordnet
from imnetlib.course import charts, plots
from imnetlib.course.readings import Compared, Named

CHECKOUT = Path(__file__).parents[2]
LEAST_APART = 15
LEAST_OF_TEXT = 4.5
LEAST_OF_MARKS = 3
LEAST_POINTS = 8
GROUNDS = ("#ffffff", plots.PALE.lower())
Look = Callable[[object], str]
LOOKS: dict[str, Look] = {"light": to_hex, "dark": seeing.in_the_dark}


@pytest.mark.parametrize(
    ("one", "other", "distance"),
    [
        ((50, 2.6772, -79.7751), (50, 0, -82.7485), 2.0425),
        ((50, 0, 0), (50, -1, 2), 2.3669),
        ((50, 2.5, 0), (58, 24, 15), 19.4535),
        ((60.2574, -34.0099, 36.2677), (60.4626, -34.1751, 39.4387), 1.2644),
        ((2.0776, 0.0795, -1.1350), (0.9033, -0.0636, -0.5514), 0.9082),
    ],
)
def test_the_distance_of_colours_is_that_of_its_authors(
    one: tuple[float, ...], other: tuple[float, ...], distance: float
):
    assert seeing.ciede2000(np.array(one), np.array(other)) == pytest.approx(distance, abs=1e-4)


@pytest.mark.parametrize("look", LOOKS.values(), ids=LOOKS)
def test_colours_are_told_apart_by_all_and_seen_on_their_ground(look: Look):
    def least(colors: Iterable[str]) -> float:
        return min(seeing.contrast(look(color), look("white")) for color in colors)

    assert seeing.least_apart(map(look, (*plots.COLORS, plots.GRAY)))[0] >= LEAST_APART
    assert least(plots.COLORS) >= LEAST_OF_MARKS
    assert least([plots.GRAY, plots.BLACK, *map(plots.ink, plots.COLORS)]) >= LEAST_OF_TEXT


def test_okabe_and_itos_yellow_orange_and_sky_are_lost_on_white():
    assert max(map(seeing.contrast, ("#F0E442", "#E69F00", "#56B4E9"))) < LEAST_OF_MARKS


def test_the_dark_theme_is_reckoned_as_chromium_does_it():
    shown = {"#0B609A": "#6ab1e2", "#EB6E0B": "#d66d1a", "#8682FC": "#716dd4", "#FFFFFF": "#141414"}
    assert seeing.dark_filter() == (("invert", 0.92), ("hue-rotate", 180))
    assert {color: seeing.in_the_dark(color) for color in shown} == shown


def test_colours_are_named_in_one_place():
    literal = re.compile(r"""["'](#[0-9a-fA-F]{3,8}|C\d|tab:\w+|(?:light|dark)?gr[ae]y)["']""")
    sources = [*(CHECKOUT / "imnetlib/course/charts").glob("*.py")]
    found = {path.name: literal.findall(path.read_text()) for path in sources}
    for path in (CHECKOUT / "notebooks").glob("*.ipynb"):
        cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
        code = "\n".join("".join(c["source"]) for c in cells if c["cell_type"] == "code")
        found[path.name] = literal.findall(code)
    assert {name: colors for name, colors in found.items() if colors} == {}


PHOTO = photo(160, 160, seed=0)


@pytest.mark.parametrize(("kind", "suffix"), [("jpeg", "jpg"), ("png", "png")])
def test_photographs_are_stored_as_jpeg_and_lines_as_png(
    kind: str, suffix: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    shown: list[dict[str, str]] = []
    monkeypatch.setenv("IMNETLIB_FIGURES", str(tmp_path))
    monkeypatch.setattr("IPython.display.display", lambda data, raw: shown.append(data))
    for _ in range(2):
        figure, axis = plots.axes()
        if kind == "jpeg":
            axis.imshow(PHOTO)
        else:
            axis.imshow(PHOTO[..., 0], cmap="Blues")
        plots.show(figure, "one", 'It says "up" & <on>')
    first, second = shown
    assert first == second
    assert set(first) == {f"image/{kind}", "text/html", "text/plain"}
    encoded = first[f"image/{kind}"]
    assert first["text/html"] == (
        f'<img alt="It says &quot;up&quot; &amp; &lt;on&gt;" '
        f'src="data:image/{kind};base64,{encoded}">'
    )
    (saved,) = tmp_path.iterdir()
    assert saved.name == f"one.{suffix}"
    assert saved.read_bytes() == base64.b64decode(encoded)
    assert Image.open(saved).format == kind.upper()
    assert Image.open(saved).size == (770, 385)


def test_a_figure_of_photographs_is_stored_well():
    """Better than in 256 colours, and no larger."""
    from imnetlib.course import sample

    wnids = sample.sample_wnids()[:6]
    scenes = [plots.thumbnail(sample.render(wnid, 3)) for wnid in wnids]
    names = course.class_names(wnids)
    exact = io.BytesIO()
    plots.pictures(scenes, names, columns=3).savefig(exact, format="png")
    whole = Image.open(exact).convert("RGB")
    small = io.BytesIO()
    whole.quantize(256).save(small, "PNG", optimize=True)
    drawn = plots._Drawn.of(plots.pictures(scenes, names, columns=3))

    def decibels(content: bytes) -> float:
        return psnr(np.asarray(Image.open(io.BytesIO(content)).convert("RGB")), np.asarray(whole))

    assert decibels(drawn.content) > decibels(small.getvalue()) + 3
    assert len(drawn.content) < len(small.getvalue())


@given(
    st.lists(st.tuples(st.floats(-50, 50), st.sampled_from([10.0, 20.0])), min_size=1, max_size=7)
)
def test_names_beside_lines_are_apart_in_their_order_and_near(texts: list[tuple[float, float]]):
    wanted = [middle for middle, _ in texts]
    heights = [height for _, height in texts]
    places = plots._apart(wanted, heights, (-200, 200))
    order = sorted(range(len(texts)), key=lambda each: wanted[each])
    for below, above in itertools.pairwise(order):
        room = (heights[below] + heights[above]) / 2
        assert places[above] - places[below] >= room - 1e-9
    # By least squares the shifts add up to nothing.
    assert sum(places) == pytest.approx(sum(wanted), abs=1e-6)
    if all(wanted[b] - wanted[a] >= 20 for a, b in itertools.pairwise(order)):
        assert places == pytest.approx(wanted)


def test_names_beside_lines_stay_in_their_room():
    assert plots._apart([0, 1, 2], [10, 10, 10], (0, 30)) == pytest.approx([5, 15, 25])
    assert plots._apart([29, 30], [10, 10], (0, 30)) == pytest.approx([15, 25])


def test_a_line_is_named_where_it_leaves_the_axes():
    figure, axis = plots.axes()
    axis.plot([0, 10], [0, 10], label="steep")
    axis.plot([0, 10], [1, 1], label="flat")
    axis.plot([], [], label="empty")
    axis.set(xlim=(0, 10), ylim=(0, 5))
    plots.label_lines(axis)
    assert [text.get_text() for text in axis.texts] == ["steep", "flat"]
    assert faults(figure) == []


# ---- every figure of the charts, drawn of little

TREE = wordnet.load(["n11621281", "n11624531", "n11627908", "n09468604", "n09193705"])
SHARES = np.array([0.4, 0.2, 0.1, 0.2, 0.1])
READ = wordnet.explain(TREE, SHARES, 3)
LAYERS = engines.layers(engines.network("inception-bn", 1000))
STEPS = [
    engines.Step("conv1", [], {"c1": 2**20}),
    engines.Step("relu1", ["c1"], {"r1": 2**20}, {"r1": "c1"}),
    engines.Step("loss", ["r1"], {"∂r1": 2**20}),
    engines.Step("∂conv1", ["∂r1"], {"c1'": 2**20}),
]
FOUR = ("neither", "in place", "sharing", "both")
NETWORKS = ("Inception-BN", "full ImageNet")
DEVICES = [*throughput.DEVICES[:2], throughput.DEVICES[5]]
DEVICES.append(throughput.Device("this disk, 1 at a time", 3e9, 50_000, "measured here"))
RANKS = np.repeat([0, 1, 4, 20], [80, 15, 4, 1])
BUDGETS = {
    "ILSVRC2012": throughput.disk_budget(1_331_167, 155 * 10**9, 10**12),
    "full": throughput.disk_budget(14_197_087, 1_310 * 10**9, 10**12),
}
LOG = [
    {"epoch": 1, "step": 1, "loss": 3.5},
    {"epoch": 1, "step": 2, "loss": 3.0},
    *(
        {"epoch": n, "loss": 3 / n, "train_top1": 1 - 0.7 / n}
        | {"validation_top1": 1 - 0.71 / n, "validation_top5": 1 - 0.2 / n}
        for n in (1, 2, 3)
    ),
]
GUESSES = np.random.default_rng(0).dirichlet(np.full(5, 0.4), 300)
CURVE = wordnet.operating_curve(TREE, GUESSES, np.arange(300) % 5)
SURVEY = organize.FolderSurvey(
    Path("train"),
    {"n11621281": 70, "n09468604": 60},
    None,
    tuple(
        organize.StrangeFile(Path(f"train/{wnid}/{n}.JPEG"), what)
        for n, (wnid, what) in enumerate(
            [("n11621281", "CMYK"), ("n11621281", "PNG"), ("n09468604", "grayscale")]
        )
    ),
    10**6,
)


NAMED = Named([0], [False], 0, 2.0, 1)
COMPARED = Compared(0, 0, SHARES, READ, NAMED, NAMED)

FIGURES: dict[str, Callable[[], Figure | plots.Drawing]] = {
    "buffers": lambda: charts.buffers(STEPS, dict.fromkeys(FOUR, engines.plan(STEPS))),
    "by_batch": lambda: charts.by_batch(
        range(1, 129),
        {
            name: {
                way: [slope * batch for batch in range(1, 129)]
                for way, slope in zip(
                    ("MXNet's plan", "by offsets", "at least in use", "10 % longer"),
                    (60, 54, 53.9, 19),
                    strict=True,
                )
            }
            for name in NETWORKS
        },
        3700,
    ),
    "calibration": lambda: charts.calibration(
        dict.fromkeys(("as it is", "temperatures"), np.array([[20, 0.3, 0.4], [30_000, 0.9, 0.8]]))
    ),
    "compared": lambda: charts.compared(TREE, COMPARED, PHOTO),
    "confusions": lambda: charts.confusions(np.eye(36) * 20, ["mountain hemlock"] * 36),
    "crops": lambda: charts.crops(PHOTO, [(5, 5, 80, 90), (60, 40, 70, 60)], [PHOTO, PHOTO]),
    "disk_steps": lambda: charts.disk_steps(BUDGETS),
    "download_times": lambda: charts.download_times(
        {"ILSVRC2012": catalog.ILSVRC2012, "full": catalog.IMAGENET21K}, 0.35
    ),
    "frontier": lambda: charts.frontier(
        {name: [(0, 1300), (5, 900), (10, 400), (30, 380)] for name in NETWORKS},
        {
            name: {"segments, by hand": (33, 520), "MXNet's mirror": (8, 1000), "√n": (32, 540)}
            for name in NETWORKS
        },
    ),
    "hours": lambda: charts.hours(
        {"nine rounds": [("GTX 980 x 4", 209, False), ("H200", 10.1, True)]}
    ),
    "hours_per_epoch": lambda: charts.hours_per_epoch(
        {d.name: throughput.hours_per_epoch(d, 10**7, 10**12) for d in throughput.DEVICES}
    ),
    "icicle": lambda: charts.icicle(TREE, SHARES, READ),
    "image_sizes": lambda: charts.image_sizes(
        DEVICES, 2500, 1400, 8, {"note": 17.6, "yours": 110}
    ),
    "learning_curve": lambda: charts.learning_curve(LOG),
    "losses": lambda: charts.losses(
        {"by hand": [3, 2.5, 2], "torch": [3, 2.7, 2.1], "mxnet": [3, 2.5, 2]}, "The same steps"
    ),
    "middles": lambda: charts.middles({"original": encoded(PHOTO), "64 px": encoded(PHOTO)}),
    "network": lambda: charts.network(LAYERS, engines.infer_shapes(LAYERS, 224)),
    "operating_curve": lambda: charts.operating_curve(
        CURVE, (0.9, 2.3), {"believed": 0.95, "chosen": 0.5}
    ),
    "orders": lambda: charts.orders({"as stored": np.arange(2000), "shuffled": np.arange(2000)}),
    "parameters": lambda: charts.parameters(
        {name: {"conv1": 10**5, "3a": 10**6, "fc1": 10**7} for name in NETWORKS}
    ),
    "plans": lambda: charts.plans(
        {
            name: dict(zip(FOUR, (5461, 4000, 2219, 1973), strict=True))
            for name in NETWORKS
        },
        32,
    ),
    "rates": lambda: charts.rates(
        {
            "this recipe": engines.Recipe(),
            "by steps": engines.Recipe(schedule="steps"),
            "larger, warm-up": engines.Recipe(learning_rate=0.2, warmup=3),
        }
    ),
    "reading": lambda: charts.reading(TREE, SHARES, READ, listed=5),
    "roofline": lambda: charts.roofline(
        {
            "WD Black, hard disk, files": 103,
            "WD Black, hard disk, packed": 1545,
            "Samsung 850 PRO, SATA SSD, packed": 5000,
            "EBS gp3, as it comes, packed": 1192,
            "this disk, packed": 29_367,
        },
        *(2500, 1400, 8, 110_000, 2500),
    ),
    "size_and_quality": lambda: charts.size_and_quality(
        {128: [(3, 28.8), (9, 30.6)], 256: [(9, 34), (31, 37)], 320: [(14, 37), (48, 41)]},
        *((60, 95), 17.6),
    ),
    "splits": lambda: charts.splits(
        {name: np.array([0.04, 0.05, 0.06]) for name in ("one node, climbing", "a set of 3")},
        *(0.05, (0.036, 0.064)),
    ),
    "step_memory": lambda: charts.step_memory(
        {
            part: dict.fromkeys(NETWORKS, mebibytes)
            for part, mebibytes in {
                "values": 130, "gradients": 130, "momentum": 130, "copies in the store": 130,
                "pictures": 18, "results": 4000,
            }.items()
        },
        *(32, 4096),
    ),
    "strange_files": lambda: charts.strange_files(SURVEY),
    "strange_kinds": lambda: charts.strange_kinds(
        {
            "CMYK": encoded(PHOTO, mode="CMYK"), "PNG": encoded(PHOTO, "PNG"),
            "grayscale": encoded(PHOTO, mode="L"),
        }
    ),
    "timeline": lambda: charts.timeline(dict.fromkeys(("kept", "longer"), STEPS)),
    "top_k": lambda: charts.top_k(
        {27: RANKS // 2, 36: RANKS}, {1000: (0.683, 0.89, 0.96), 21_841: (0.419, 0.696, 0.836)}
    ),
    "until_loaded": lambda: charts.until_loaded(
        {"your shards": 90e6, "the article's 150 GB": 150e9, "the full set": 1.31e12}, (100, 300)
    ),
}  # fmt: skip


def test_every_chart_is_looked_at():
    assert sorted(FIGURES) == sorted(charts.__all__)


def drawn(name: str) -> tuple[Figure, str]:
    """A chart of FIGURES, and its words if it has any."""
    made = FIGURES[name]()
    return (made, "") if isinstance(made, Figure) else made


WORDS = {
    "calibration": (
        "Panel “as it is”: 1 of 2 intervals miss the diagonal; the fullest bin has 30,000 images, "
        "confidence 90% and 80% right, the one farthest from the diagonal 20 images, confidence "
        "30% and 40% right."
    ),
    "download_times": (
        "How long 155 GB (ILSVRC2012) and 1,310 GB (full) take on 5 lines, on a logarithmic axis. "
        "yours, 0.35 MB/s: 5.1 days and 43 days; 16 Mbit/s, 2 MB/s: 21 h and 7.6 days; "
    ),
    "hours_per_epoch": "WD Black, hard disk: random 4K 26 days, a seek per file 27 h, packed",
    "image_sizes": (
        "At 17.6 KB (note): 9,659 from WD Black, hard disk; 31,250 from Samsung 850 PRO, SATA SSD"
    ),
    "learning_curve": (
        "over 3 epochs. Left the loss of each batch; its mean is 3.00 in the first epoch "
        "and 1.00 in the last. Right the accuracy in these two: training top-1 30.0% and 76.7%, "
        "validation top-1 29.0% and 76.3%, validation top-5 80.0% and 93.3%."
    ),
    "losses": (
        "by hand from 3.00 to 2.00, torch from 3.00 to 2.10, mxnet from 3.00 to 2.00. "
        "The lines are 0e+00 apart at step 1, at most 2e-01, at step 2."
    ),
    "operating_curve": "always the first guess, 10.0 % at 2.30 bits; climbing, every θ, up to ",
    "rates": (
        "this recipe, 0.05 at its start, at most 0.05, 0.025 halfway and 0 after 18 epochs; by "
        "steps, 0.05 at its start, at most 0.05, 0.005 halfway and 0.0005 after 18 epochs; larger, "
        "warm-up, 0 at its start, at most 0.2, "
    ),
    "roofline": (
        "WD Black, hard disk, files: 103 from 0.074 cores on; four GPUs of 2015: 170 from 0.12 "
        "cores on; EBS gp3, as it comes, packed: 1,192 from"
    ),
    "until_loaded": "At 100 or 300 MiB/s: your shards 0.86 s or 0.29 s; the article's 150 GB ",
}


@pytest.mark.parametrize("name", FIGURES)
def test_the_words_of_a_chart_have_its_numbers(name: str):
    _, words = drawn(name)
    assert WORDS.get(name, "") in words
    assert bool(words) == (name in WORDS)


@pytest.mark.parametrize("name", FIGURES)
def test_a_chart_is_readable_by_all_also_in_the_dark(name: str):
    figure, _ = drawn(name)
    assert faults(figure) == []
    # Photographs stay as they are.
    if plots._Drawn.of(figure).kind == "png":
        assert faults(figure, seeing.in_the_dark) == []


def test_the_figure_of_growth_is_readable_by_all():
    """Five jobs, of which some end at the same height."""
    seconds = {"pack": 0.3, "load": 0.29, "shuffle a list": 0.1, "index a tar": 0.1, "explain": 1}
    tables = []
    for title, unit, power in (("time", "s", 1.0), ("memory", "MB", 0.2)):
        for times, what in ((1, "once"), (4, "4 times the work"), (16, "16 times the work")):
            ways = [
                Way(f"{job}, 9 images", (each * times**power,)) for job, each in seconds.items()
            ]
            tables.append(Table(title, unit, tuple(ways), what=what))
    about = {"processor": "AMD EPYC", "cores": 2}
    machine = measured_tables.Machine("one", {"growth": tables}, {"growth": about})
    figure, alt = measured_tables.growth(machine)
    assert faults(figure) == []
    assert faults(figure, seeing.in_the_dark) == []
    assert "explain, 9 images: 1, 4, 16 s" in alt


def faults(figure: Figure, look: Look = to_hex) -> list[str]:
    """What keeps someone from reading ``figure``, one sentence each."""
    FigureCanvasAgg(figure).draw()
    return [*of_texts(figure, look), *of_marks(figure, look)]


def texts_of(figure: Figure) -> Iterator[tuple[Any, Text]]:
    """Each text that is drawn, with its axes."""
    for axis in figure.axes:
        own = [*axis.texts, axis.title, axis._left_title, axis._right_title]
        if axis.axison:
            for scale in (axis.xaxis, axis.yaxis):
                own += [scale.label, *(tick.label1 for tick in scale._update_ticks())]
        legend = axis.get_legend()
        own += legend.get_texts() if legend else []
        yield from ((axis, text) for text in own if text.get_text().strip() and text.get_visible())
    for legend in figure.legends:
        yield from ((None, text) for text in legend.get_texts())


def of_texts(figure: Figure, look: Look) -> Iterator[str]:
    texts = [*texts_of(figure)]
    shrunk = min(1.0, plots.WIDEST / figure.get_figwidth())
    boxes = {}
    for axis, text in texts:
        said = repr(text.get_text())
        if text.get_fontsize() * shrunk < LEAST_POINTS:
            yield f"{said} has {text.get_fontsize() * shrunk:.1f} points"
        behind = ground(axis, text)
        if behind and seeing.contrast(look(text.get_color()), look(behind)) < LEAST_OF_TEXT:
            yield f"{said} has too little contrast with {behind}"
        box = Text.get_window_extent(text)
        if box.x0 < -1 or box.y0 < -1 or box.x1 > figure.bbox.x1 + 1 or box.y1 > figure.bbox.y1 + 1:
            yield f"{said} is cut off"
        boxes[said, id(text)] = box.padded(-1)
    for (one, first), (other, second) in itertools.combinations(boxes.items(), 2):
        if first.overlaps(second):
            yield f"{one[0]} and {other[0]} lie on each other"


def ground(axis: Any, text: Text) -> str | None:
    """The colour that a text is written on; None on a picture."""
    patch = text.get_bbox_patch()
    if patch is not None and patch.get_facecolor()[3] == 1:
        return to_hex(patch.get_facecolor())
    if axis is None:
        return "#ffffff"
    box = Text.get_window_extent(text)
    middle = ((box.x0 + box.x1) / 2, (box.y0 + box.y1) / 2)
    if any(image.get_window_extent().contains(*middle) for image in axis.images):
        return None
    under = [p for p in axis.patches if p.get_window_extent().contains(*middle) and p.get_fill()]
    if not under:
        return "#ffffff"
    *color, opacity = under[-1].get_facecolor()
    return to_hex([opacity * part + 1 - opacity for part in color])


def of_marks(figure: Figure, look: Look) -> Iterator[str]:
    for axis in figure.axes:
        if axis.images or axis.get_label() == "<colorbar>":
            continue
        lines = [line for line in axis.get_lines() if len(line.get_xdata())]
        fills = [to_hex(patch.get_facecolor()) for patch in axis.patches if patch.get_fill()]
        for collection in axis.collections:
            fills += [to_hex(color) for color in collection.get_facecolor()]
        colors = {to_hex(line.get_color()) for line in lines} | set(fills)
        colors -= set(GROUNDS)
        for color in colors:
            if seeing.contrast(look(color), look("white")) < LEAST_OF_MARKS:
                yield f"{color} is hardly seen on white"
        distance, pair = seeing.least_apart(map(look, sorted(colors)))
        if distance < LEAST_APART:
            yield f"{pair} are {distance:.1f} apart"
        drawn: dict[Any, str] = {}
        for line in lines:
            label = line.get_label()
            style = (to_hex(line.get_color()), line.get_linestyle(), line.get_marker())
            if not label.startswith("_") and drawn.setdefault(style, label) != label:
                yield f"{drawn[style]} and {label} look the same"


@pytest.mark.parametrize(
    ("spoil", "fault"),
    [
        (lambda axis: axis.plot([0, 1], [0, 1], color="#F0E442"), "#f0e442 is hardly seen"),
        (lambda axis: axis.plot([0, 1], [1, 0], color="#0B5F97"), "apart"),
        (lambda axis: axis.text(0.5, 0.5, "small", fontsize=6), "'small' has 6.0 points"),
        (lambda axis: axis.text(0.5, 0.5, "pale", color="#8a8a8a"), "'pale' has too little"),
        (lambda axis: axis.text(0.9, 0.5, "wide " * 9, in_layout=False), "is cut off"),
        (lambda axis: [axis.text(0.5, 0.5, word) for word in "ab"], "'a' and 'b' lie on"),
        (
            lambda axis: axis.plot([0, 1], [0, 0], color=plots.BLUE, label="second"),
            "first and second look the same",
        ),
        (
            lambda axis: [axis.bar(0.5, 9, color=plots.BLUE), axis.text(0.5, 4, "dark")],
            "'dark' has too little",
        ),
    ],
)
def test_a_fault_is_found(spoil: Callable[[Any], object], fault: str):
    figure, axis = plots.axes()
    axis.plot([0, 1], [0.5, 0.6], color=plots.BLUE, label="first")
    spoil(axis)
    (found,) = faults(figure)
    assert fault in found
