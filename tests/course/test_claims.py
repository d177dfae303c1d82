"""Every claim of the sources has its sum, and the sums come out as they do on paper."""

from __future__ import annotations

import re
from pathlib import Path

import nbformat
import pytest

from imnetlib import course
from imnetlib.course import runner
from imnetlib.course.claims import Verdict, claims, recompute
from imnetlib.course.findings import JUDGES

SHOWN = re.compile(r"course\.verdict\(([^)]*)\)")


@pytest.fixture(scope="module")
def verdicts() -> dict[str, Verdict]:
    """The verdicts on all claims by id."""
    return {verdict.id: verdict for verdict in recompute()}


def test_table_and_functions_cover_each_other(verdicts: dict[str, Verdict]):
    assert set(claims()) == set(JUDGES)
    assert len(claims()) == 26
    assert list(verdicts) == list(claims())
    for claim in claims().values():
        assert claim.source in ("note", "article")
        assert 1 <= claim.chapter <= 10
        assert claim.quoted
        assert claim.claim[0].isupper()


def test_every_verdict_is_complete(verdicts: dict[str, Verdict]):
    for claim, found in zip(claims().values(), verdicts.values(), strict=True):
        assert (found.id, found.claimed, found.unit) == (claim.id, claim.value, claim.unit)
        assert found.why.endswith(".")
        if found.verdict == "cannot be computed here":
            assert found.computed is None
            assert found.ratio is None
        else:
            assert found.computed is not None
            assert found.claimed is not None
            assert found.ratio == found.computed / found.claimed


@pytest.mark.parametrize(
    ("claim", "computed", "outcome"),
    [
        ("random-hdd", 677.37, "agrees"),
        ("random-ssd", 7.28, "differs"),
        ("seek-per-file", 37.49, "differs"),
        ("packed-rate", 9654.02, "agrees"),
        ("raw-size", 2.79, "agrees"),
        ("train-time", 8.79, "agrees"),
        ("pack-val", 3.51, "differs"),
        ("crop", 224, "differs"),
        ("memory", 0.36, "differs"),
        ("deploy", 476.84, "differs"),
        ("hdd-4k", 0.43, "agrees"),
        ("ssd-4k", 39.06, "agrees"),
        ("much-faster", 13.43, "agrees"),
        ("packing-bound", 0.44, "agrees"),
        ("longer-cycle", 11.08, "agrees"),
        ("cheapest-disk", 0.03, "agrees"),
        ("gpu-stall", 0.60, "agrees"),
    ],
)
def test_recomputed_figures(
    verdicts: dict[str, Verdict], claim: str, computed: float, outcome: str
):
    found = verdicts[claim]
    assert found.computed == pytest.approx(computed, abs=0.005)
    assert found.verdict == outcome


@pytest.mark.parametrize(
    ("claim", "figures"),
    [
        ("random-hdd", ["646 h"]),
        ("random-ssd", ["7.28 h", "6.78 h"]),
        ("seek-per-file", ["35.9 h of seeks", "1.6 h of transfer", "0.9 h"]),
        ("packed-rate", ["17.6 KB", "53 MB/s", "31%"]),
        ("train-time", ["124.8 M"]),
        ("fewer-rounds", ["127.8 M", "99.7 passes"]),
        ("download", ["0.35 MB/s"]),
        ("pack-train", ["237 images/s"]),
        ("pack-val", ["417 images/s", "1.8 times"]),
        ("resize", ["1.28 times"]),
        ("accuracy", ["±0.4 points", "50 of them"]),
        ("deploy", ["8 to 24 minutes", "3.1 GB"]),
        ("hdd-4k", ["0.43 MiB/s", "0.45 MB/s"]),
        ("ssd-4k", ["39.06 MiB/s", "40.96 MB/s"]),
        ("in-order", ["1.6 h and 0.5 h"]),
        ("much-faster", ["13 times on the SSD", "377 times on the hard disk"]),
        ("packing-bound", ["105 images/s", "237", "4,385", "74 vCPU"]),
        ("longer-cycle", ["23.2 h", "2.1 h"]),
        ("cheapest-disk", ["0.35 MB/s", "12.6 MB/s", "27 MB/s"]),
        ("gpu-stall", ["102 images/s", "170", "3,225"]),
        ("backup-time", ["0.5 h", "3.3 h"]),
        ("fine-tuning", ["25 minutes"]),
    ],
)
def test_reasons_carry_their_figures(verdicts: dict[str, Verdict], claim: str, figures: list[str]):
    why = verdicts[claim].why
    assert [figure for figure in figures if figure not in why] == []


def test_what_only_a_measurement_can_settle(verdicts: dict[str, Verdict]):
    undecided = [v.id for v in verdicts.values() if v.verdict == "cannot be computed here"]
    assert undecided == [
        *("fewer-rounds", "accuracy", "download", "pack-train", "resize"),
        *("in-order", "threads", "backup-time", "fine-tuning"),
    ]


@pytest.mark.parametrize("chapter", runner.find_chapters([]), ids=lambda path: path.stem)
def test_a_chapter_shows_the_verdicts_on_its_claims_once(chapter: Path):
    number = int(chapter.name[:2])
    own = [claim.id for claim in claims().values() if claim.chapter == number]
    cells = nbformat.read(chapter, as_version=4).cells
    code = "\n".join(cell.source for cell in cells if cell.cell_type == "code")
    shown = [name for call in SHOWN.findall(code) for name in re.findall('"(.+?)"', call)]
    assert sorted(shown) == sorted(own)


@pytest.mark.parametrize(
    ("claim", "says"),
    [
        (
            "random-hdd",
            "> *The note claims:* Reading 1 TB in random 4K pieces takes a hard disk (0.43 MB/s) "
            "677 hours. It says “677 hours”.\n>\n> **Agrees: 677.4 h.** Right in binary units: "
            "1 TiB at 0.43 MiB/s. In decimal ones it is 646 h. It charges a seek for every 4 KiB.",
        ),
        (
            "crop",
            "> *The article claims:* Most models take images of 224 x 244 pixels. It says "
            "“224x244”.\n>\n> **Differs: 224 pixels, 0.918 times what is printed.** A slip of the "
            "pen: the models take squares, 224 × 224.",
        ),
        (
            "download",
            "> *The article claims:* Downloading the 150 GB took about five days. It says “about "
            "5 days”.\n>\n> **Cannot be computed here.** It is 0.35 MB/s on average. Put in the "
            "rate of your own line.",
        ),
    ],
)
def test_a_verdict_in_words(claim: str, says: str):
    assert course.verdict(claim).data == says


def test_verdicts_stand_apart():
    both = course.verdict("download", "crop").data
    assert both == f"{course.verdict('download').data}\n\n{course.verdict('crop').data}"
    with pytest.raises(KeyError, match="no claim dragon"):
        course.verdict("crop", "dragon")


def test_selection():
    assert [v.id for v in recompute(chapter=5)] == ["deploy", "backup-time"]
    assert [v.id for v in recompute(["crop", "random-ssd"])] == ["crop", "random-ssd"]
    assert [v.id for v in recompute(["crop", "random-ssd"], chapter=3)] == ["random-ssd"]
    with pytest.raises(KeyError, match="no claim dragon; there are random-hdd, "):
        recompute(["crop", "dragon"])
