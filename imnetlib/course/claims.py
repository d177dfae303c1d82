"""What the course's two sources claim, recomputed: what agrees and what differs (all chapters).

``data/claims.tsv`` holds the claims, ``findings`` has a function for each.
"""

from __future__ import annotations

import csv
import functools
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

from imnetlib.catalog import data_file
from imnetlib.course.findings import JUDGES

__all__ = ["Claim", "Verdict", "claims", "recompute"]

Outcome = Literal["agrees", "differs", "cannot be computed here"]

# The sources round to one or two digits.
TOLERANCE = 0.05


@dataclass(frozen=True, slots=True)
class Claim:
    """A row of ``claims.tsv``: ``quoted`` as printed, ``value`` in ``unit`` if it is one number."""

    id: str
    source: str
    chapter: int
    quoted: str
    value: float | None
    unit: str
    claim: str


@dataclass(frozen=True, slots=True)
class Verdict:
    """A claim beside the computed value; ``ratio`` is computed / claimed, None without both.

    Where a claim is a bound ("more than 1 TB"), it agrees as soon as it holds, however far away.
    """

    id: str
    claimed: float | None
    computed: float | None
    unit: str
    ratio: float | None
    verdict: Outcome
    why: str


@functools.cache
def claims() -> dict[str, Claim]:
    """All claims by id, in the order of the table."""
    with data_file("claims.tsv").open(encoding="utf-8", newline="") as table:
        rows = csv.DictReader(table, delimiter="\t", quoting=csv.QUOTE_NONE)
        return {row["id"]: _claim(row) for row in rows}


def _claim(row: dict[str, str]) -> Claim:
    value = float(row["value"]) if row["value"] else None
    chapter = int(row["chapter"])
    return Claim(row["id"], row["source"], chapter, row["quoted"], value, row["unit"], row["claim"])


def recompute(ids: Iterable[str] | None = None, chapter: int | None = None) -> list[Verdict]:
    """The verdicts on the claims ``ids`` (all for None), those of ``chapter`` if one is given.

    KeyError for an unknown id.
    """
    wanted = list(claims() if ids is None else ids)
    unknown = [name for name in wanted if name not in claims()]
    if unknown:
        raise KeyError(f"no claim {', '.join(unknown)}; there are {', '.join(claims())}")
    chosen = [claims()[name] for name in wanted]
    return [_verdict(claim) for claim in chosen if chapter in (None, claim.chapter)]


def _verdict(claim: Claim) -> Verdict:
    claimed = {name: c.value for name, c in claims().items() if c.value is not None}
    computed, why, holds = JUDGES[claim.id](claimed)
    ratio = None
    outcome: Outcome = "cannot be computed here"
    if computed is not None:
        ratio = computed / claimed[claim.id]
        if holds is None:
            holds = abs(ratio - 1) <= TOLERANCE
        outcome = "agrees" if holds else "differs"
    return Verdict(claim.id, claim.value, computed, claim.unit, ratio, outcome, why)
