"""What a deployment has in EC2, found by its tag, and what that has cost (chapter 5)."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

from imnetlib.arguments import require
from imnetlib.cloud.ec2_requests import FILLS, FOR, TAG, require_name
from imnetlib.cloud.pricing import Cost, machine_cost, snapshot_cost, volume_cost
from imnetlib.cloud.refusals import one_sentence
from imnetlib.throughput import GIB

# Machines that are there, or will be in a moment; and those that cost money.
_ALIVE = ("pending", "running", "stopping", "stopped")
_PAID = ("pending", "running")
# Where EC2 has the id of a thing, and when it came to be.
_KEYS = {
    "instance": ("InstanceId", "LaunchTime"),
    "volume": ("VolumeId", "CreateTime"),
    "snapshot": ("SnapshotId", "StartTime"),
}


@dataclass(frozen=True, slots=True)
class Resource:
    """A machine, a volume or a snapshot of a deployment, as EC2 describes it now.

    ``kind`` is "instance", "volume" or "snapshot", ``role`` what it is for, ``details`` EC2's own
    description. ``cost`` is to be paid from ``since``, for a machine its last start, until now, or
    until ``ended``; that is None too where EC2 does not tell when a machine ended.
    """

    kind: str
    id: str
    deployment: str
    role: str
    state: str
    since: datetime
    cost: Cost
    details: dict[str, Any] = field(repr=False)
    ended: datetime | None = None

    @property
    def is_alive(self) -> bool:
        """Whether it is there to be used or taken down: a machine that ended stays in the list."""
        return self.kind != "instance" or self.state in _ALIVE

    @property
    def is_charged(self) -> bool:
        """Whether it costs money now; a machine's disks do that also while it is stopped."""
        return self.kind != "instance" or self.state in _PAID

    def so_far(self, now: datetime) -> float | None:
        """Dollars until ``now``; None where the price, or the end of a machine, is unknown."""
        until = now if self.is_charged else self.ended
        if until is None or self.cost.dollars is None:
            return None
        return self.cost.dollars * max(0.0, (until - self.since).total_seconds() / 3600)


@one_sentence()
def list_resources(ec2: Any, name: str | None = None, kind: str = "") -> list[Resource]:
    """All that carries the tag of a deployment, or of any for None, oldest first (chapter 5).

    With ``kind``, "instance", "volume" or "snapshot", only those: one request in place of three.
    The name is compared letter by letter: EC2's own filters would take * and ? in it for others'.
    """
    if name is not None:
        require_name(name)
    listers = {"instance": _instances, "volume": _volumes, "snapshot": _snapshots}
    require(not kind or kind in listers, f"kind is {', '.join(listers)} or empty", kind)
    region = ec2.meta.region_name
    chosen_listers = [listers[kind]] if kind else listers.values()
    found = [one for lister in chosen_listers for one in lister(ec2, region)]
    chosen = [one for one in found if name is None or one.deployment == name]
    return sorted(chosen, key=lambda one: (one.deployment, one.since, one.id))


def tags_of(details: dict[str, Any]) -> dict[str, str]:
    """The tags in EC2's description of something."""
    return {tag["Key"]: tag["Value"] for tag in details.get("Tags", [])}


def _tagged(ec2: Any, operation: str, key: str, **others: Any) -> Iterator[dict[str, Any]]:
    filters = [{"Name": "tag-key", "Values": [TAG]}]
    for page in ec2.get_paginator(operation).paginate(Filters=filters, **others):
        yield from page[key]


def _instances(ec2: Any, region: str) -> Iterator[Resource]:
    for reservation in _tagged(ec2, "describe_instances", "Reservations"):
        for one in reservation["Instances"]:
            state = one["State"]["Name"]
            found = _resource("instance", one, state, machine_cost(region, one["InstanceType"]))
            yield replace(found, ended=_end(one))


def _end(instance: dict[str, Any]) -> datetime | None:
    """When a machine was stopped or terminated: EC2 has it in a text alone."""
    reason = instance.get("StateTransitionReason", "")
    told = re.search(r"\((\d{4}-\d\d-\d\d \d\d:\d\d:\d\d) (?:GMT|UTC)\)", reason)
    return datetime.fromisoformat(f"{told[1]}+00:00") if told else None


def _volumes(ec2: Any, region: str) -> Iterator[Resource]:
    for one in _tagged(ec2, "describe_volumes", "Volumes"):
        # moto tells of no Throughput.
        cost = volume_cost(region, one["VolumeType"], one["Size"], one.get("Throughput"))
        yield _resource("volume", one, one["State"], cost)


def _snapshots(ec2: Any, region: str) -> Iterator[Resource]:
    for one in _tagged(ec2, "describe_snapshots", "Snapshots", OwnerIds=["self"]):
        # Without it, at most as much as the volume has.
        n_bytes = one.get("FullSnapshotSizeInBytes") or one["VolumeSize"] * GIB
        yield _resource("snapshot", one, one["State"], snapshot_cost(region, n_bytes))


def _resource(kind: str, details: dict[str, Any], state: str, cost: Cost) -> Resource:
    tags = tags_of(details)
    role = kind
    if kind == "instance" and FILLS in tags:
        role = f"fills {tags[FILLS]}"
    elif kind == "volume" and FOR in tags:
        role = f"extra volume for {tags[FOR]}"
    elif kind == "volume" and details.get("SnapshotId"):
        role = "volume of a machine"
    id_key, since_key = _KEYS[kind]
    since = details[since_key]
    return Resource(kind, details[id_key], tags[TAG], role, state, since, cost, details)
