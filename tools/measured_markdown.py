"""One table of measured figures for each job, as Markdown."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from functools import partial

from results import Table, Way, number

# Columns of figures that fit beside each other; of more, ways become the columns.
MOST_COLUMNS = 7


def job_table(tables: Sequence[Table]) -> str:
    """A row for each way and a column for each of the tables; or a line, of one way.

    Tables of one unit that all say ``what`` are a series, as of sizes: each cell has the ratios and
    the spread in brackets. Else the ratios and the spread of the first have columns of their own,
    and the others go without a spread. Where there are more tables of a series than ways, or more
    columns than fit, ways are the columns.
    """
    names = list(dict.fromkeys(way.name for table in tables for way in table.ways))
    first, *others = tables
    if len(names) == 1:
        told = [f"{each.what} {cell(each, names[0])} {each.unit}".strip() for each in tables]
        return f"{escaped(names[0])}: {escaped('; '.join(told))}\n"
    series = all(table.what and table.unit == first.unit for table in tables)
    columns = [] if series else [*columns_of(first)]
    if series:
        columns += [(table.what, partial(cell, table, spread=True)) for table in tables]
    else:
        columns += [(f"{table.what}, {unit(table)}", partial(beside, table)) for table in others]
    corner = unit(first) + f" (× {first.peer})" * bool(first.peer) if series else ""
    lines = [[corner, *(head for head, _ in columns)]]
    for name in names:
        marked = name + " (the limit)" * (name == first.limit)
        lines.append([marked, *(content(name) for _, content in columns)])
    if len(columns) > (len(names) if series else MOST_COLUMNS):
        lines = [list(line) for line in zip(*lines, strict=True)]
    return as_markdown(lines, "---:")


def as_markdown(lines: Sequence[Sequence[str]], side: str = "---") -> str:
    """A table, its first line the head; "---:" puts all columns but the first at the right."""
    rows = [f"| {' | '.join(escaped(part) for part in line)} |" for line in lines]
    return "\n".join([rows[0], "|---" + f"|{side}" * (len(lines[0]) - 1) + "|", *rows[1:], ""])


def escaped(text: str) -> str:
    """``text`` as Markdown in a cell, a sign on one line with its number."""
    one_line = re.sub(r"([|*_`<\[])", r"\\\1", " ".join(text.split()))
    return re.sub(r" (?=[%↑↓×]|dB)|(?<=×) |(?<=spread) ", "\N{NO-BREAK SPACE}", one_line)


def unit(table: Table) -> str:
    """The unit, and which way is better."""
    return f"{table.unit} {'↓' if table.less_is_better else '↑'}"


def columns_of(table: Table) -> Iterator[tuple[str, Callable[[str], str]]]:
    """Head and cells of the median, the ratios and the spread."""

    def of_values(tell: Callable[[Way], str]) -> Callable[[str], str]:
        told = {way.name: tell(way) for way in table.ways if way.values}
        return lambda name: told.get(name, "")

    yield ", ".join(filter(None, (table.what, unit(table)))), partial(median, table)
    if table.peer and table.way(table.peer).values:
        yield f"× {table.peer}", of_values(lambda way: times(table.ratio(way.name, table.peer)))
    if table.limit and table.way(table.limit).values:
        yield "of the limit", of_values(lambda way: share(table, way.name))
    if any(len(way.values) > 1 for way in table.ways):
        yield "spread", of_values(lambda way: f"{100 * way.spread:.0f} %")


def times(ratio: float) -> str:
    """A ratio in two decimals, from 10 on in three digits."""
    return f"{ratio:.2f}" if ratio < 10 else number(ratio)


def share(table: Table, name: str) -> str:
    """The share of the limit."""
    return f"{100 * table.ratio(name, table.limit):.0f} %"


def median(table: Table, name: str) -> str:
    """A way's figure, why there is none, or a dash."""
    found = [way for way in table.ways if way.name == name]
    if not found:
        return "–"
    return number(found[0].median) if found[0].values else f"cannot run: {found[0].failure}"


def cell(table: Table, name: str, *, spread: bool = False) -> str:
    """A way's figure, with the ratios, and the ``spread`` if that is asked for, in brackets."""
    values = {way.name: way.values for way in table.ways}
    about = []
    if values.get(name):
        if values.get(table.peer) and name != table.peer:
            about.append(f"{times(table.ratio(name, table.peer))} ×")
        if values.get(table.limit) and name != table.limit:
            about.append(f"{share(table, name)} of the limit")
        if spread and len(values[name]) > 1:
            about.append(f"spread {100 * table.way(name).spread:.0f} %")
    return median(table, name) + (f" ({', '.join(about)})" if about else "")


def beside(table: Table, name: str) -> str:
    """A further figure of a way; why there is none stands beside it."""
    failed = any(way.name == name and not way.values for way in table.ways)
    return "" if failed else cell(table, name)
