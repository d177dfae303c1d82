"""What a request to EC2 costs, by a dated table of list prices (chapter 5).

``data/aws_prices.tsv`` has a row a price, each with its date and source. What it does not have is
unknown, never guessed: dollars are None. Taxes, discounts, transfer between zones and the disk that
a machine starts from are in no figure.
"""

from __future__ import annotations

import csv
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any

from imnetlib.catalog import data_file
from imnetlib.throughput import GB, GIB

# As AWS counts a month in its own examples.
HOURS_A_MONTH = 730
# MiB/s that each gp3 volume has without a charge.
GP3_THROUGHPUT = 125


@dataclass(frozen=True, slots=True)
class Price:
    """A row of ``aws_prices.tsv``: dollars for one ``unit`` of ``item``, on a date, by a source."""

    region: str
    item: str
    unit: str
    dollars: float
    date: str
    source: str


@dataclass(frozen=True, slots=True)
class Cost:
    """What one thing costs: dollars by the ``unit`` "hour" or "once"; None where unknown."""

    what: str
    dollars: float | None
    unit: str = "hour"

    @property
    def monthly(self) -> float | None:
        """Dollars in a month of 730 hours; None where unknown, and for what is paid once."""
        if self.dollars is None or self.unit != "hour":
            return None
        return self.dollars * HOURS_A_MONTH


@cache
def prices(region: str) -> dict[str, Price]:
    """The list prices of a region, by item, such as "gp3" or "g5.xlarge" (chapter 5)."""
    with data_file("aws_prices.tsv").open(encoding="utf-8", newline="") as table:
        rows = list(csv.DictReader(table, delimiter="\t"))
    known = [Price(dollars=float(row.pop("dollars")), **row) for row in rows]
    return {price.item: price for price in known if price.region == region}


def request_costs(
    operation: str,
    request: Mapping[str, Any],
    region: str,
    snapshot_gib: int = 0,
    snapshot_bytes: int = 0,
) -> list[Cost]:
    """What will be paid for the answer to a request, part by part (chapter 5).

    Args:
        operation: of boto3's client: "create_volume", "run_instances" or "create_snapshot"; any
            other makes nothing that costs.
        request: its arguments.
        region: where; another price in each.
        snapshot_gib: size of the volume that a snapshot was taken of; that of its copies. 0 where
            it is not known, and the price neither.
        snapshot_bytes: what was written to it, which a snapshot is charged for; 0 likewise.
    """
    if operation == "create_volume":
        return _volume_costs(request, region, 1, snapshot_gib, snapshot_bytes)
    if operation == "create_snapshot":
        known = snapshot_cost(region, snapshot_bytes)
        return [known if snapshot_bytes else Cost("a snapshot", None)]
    if operation != "run_instances":
        return []
    count = request["MaxCount"]
    costs = [machine_cost(region, request["InstanceType"], count)]
    for mapping in request.get("BlockDeviceMappings", []):
        costs += _volume_costs(mapping["Ebs"], region, count, snapshot_gib, snapshot_bytes)
    return costs


def machine_cost(region: str, instance_type: str, count: int = 1) -> Cost:
    """What ``count`` machines cost while they run."""
    return Cost(f"{count} x {instance_type}", _dollars(region, instance_type, count))


def volume_cost(
    region: str, volume_type: str, gib: int, throughput: int | None = None, count: int = 1
) -> Cost:
    """What ``count`` volumes cost, with all of their throughput; reading and writing are free."""
    gibibytes = _by_the_hour(region, volume_type, count * gib)
    extra = (throughput or GP3_THROUGHPUT) - GP3_THROUGHPUT if volume_type == "gp3" else 0
    faster = _by_the_hour(region, "gp3 throughput", count * extra) if extra else 0.0
    what = f"{count} x {gib:,} GiB {volume_type}"
    if extra:
        what = f"{what} at {throughput} MiB/s"
    return Cost(what, None if gibibytes is None or faster is None else gibibytes + faster)


def snapshot_cost(region: str, n_bytes: int) -> Cost:
    """What a snapshot costs at most: blocks of zeros, and what it shares, are not charged for."""
    gib = n_bytes / GIB
    return Cost(f"snapshot of {gib:,.1f} GiB", _by_the_hour(region, "snapshot", gib))


def backup_cost(region: str, n_bytes: int) -> Cost:
    """What a backup in S3 costs (chapter 5)."""
    gigabytes = n_bytes / GB
    return Cost(f"{gigabytes:,.1f} GB in S3", _by_the_hour(region, "S3 Standard", gigabytes))


def total_cost(costs: Iterable[Cost], unit: str) -> tuple[float, list[str]]:
    """The sum of what is known of one unit, and what is not known."""
    chosen = [cost for cost in costs if cost.unit == unit]
    unknown = [cost.what for cost in chosen if cost.dollars is None]
    return sum(cost.dollars or 0.0 for cost in chosen), unknown


def _dollars(region: str, item: str, amount: float) -> float | None:
    price = prices(region).get(item)
    return None if price is None else amount * price.dollars


def _by_the_hour(region: str, item: str, amount: float) -> float | None:
    """Dollars an hour for an amount that is priced by the month."""
    return _dollars(region, item, amount / HOURS_A_MONTH)


def _volume_costs(
    request: Mapping[str, Any], region: str, count: int, snapshot_gib: int, snapshot_bytes: int
) -> list[Cost]:
    gib = request.get("Size", snapshot_gib)
    volume_type = request["VolumeType"]
    known = volume_cost(region, volume_type, gib, request.get("Throughput"), count)
    costs = [known if gib else Cost(f"{count} x {volume_type}", None)]
    rate = request.get("VolumeInitializationRate")
    if rate:
        item = f"initialization at {rate} MiB/s"
        dollars = _dollars(region, item, count * snapshot_bytes / GIB)
        costs.append(Cost(f"{count} x {item}", dollars if snapshot_bytes else None, "once"))
    return costs
