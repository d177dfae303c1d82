"""What the tests of deployments share: requests, and a machine that does what its script would."""

from __future__ import annotations

import time
from typing import Any

from imnetlib import cloud

GIB = 2**30
SCRIPT = cloud.mount_script("imagenet", "/data")
MACHINE = cloud.Machine("ami-1", "g5.xlarge")
FILLER = cloud.Machine("ami-1", "t3.large", instance_profile="")


def launch_request(name: str, snapshot: str = "snap-1", **changes: Any) -> dict[str, Any]:
    settings = {"count": 2, "rate": 300} | changes
    script = settings.pop("script", SCRIPT)
    return cloud.launch_request(name, snapshot, script, MACHINE, **settings)


def deployed(ec2: Any, name: str) -> tuple[str, str, list[str]]:
    """A volume, its snapshot and two machines."""
    volume = cloud.create_volume(ec2, name, cloud.volume_request(name, 5 * GIB, "eu-west-1a"))
    snapshot = cloud.snapshot_volume(ec2, name, volume, 5 * GIB)
    return volume, snapshot, cloud.launch(ec2, name, launch_request(name, snapshot))


def tags_of(details: dict[str, Any]) -> dict[str, str]:
    return {tag["Key"]: tag["Value"] for tag in details.get("Tags", [])}


def act_as_filler(ec2: Any, name: str, says: str | None) -> None:
    """Do what the script of a filling machine would: wait for the volume, mark it, end."""
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        for one in cloud.list_resources(ec2, name, "instance"):
            volume = tags_of(one.details).get("imnetlib-fills")
            if volume is None or one.state != "running":
                continue
            (found,) = ec2.describe_volumes(VolumeIds=[volume])["Volumes"]
            if found.get("Attachments"):
                mark = {"Key": "imnetlib-filled", "Value": f"{one.id} {says}"}
                if says is not None:
                    ec2.create_tags(Resources=[volume], Tags=[mark])
                ec2.terminate_instances(InstanceIds=[one.id])
                return
        time.sleep(0.05)
    raise AssertionError("no machine has come to fill a volume")
