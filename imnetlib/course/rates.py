"""How fast networks were trained, by whom and on what (chapter 10)."""

from __future__ import annotations

import csv
from dataclasses import dataclass

from imnetlib.catalog import data_file


@dataclass(frozen=True, slots=True)
class Rate:
    """A row of ``training_rates.tsv``; ``images_per_s``, of all GPUs, is None where not told."""

    network: str
    images_per_s: float | None
    gpus: int
    machine: str
    date: str
    precision: str
    pixels: str
    source: str

    @property
    def is_ours(self) -> bool:
        """Whether this project measured it; else somebody published it."""
        return not self.source.startswith("published")


def training_rates() -> list[Rate]:
    """The rates, each with its machine and date, in the order of the table (chapter 10)."""
    with data_file("training_rates.tsv").open(encoding="utf-8", newline="") as table:
        rows = list(csv.DictReader(table, delimiter="\t"))
    rates = []
    for row in rows:
        told = row.pop("images_per_s")
        gpus = int(row.pop("gpus"))
        rates.append(Rate(images_per_s=float(told) if told else None, gpus=gpus, **row))
    return rates
