"""A small machine fills the volume from a backup, proves it, and ends itself (chapter 5)."""

from __future__ import annotations

import re
from typing import Any

from imnetlib.cloud.ec2_calls import attach, holders_of, require_free, run, wait
from imnetlib.cloud.ec2_requests import FILLS
from imnetlib.cloud.inventory import Resource, list_resources, tags_of
from imnetlib.cloud.refusals import DeployError, one_sentence
from imnetlib.cloud.scripts import DEVICE, MARK

# Characters of what a filling machine printed last.
_LAST_WORDS = 600


@one_sentence()
def fill_volume(
    ec2: Any, name: str, volume: str, request: dict[str, Any], hours: float = 24
) -> int:
    """Let a machine fill ``volume`` and end itself; the bytes that are on it then (chapter 5).

    ``request`` is of ``filling_request``. A volume that has the mark of its filling is left alone.
    A machine that fills it already is waited for; one that failed is followed by another. Waits up
    to ``hours``. DeployError when the machine ends without the mark, with what it printed last, and
    for a volume that is attached elsewhere.
    """
    done = filled_bytes(ec2, volume)
    if done is not None:
        return done
    machines = list_resources(ec2, name, "instance")
    machine = filling_machine(ec2, volume, machines)
    if not machine:
        if holders_of(ec2, volume):
            # Of a machine that has ended, which lets go of it in a moment.
            wait(ec2, "volume_available", 1, volume, VolumeIds=[volume])
        (machine,) = run(ec2, name, request, machines, 1)
    left = f"{machine} and {volume}"
    wait(ec2, "instance_running", 1, left, InstanceIds=[machine])
    attach(ec2, volume, machine, DEVICE)
    wait(ec2, "instance_terminated", hours, left, InstanceIds=[machine])
    wait(ec2, "volume_available", 1, volume, VolumeIds=[volume])
    done = filled_bytes(ec2, volume, machine)
    if done is None:
        raise DeployError(_how_it_ended(ec2, volume, machine))
    return done


def filling_machine(ec2: Any, volume: str, machines: list[Resource]) -> str:
    """The id of that of a deployment's ``machines`` which fills ``volume``; empty without one.

    DeployError for one that was stopped, since a script runs at the first start only, and for a
    volume that is attached to another machine that is there.
    """
    ended = [one.id for one in machines if not one.is_alive]
    ours = [m for m in machines if m.is_alive and tags_of(m.details).get(FILLS) == volume]
    for one in ours:
        if one.state in ("stopping", "stopped"):
            raise DeployError(
                f"{one.id}, which fills {volume}, was stopped and will not go on: terminate it, "
                "and the same command starts another"
            )
    require_free(volume, holders_of(ec2, volume), *ended, *(one.id for one in ours))
    return ours[0].id if ours else ""


@one_sentence()
def filled_bytes(ec2: Any, volume: str, machine: str = "") -> int | None:
    """The bytes of files by the mark of a filling, of ``machine`` if given; None without one."""
    (found,) = ec2.describe_volumes(VolumeIds=[volume])["Volumes"]
    filler, _, said = tags_of(found).get(MARK, "").partition(" ")
    proved = re.fullmatch("ok ([0-9]+)", said)
    return int(proved[1]) if proved and machine in ("", filler) else None


def _how_it_ended(ec2: Any, volume: str, machine: str) -> str:
    (found,) = ec2.describe_volumes(VolumeIds=[volume])["Volumes"]
    filler, _, said = tags_of(found).get(MARK, "").partition(" ")
    reason = said if filler == machine else "it left no mark: has its profile ec2:CreateTags?"
    words = ec2.get_console_output(InstanceId=machine).get("Output", "")
    last = " ".join(words.split())[-_LAST_WORDS:] or "nothing that EC2 has yet"
    return (
        f"{machine} ended and {volume} is not filled ({reason}); the same command tries again, and "
        f"goes on from what is there. It printed last: {last}"
    )
