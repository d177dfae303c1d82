"""Calls of EC2 that several steps of a deployment make, each safe to be made again (chapter 5)."""

from __future__ import annotations

import hashlib
import json
import time
from typing import Any

from imnetlib.arguments import require
from imnetlib.cloud.ec2_requests import TAG
from imnetlib.cloud.inventory import Resource, tags_of
from imnetlib.cloud.refusals import DeployError

_POLL_SECONDS = 15
# How long the same request has the same ClientToken.
_TOKEN_SECONDS = 600


def create(ec2: Any, name: str, request: dict[str, Any], known: list[Resource]) -> dict[str, Any]:
    """A new volume; ``known`` are those of the deployment, that the token tells it from."""
    _require_tagged(name, request)
    token = _token("CreateVolume", request, known)
    return dict(ec2.create_volume(**request, ClientToken=token))


def run(
    ec2: Any, name: str, request: dict[str, Any], known: list[Resource], count: int
) -> list[str]:
    """The ids of ``count`` new machines; ``known`` are those of the deployment."""
    _require_tagged(name, request)
    counted = request | {"MinCount": count, "MaxCount": count}
    token = _token("RunInstances", counted, known)
    started = ec2.run_instances(**counted, ClientToken=token)
    return [instance["InstanceId"] for instance in started["Instances"]]


def ready_volume(ec2: Any, volume: dict[str, Any]) -> str:
    """The id of a volume, once it is made."""
    volume_id = str(volume["VolumeId"])
    if volume["State"] == "creating":
        wait(ec2, "volume_available", 1, volume_id, VolumeIds=[volume_id])
    return volume_id


def attach(ec2: Any, volume: str, machine: str, device: str) -> None:
    """Attach a volume unless it is attached there; DeployError if it is attached elsewhere."""
    holders = holders_of(ec2, volume)
    require_free(volume, holders, machine)
    if not holders:
        ec2.attach_volume(VolumeId=volume, InstanceId=machine, Device=device)


def holders_of(ec2: Any, volume: str) -> set[str]:
    """The machines that a volume is attached to."""
    (found,) = ec2.describe_volumes(VolumeIds=[volume])["Volumes"]
    return {end["InstanceId"] for end in found.get("Attachments", [])}


def require_free(volume: str, holders: set[str], *allowed: str) -> None:
    """DeployError if a volume is attached to another machine than those that are allowed."""
    others = ", ".join(sorted(holders.difference(allowed)))
    if others:
        raise DeployError(f"{volume} is attached to {others}: detach it there first")


def pause() -> None:
    """Before EC2 is asked the same again."""
    time.sleep(_POLL_SECONDS)


def wait(ec2: Any, waiter: str, hours: float, left: str, **ids: list[str]) -> None:
    """Wait for a state; DeployError, when it does not come, names what is there and costs money."""
    from botocore.exceptions import WaiterError

    attempts = max(1, round(hours * 3600 / _POLL_SECONDS))
    config = {"Delay": _POLL_SECONDS, "MaxAttempts": attempts}
    try:
        ec2.get_waiter(waiter).wait(**ids, WaiterConfig=config)
    except WaiterError as error:
        wanted = waiter.replace("_", " ")
        raise DeployError(
            f"EC2 does not come to {wanted!r} within {hours:g} hours ({error}): {left} exists and "
            "costs money; the same command waits on, and imnet deploy tidy takes it down"
        ) from error


def _require_tagged(name: str, request: dict[str, Any]) -> None:
    """ValueError unless all that a request makes carries the tag of the deployment."""
    for made in request.get("TagSpecifications", [{}]):
        of = tags_of(made).get(TAG)
        require(of == name, f"the request must be one of the deployment {name!r}", of)


def _token(operation: str, request: dict[str, Any], known: list[Resource]) -> str:
    """The same for the same request within minutes, if nothing was made or has ended meanwhile."""
    period = int(time.time() / _TOKEN_SECONDS)
    state = [operation, request, sorted(one.id for one in known), period]
    return hashlib.sha256(json.dumps(state, sort_keys=True).encode()).hexdigest()
