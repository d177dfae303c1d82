"""Results of a chapter, for readers and for tests: records, tables, verdicts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from imnetlib.course.claims import Verdict, claims

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
        computed = "–" if verdict.computed is None else f"{verdict.computed:,.4g} {verdict.unit}"
        rows.append(
            {
                "claim": f"{claim.claim} ({claim.source})",
                "computed": computed,
                "verdict": verdict.verdict,
                "why": verdict.why,
            }
        )
    return table(rows)
