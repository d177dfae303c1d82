"""Results of a chapter, for readers and for tests: records, tables, verdicts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from imnetlib.course.claims import Claim, Verdict, claims, recompute

RECORD_TYPE = "application/vnd.imnetlib.record+json"


def record(showed: str, **values: float | str | list[float]) -> None:
    """Display the sentence ``showed``, a chapter's result, and keep ``values`` in the notebook.

    ``imnet run`` prints the sentence beside the chapter's name; tests read the values back.
    """
    from IPython.display import display

    display({RECORD_TYPE: {"showed": showed, **values}, "text/plain": showed}, raw=True)


def recorded(notebook: Mapping[str, Any]) -> dict[str, Any]:
    """All that an executed notebook recorded; of two values with one name the later."""
    values: dict[str, Any] = {}
    for cell in notebook["cells"]:
        for output in cell.get("outputs", ()):
            values |= output.get("data", {}).get(RECORD_TYPE, {})
    return values


def table(rows: Sequence[Mapping[str, Any]]) -> Any:
    """``rows`` as a Markdown table: columns named by the first row's keys, numbers on the right."""
    from IPython.display import Markdown

    if not rows:
        return Markdown("(nothing to show)")
    rules = ["---:" if isinstance(value, int | float) else ":---" for value in rows[0].values()]
    lines = [list(rows[0]), rules]
    for row in rows:
        lines.append([_cell(value) for value in row.values()])
    return Markdown("\n".join(f"| {' | '.join(line)} |" for line in lines))


def _cell(value: Any) -> str:
    """Whole numbers in full, others with three significant digits; bars in texts escaped."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"
    return f"{value:,}" if isinstance(value, int) else str(value).replace("|", "\\|")


def verdicts(judged: Sequence[Verdict]) -> Any:
    """The sources' claims beside what arithmetic says, as a table."""
    rows = []
    for verdict in judged:
        claim = claims()[verdict.id]
        rows.append(
            {
                "claim": f"{claim.claim} ({claim.source})",
                "computed": _computed(verdict) or "–",
                "verdict": verdict.verdict,
                "why": verdict.why,
            }
        )
    return table(rows)


def verdict(*ids: str) -> Any:
    """What became of claims of the sources, one paragraph each (chapter 3).

    KeyError for an id that ``data/claims.tsv`` does not have.
    """
    from IPython.display import Markdown

    told = [_told(claims()[found.id], found) for found in recompute(ids)]
    return Markdown("\n\n".join(told))


def _told(claim: Claim, found: Verdict) -> str:
    """A claim, what the source prints, the computed figure, the verdict and the reason."""
    says = f"> *The {claim.source} claims:* {claim.claim}. It says “{claim.quoted}”."
    outcome = found.verdict.capitalize()
    if computed := _computed(found):
        outcome += f": {computed}"
    if found.verdict == "differs" and found.ratio is not None:
        outcome += f", {found.ratio:.3g} times what is printed"
    return f"{says}\n>\n> **{outcome}.** {found.why}"


def _computed(found: Verdict) -> str:
    """A figure with its unit, a share in percent; "" where there is none."""
    if found.computed is None:
        return ""
    if found.unit.startswith("of "):
        return f"{100 * found.computed:.3g} % {found.unit}"
    return f"{found.computed:,.4g} {found.unit}"
