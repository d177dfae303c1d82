"""Every claim of the sources has its sum, and the sums come out as they do on paper."""

from __future__ import annotations

import pytest

from imnetlib.course.claims import TIME_AND_RATE, Verdict, claims, recompute
from imnetlib.course.findings import JUDGES


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
        ("fewer-rounds", 99.73, "differs"),
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
        *("accuracy", "download", "pack-train", "resize"),
        *("in-order", "threads", "backup-time", "fine-tuning"),
    ]


def test_chapter_3_judges_all_that_is_about_time_or_rate():
    of_size_and_quality = {"raw-size", "memory", "accuracy", "resize", "crop"}
    assert set(TIME_AND_RATE) == set(claims()) - of_size_and_quality


def test_selection():
    assert [v.id for v in recompute(chapter=5)] == ["deploy"]
    assert [v.id for v in recompute(["crop", "random-ssd"])] == ["crop", "random-ssd"]
    assert [v.id for v in recompute(["crop", "random-ssd"], chapter=3)] == ["random-ssd"]
    with pytest.raises(KeyError, match="no claim dragon; there are random-hdd, "):
        recompute(["crop", "dragon"])
