"""Volumes, snapshots and machines, with moto; what moto lacks, from AWS's reference."""

from __future__ import annotations

import logging
import os
import subprocess
import threading
from types import SimpleNamespace
from typing import Any

import pytest
from botocore.exceptions import EndpointConnectionError
from botocore.stub import ANY, Stubber
from deploying import FILLER, GIB, SCRIPT, act_as_filler, deployed, launch_request

from imnetlib import cloud
from imnetlib.course import aws, open_root


class TestDeployment:
    def test_machines_with_a_volume_of_the_snapshot_each(self, ec2, name):
        volume, snapshot, machines = deployed(ec2, name)
        assert len(set(machines)) == 2
        filters = [{"Name": "snapshot-id", "Values": [snapshot]}]
        copies = ec2.describe_volumes(Filters=filters)["Volumes"]
        assert {copy["Attachments"][0]["InstanceId"] for copy in copies} == set(machines)
        assert {copy["Size"] for copy in copies} == {7}
        (source,) = ec2.describe_volumes(VolumeIds=[volume])["Volumes"]
        assert (source["Size"], source["VolumeType"]) == (7, "gp3")

    def test_user_data_arrive_as_they_were_written(self, ec2, name):
        *_, machines = deployed(ec2, name)
        stored = ec2.describe_instance_attribute(InstanceId=machines[0], Attribute="userData")
        encoded = stored["UserData"]["Value"]
        done = subprocess.run(
            ["base64", "-d"], input=encoded.encode(), capture_output=True, check=True
        )
        assert done.stdout.decode() == SCRIPT

    def test_again_makes_nothing_twice(self, ec2, name):
        first = deployed(ec2, name)
        volume, snapshot, machines = deployed(ec2, name)
        assert (volume, snapshot, sorted(machines)) == (*first[:2], sorted(first[2]))

    @pytest.mark.parametrize(
        ("changes", "message"),
        [
            ({"zone": "eu-west-1b"}, "the AvailabilityZone must be eu-west-1a like that of vol-"),
            ({"volume_type": "sc1"}, "the VolumeType must be gp3 like that of vol-"),
            ({"n_bytes": 50 * GIB}, "has 7 GiB: for more tidy up first, not 56"),
            ({"encrypted": True}, "is not encrypted: tidy up first"),
        ],
    )
    def test_another_volume_than_the_one_that_is_there_is_refused(
        self, ec2, name, changes, message
    ):
        settings = {"name": name, "n_bytes": 5 * GIB, "zone": "eu-west-1a"}
        volume = cloud.create_volume(ec2, name, cloud.volume_request(**settings))
        with pytest.raises(ValueError, match=message):
            cloud.create_volume(ec2, name, cloud.volume_request(**settings | changes))
        smaller = cloud.volume_request(**settings | {"n_bytes": 1})
        assert cloud.create_volume(ec2, name, smaller) == volume

    def test_machines_of_another_kind_than_those_that_run_are_refused(self, ec2, name):
        _, snapshot, machines = deployed(ec2, name)
        other = launch_request(name, snapshot, count=3) | {"InstanceType": "p5.48xlarge"}
        message = "runs already, so the machines must be g5.xlarge, not 'p5.48xlarge'"
        with pytest.raises(ValueError, match=message):
            cloud.launch(ec2, name, other)
        assert {one.id for one in cloud.list_resources(ec2, name, "instance")} == set(machines)

    def test_machines_that_are_gone_are_replaced(self, ec2, name):
        _, snapshot, machines = deployed(ec2, name)
        ec2.terminate_instances(InstanceIds=machines[:1])
        again = cloud.launch(ec2, name, launch_request(name, snapshot))
        assert machines[1] in again
        assert len(again) == 2

    def test_tidy_up_takes_down_this_deployment_and_nothing_else(self, ec2, name):
        others = deployed(ec2, f"{name}-other")
        untagged = ec2.create_volume(AvailabilityZone="eu-west-1a", Size=1)["VolumeId"]
        _, snapshot, machines = deployed(ec2, name)
        everything = {"instances": 2, "volumes": 1, "snapshots": 1}
        assert cloud.tidy_up(ec2, name, [snapshot]) == everything
        assert cloud.tidy_up(ec2, name) == {"instances": 0, "volumes": 0, "snapshots": 0}
        filters = [{"Name": "tag:imnetlib", "Values": [name]}]
        assert ec2.describe_volumes(Filters=filters)["Volumes"] == []
        assert ec2.describe_snapshots(Filters=filters)["Snapshots"] == []
        assert len(ec2.describe_volumes(VolumeIds=[untagged, others[0]])["Volumes"]) == 2
        left = ec2.describe_instances(InstanceIds=[*machines, *others[2]])["Reservations"]
        states = {}
        for reservation in left:
            for instance in reservation["Instances"]:
                states[instance["InstanceId"]] = instance["State"]["Name"]
        assert states == dict.fromkeys(machines, "terminated") | dict.fromkeys(others[2], "running")

    def test_a_volume_on_a_machine_of_someone_else_is_named_and_the_rest_taken_down(
        self, ec2, name
    ):
        volume, _, machines = deployed(ec2, name)
        (other,) = ec2.run_instances(ImageId="ami-1", MinCount=1, MaxCount=1)["Instances"]
        ends = {"VolumeId": volume, "InstanceId": other["InstanceId"]}
        ec2.attach_volume(**ends, Device="/dev/sdg")
        message = rf"charged for: {volume}; detach them, then tidy up again"
        with pytest.raises(cloud.DeployError, match=message):
            cloud.tidy_up(ec2, name)
        (reservation,) = ec2.describe_instances(InstanceIds=machines)["Reservations"]
        states = {machine["State"]["Name"] for machine in reservation["Instances"]}
        assert states == {"terminated"}
        ec2.detach_volume(**ends)
        assert cloud.tidy_up(ec2, name) == {"instances": 0, "volumes": 1, "snapshots": 0}

    def test_a_rehearsal_makes_nothing(self, ec2, name):
        request = cloud.volume_request(name, GIB, "eu-west-1a")
        assert cloud.rehearse(ec2.create_volume, request) == "allowed"
        assert cloud.rehearse(ec2.run_instances, launch_request(name)) == "allowed"
        assert cloud.tidy_up(ec2, name) == {"instances": 0, "volumes": 0, "snapshots": 0}

    def test_a_rehearsal_without_permission_says_so(self, ec2, name):
        with Stubber(ec2) as stub:
            code = "UnauthorizedOperation"
            stub.add_client_error("run_instances", code, "You are not authorized")
            answer = cloud.rehearse(ec2.run_instances, launch_request(name))
        assert answer.startswith(
            "AWS refuses RunInstances (UnauthorizedOperation): these keys lack"
        )

    def test_a_server_that_takes_no_notice_of_a_rehearsal_is_told(self, ec2, name):
        with Stubber(ec2) as stub:
            stub.add_response("create_volume", {"VolumeId": "vol-1"})
            with pytest.raises(cloud.DeployError, match="create_volume took no notice of DryRun"):
                cloud.rehearse(ec2.create_volume, cloud.volume_request(name, 0, "eu-west-1a"))


class TestNames:
    @pytest.mark.parametrize(
        ("pattern", "other"),
        [("team-*", "team-a"), ("team-?", "team-b"), ("*", "all"), ("a\\b", "ab"), ("x[yz]", "xy")],
    )
    def test_a_name_is_taken_literally(self, ec2, pattern, other):
        made = {}
        for name in (pattern, other):
            volume = cloud.create_volume(ec2, name, cloud.volume_request(name, 1, "eu-west-1a"))
            made[name] = {volume, cloud.snapshot_volume(ec2, name, volume, 1)}
        assert made[pattern] & made[other] == set()
        assert {one.id for one in cloud.list_resources(ec2, pattern)} == made[pattern]
        snapshot = cloud.find_snapshot(ec2, pattern).id
        done = cloud.tidy_up(ec2, pattern, [snapshot])
        assert done == {"instances": 0, "volumes": 1, "snapshots": 1}
        assert {one.id for one in cloud.list_resources(ec2, other)} == made[other]

    @pytest.mark.parametrize(
        "wrong", ["", "x" * 257, "aws:mine", "AWS:mine", " a", "a ", "a\tb", "a\nb", "a\0"]
    )
    def test_a_name_that_aws_refuses_is_refused_before(self, ec2, wrong):
        for act in (
            lambda: cloud.volume_request(wrong, 1, "eu-west-1a"),
            lambda: cloud.list_resources(ec2, wrong),
            lambda: cloud.tidy_up(ec2, wrong),
        ):
            with pytest.raises(ValueError, match="a deployment's name"):
                act()

    def test_the_longest_name_and_any_letters_will_do(self, ec2):
        name = "Bilder für 张 " + "x" * 243
        volume = cloud.create_volume(ec2, name, cloud.volume_request(name, 1, "eu-west-1a"))
        assert [one.id for one in cloud.list_resources(ec2, name)] == [volume]


class TestKilledCalls:
    @pytest.mark.parametrize(
        "operation", ["CreateVolume", "CreateSnapshot", "RunInstances", "AttachVolume"]
    )
    def test_after_a_kill_behind_any_request_nothing_is_made_twice(self, ec2, name, operation):
        (other,) = ec2.run_instances(ImageId="ami-1", MinCount=1, MaxCount=1)["Instances"]

        def deploy() -> list[str]:
            _, snapshot, _ = deployed(ec2, name)
            request = cloud.copy_request(name, snapshot, "eu-west-1a", other["InstanceId"])
            cloud.attach_copy(ec2, name, request, other["InstanceId"])
            return sorted(one.id for one in cloud.list_resources(ec2, name))

        def kill(**_: Any) -> None:
            raise KeyboardInterrupt

        # EC2 has done it, and nobody has heard.
        ec2.meta.events.register(f"after-call.ec2.{operation}", kill)
        with pytest.raises(KeyboardInterrupt):
            deploy()
        ec2.meta.events.unregister(f"after-call.ec2.{operation}", kill)
        done = deploy()
        kinds = [one.role for one in cloud.list_resources(ec2, name)]
        copies = f"extra volume for {other['InstanceId']}"
        assert sorted(kinds) == sorted(
            ["volume", "snapshot", *["instance", "volume of a machine"] * 2, copies]
        )
        assert deploy() == done

    def test_the_same_request_has_the_same_token_until_something_was_made(self, ec2, monkeypatch):
        monkeypatch.setattr("imnetlib.cloud.ec2_calls.time", SimpleNamespace(time=lambda: 1e9))
        request = cloud.volume_request("tokens", 1, "eu-west-1a")
        tokens = []

        def note(params: dict[str, Any], **_: Any) -> None:
            tokens.append(params["ClientToken"])

        ec2.meta.events.register("provide-client-params.ec2.CreateVolume", note)
        volume = cloud.create_volume(ec2, "tokens", request)
        ec2.delete_volume(VolumeId=volume)
        cloud.create_volume(ec2, "tokens", request)
        assert tokens[0] == tokens[1]
        assert len(tokens[0]) == 64
        deployed(ec2, "other tokens")
        ec2.meta.events.unregister("provide-client-params.ec2.CreateVolume", note)
        assert len(set(tokens)) == 2


class TestFilling:
    @pytest.fixture
    def volume(self, ec2, name) -> str:
        request = cloud.volume_request(name, GIB, "eu-west-1a")
        return cloud.create_volume(ec2, name, request)

    def fill(self, ec2: Any, name: str, volume: str, says: str | None) -> int:
        script = cloud.fill_script(volume, "s3://bucket/v1", "imnetlib", "eu-west-1")
        request = cloud.filling_request(name, volume, "eu-west-1a", script, FILLER)
        machine = threading.Thread(target=act_as_filler, args=(ec2, name, says))
        machine.start()
        try:
            return cloud.fill_volume(ec2, name, volume, request)
        finally:
            machine.join()

    def machines(self, ec2: Any, name: str) -> list[str]:
        return [one.state for one in cloud.list_resources(ec2, name, "instance")]

    def test_a_machine_fills_the_volume_and_ends(self, ec2, name, volume):
        assert self.fill(ec2, name, volume, "ok 1000") == 1000
        assert cloud.filled_bytes(ec2, volume) == 1000
        assert self.machines(ec2, name) == ["terminated"]
        # No second one for a volume that has its mark; its bytes go with the snapshot.
        assert cloud.fill_volume(ec2, name, volume, {}) == 1000
        assert cloud.snapshot_volume(ec2, name, volume).startswith("snap-")

    def test_one_that_is_under_way_is_waited_for(self, ec2, name, volume):
        script = "#!/bin/bash\n"
        request = cloud.filling_request(name, volume, "eu-west-1a", script, FILLER)
        ec2.run_instances(**request)
        assert self.fill(ec2, name, volume, "ok 7") == 7
        assert self.machines(ec2, name) == ["terminated"]

    @pytest.mark.parametrize(
        ("says", "reason"),
        [
            ("failed: restore the backup", r"\(failed: restore the backup\)"),
            (None, r"\(it left no mark: has its profile ec2:CreateTags\?\)"),
        ],
    )
    def test_one_that_failed_is_told_and_followed_by_another(self, ec2, name, volume, says, reason):
        with pytest.raises(cloud.DeployError, match=rf"{volume} is not filled {reason}; the same"):
            self.fill(ec2, name, volume, says)
        with pytest.raises(ValueError, match=f"{volume} has no mark that it was filled"):
            cloud.snapshot_volume(ec2, name, volume)
        assert self.fill(ec2, name, volume, "ok 5") == 5
        assert self.machines(ec2, name) == ["terminated", "terminated"]

    def test_it_is_not_counted_among_the_machines_that_train(self, ec2, name, volume):
        request = cloud.filling_request(name, volume, "eu-west-1a", "#!/bin/bash\n", FILLER)
        (filling,) = ec2.run_instances(**request)["Instances"]
        snapshot = cloud.snapshot_volume(ec2, name, volume, 5)
        machines = cloud.launch(ec2, name, launch_request(name, snapshot))
        assert len(machines) == 2
        assert filling["InstanceId"] not in machines
        assert cloud.tidy_up(ec2, name)["instances"] == 3

    def test_a_volume_that_is_attached_elsewhere_is_left_there(self, ec2, name, volume):
        (other,) = ec2.run_instances(ImageId="ami-1", MinCount=1, MaxCount=1)["Instances"]
        ends = {"VolumeId": volume, "InstanceId": other["InstanceId"]}
        ec2.attach_volume(**ends, Device="/dev/sdg")
        request = cloud.filling_request(name, volume, "eu-west-1a", "#!/bin/bash\n", FILLER)
        message = f"{volume} is attached to {other['InstanceId']}: detach it there first"
        with pytest.raises(cloud.DeployError, match=message):
            cloud.fill_volume(ec2, name, volume, request)
        # Nor was a machine started that would cost.
        assert self.machines(ec2, name) == []
        with pytest.raises(ValueError, match="must be unmounted and detached before its snapshot"):
            cloud.snapshot_volume(ec2, name, volume, 5)

    def test_one_that_was_stopped_is_not_waited_for(self, ec2, name, volume):
        request = cloud.filling_request(name, volume, "eu-west-1a", "#!/bin/bash\n", FILLER)
        (filler,) = ec2.run_instances(**request)["Instances"]
        ec2.stop_instances(InstanceIds=[filler["InstanceId"]])
        message = f"{filler['InstanceId']}, which fills {volume}, was stopped and will not go on"
        with pytest.raises(cloud.DeployError, match=message):
            cloud.fill_volume(ec2, name, volume, request)

    def test_a_machine_that_ends_lets_go_of_the_volume_before_the_next_is_started(self, ec2):
        """EC2 takes a moment for it, which moto does at once."""
        tags = [{"Key": "imnetlib", "Value": "n"}, {"Key": "imnetlib-fills", "Value": "vol-1"}]
        ending = {"InstanceId": "i-1", "State": {"Name": "shutting-down"}, "Tags": tags}
        ending |= {"InstanceType": "t3.large", "LaunchTime": "2026-01-01"}
        held = volume_found(State="in-use", Attachments=[{"InstanceId": "i-1"}])
        with Stubber(ec2) as stub:
            stub.add_response("describe_volumes", {"Volumes": [held]})
            add_listing(stub, instances=[ending])
            for found in (held, held, held, volume_found()):
                stub.add_response("describe_volumes", {"Volumes": [found]})
            stub.add_client_error("run_instances", "VcpuLimitExceeded")
            request = cloud.filling_request("n", "vol-1", "z", "#!/bin/bash\n", FILLER)
            with pytest.raises(cloud.DeployError, match="VcpuLimitExceeded"):
                cloud.fill_volume(ec2, "n", "vol-1", request)
            stub.assert_no_pending_responses()

    @pytest.mark.parametrize("mark", ["", "i-1", "i-1 ok", "i-1 ok abc", "i-1 ok 5 6", "ok 5"])
    def test_a_mark_that_nobody_set_so_is_none(self, ec2, volume, mark):
        ec2.create_tags(Resources=[volume], Tags=[{"Key": "imnetlib-filled", "Value": mark}])
        assert cloud.filled_bytes(ec2, volume) is None

    @pytest.mark.parametrize(
        ("profile", "field"),
        [("fills", "Name"), ("arn:aws:iam::123456789012:instance-profile/team/fills", "Arn")],
    )
    def test_rights_are_given_by_name_or_arn(self, profile, field):
        machine = cloud.Machine("ami-1", "t3.large", instance_profile=profile)
        assert machine.arguments()["IamInstanceProfile"] == {field: profile}

    def test_the_request(self, name):
        machine = cloud.Machine("ami-1", "t2.large", "key", "subnet-1", ["sg-1", "sg-2"], "fills")
        request = cloud.filling_request("n", "vol-1", "eu-west-1a", "#!/bin/bash\n", machine)
        tags = [{"Key": "imnetlib", "Value": "n"}, {"Key": "imnetlib-fills", "Value": "vol-1"}]
        assert request == {
            "ImageId": "ami-1",
            "InstanceType": "t2.large",
            "KeyName": "key",
            "SubnetId": "subnet-1",
            "SecurityGroupIds": ["sg-1", "sg-2"],
            "IamInstanceProfile": {"Name": "fills"},
            "MetadataOptions": {"HttpTokens": "required", "HttpEndpoint": "enabled"},
            "MinCount": 1,
            "MaxCount": 1,
            "UserData": "#!/bin/bash\n",
            "Placement": {"AvailabilityZone": "eu-west-1a"},
            "InstanceInitiatedShutdownBehavior": "terminate",
            "TagSpecifications": [{"ResourceType": "instance", "Tags": tags}],
        }


class TestAnExtraVolume:
    def test_it_is_made_in_the_machines_zone_and_attached_under_a_free_name(self, ec2, name):
        _, snapshot, _ = deployed(ec2, name)
        run = {"ImageId": "ami-1", "MinCount": 1, "MaxCount": 1}
        place = {"Placement": {"AvailabilityZone": "eu-west-1b"}}
        (machine,) = ec2.run_instances(**run, **place)["Instances"]
        instance = machine["InstanceId"]
        taken = ec2.create_volume(AvailabilityZone="eu-west-1b", Size=1)["VolumeId"]
        ec2.attach_volume(VolumeId=taken, InstanceId=instance, Device="/dev/sdf")
        zone, free = cloud.machine_place(ec2, instance)
        assert (zone, free[0]) == ("eu-west-1b", "/dev/sdg")
        request = cloud.copy_request(name, snapshot, zone, instance, throughput=250)
        volume = cloud.attach_copy(ec2, name, request, instance)
        (made,) = ec2.describe_volumes(VolumeIds=[volume])["Volumes"]
        (end,) = made["Attachments"]
        assert (end["InstanceId"], end["Device"]) == (instance, "/dev/sdg")
        assert (made["AvailabilityZone"], made["Size"], made["SnapshotId"]) == (zone, 7, snapshot)
        assert cloud.attach_copy(ec2, name, request, instance) == volume
        assert cloud.tidy_up(ec2, f"{name}-other")["volumes"] == 0

    def test_it_goes_after_a_machine_of_the_deployment(self, ec2):
        """EC2 takes a moment to detach it, which moto does at once."""
        end = {"InstanceId": "i-1", "VolumeId": "vol-1", "DeleteOnTermination": False}
        held = volume_found(State="in-use", Attachments=[end])
        machine = {"InstanceId": "i-1", "State": {"Name": "running"}, "InstanceType": "g5.xlarge"}
        machine |= {"LaunchTime": "2026-01-01", "Tags": volume_found()["Tags"]}
        ended = {"Reservations": [{"Instances": [machine | {"State": {"Name": "terminated"}}]}]}
        with Stubber(ec2) as stub:
            add_listing(stub, instances=[machine], volumes=[held], snapshots=[])
            stub.add_response("terminate_instances", {}, {"InstanceIds": ["i-1"]})
            stub.add_response("describe_instances", ended, {"InstanceIds": ["i-1"]})
            for found in (held, held, volume_found()):
                add_listing(stub, volumes=[found])
            stub.add_response("delete_volume", {}, {"VolumeId": "vol-1"})
            assert cloud.tidy_up(ec2, "n") == {"instances": 1, "volumes": 1, "snapshots": 0}

    def test_a_machine_that_has_ended_is_refused(self, ec2):
        (machine,) = ec2.run_instances(ImageId="ami-1", MinCount=1, MaxCount=1)["Instances"]
        ec2.terminate_instances(InstanceIds=[machine["InstanceId"]])
        message = "must be running to take a volume, not 'terminated'"
        with pytest.raises(ValueError, match=message):
            cloud.machine_place(ec2, machine["InstanceId"])

    def test_a_machine_with_as_many_disks_as_names_is_refused(self, ec2):
        (machine,) = ec2.run_instances(ImageId="ami-1", MinCount=1, MaxCount=1)["Instances"]
        for letter in "fghijklmnop":
            volume = ec2.create_volume(AvailabilityZone="eu-west-1a", Size=1)["VolumeId"]
            ends = {"VolumeId": volume, "InstanceId": machine["InstanceId"]}
            ec2.attach_volume(**ends, Device=f"/dev/sd{letter}")
        with pytest.raises(ValueError, match="must have a name left for a disk, not"):
            cloud.machine_place(ec2, machine["InstanceId"])

    def test_without_a_snapshot_it_says_so(self, ec2, name):
        message = f"{name} has no complete snapshot in eu-west-1: take one first"
        with pytest.raises(ValueError, match=message):
            cloud.find_snapshot(ec2, name)


class TestTidyUp:
    def test_the_snapshot_is_kept_unless_named(self, ec2, name):
        _, snapshot, machines = deployed(ec2, name)
        taken, kept = cloud.to_take_down(ec2, name)
        assert [one.id for one in kept] == [snapshot]
        assert {one.id for one in taken} > set(machines)
        assert cloud.tidy_up(ec2, name)["snapshots"] == 0
        assert cloud.find_snapshot(ec2, name).id == snapshot
        assert cloud.tidy_up(ec2, name, [snapshot])["snapshots"] == 1
        assert {one.state for one in cloud.list_resources(ec2, name)} == {"terminated"}

    def test_a_snapshot_of_another_deployment_is_refused_before_anything_goes(self, ec2, name):
        _, snapshot, machines = deployed(ec2, name)
        _, others, _ = deployed(ec2, f"{name}-other")
        message = f"{name} has the snapshots {snapshot}, not '{others}'"
        with pytest.raises(ValueError, match=message):
            cloud.tidy_up(ec2, name, [others])
        with pytest.raises(TypeError, match="snapshots are several"):
            cloud.tidy_up(ec2, name, snapshot)
        states = {one.id: one.state for one in cloud.list_resources(ec2, name)}
        assert [states[machine] for machine in machines] == ["running", "running"]


def volume_found(**changes: Any) -> dict[str, Any]:
    """EC2's description of a volume of the deployment n."""
    tags = [{"Key": "imnetlib", "Value": "n"}]
    volume = {"VolumeId": "vol-1", "State": "available", "VolumeType": "gp3", "Size": 2}
    return volume | {"CreateTime": "2026-01-01", "Tags": tags, "Attachments": []} | changes


def snapshot_found(**changes: Any) -> dict[str, Any]:
    tags = [{"Key": "imnetlib", "Value": "n"}]
    snapshot = {"SnapshotId": "snap-1", "VolumeId": "vol-1", "State": "completed", "VolumeSize": 2}
    return snapshot | {"StartTime": "2026-01-01", "Tags": tags} | changes


OUR_TAG = {"Filters": [{"Name": "tag-key", "Values": ["imnetlib"]}]}


def add_listing(stub: Stubber, **found: list[dict[str, Any]]) -> None:
    """The answers to a search for what has the tag, of the kinds that are given."""
    if "instances" in found:
        reservations = [{"Instances": found["instances"]}]
        stub.add_response("describe_instances", {"Reservations": reservations}, OUR_TAG)
    if "volumes" in found:
        stub.add_response("describe_volumes", {"Volumes": found["volumes"]}, OUR_TAG)
    if "snapshots" in found:
        own = OUR_TAG | {"OwnerIds": ["self"]}
        stub.add_response("describe_snapshots", {"Snapshots": found["snapshots"]}, own)


class TestWhatMotoLacks:
    def test_a_snapshot_of_a_volume_that_was_never_filled_is_refused(self, ec2):
        empty = snapshot_found(FullSnapshotSizeInBytes=4096)
        with Stubber(ec2) as stub:
            add_listing(stub, snapshots=[empty])
            # Asked to wait, and for its size.
            for _ in range(2):
                stub.add_response("describe_snapshots", {"Snapshots": [empty]})
            message = r"snap-1 holds 4,096 bytes, not the 5,000 .* put them on vol-1, delete snap-1"
            with pytest.raises(ValueError, match=message):
                cloud.snapshot_volume(ec2, "n", "vol-1", 5_000)

    @pytest.mark.parametrize(
        ("found", "volume"),
        [
            # It failed.
            (snapshot_found(State="error"), "vol-1"),
            # It is of another volume.
            (snapshot_found(), "vol-2"),
            # It is of another deployment.
            (snapshot_found(Tags=[{"Key": "imnetlib", "Value": "N"}]), "vol-1"),
        ],
    )
    def test_a_snapshot_that_will_not_do_is_taken_again(self, ec2, found, volume):
        made = {"SnapshotIds": ["snap-2"]}
        with Stubber(ec2) as stub:
            add_listing(stub, snapshots=[found])
            stub.add_response("describe_volumes", {"Volumes": [volume_found(VolumeId=volume)]})
            request = cloud.snapshot_request("n", volume)
            stub.add_response("create_snapshot", {"SnapshotId": "snap-2"}, request)
            for _ in range(2):
                stub.add_response("describe_snapshots", {"Snapshots": [snapshot_found()]}, made)
            assert cloud.snapshot_volume(ec2, "n", volume, 5_000) == "snap-2"

    def test_a_snapshot_under_way_is_waited_for_and_not_taken_twice(self, ec2):
        pending = snapshot_found(State="pending")
        with Stubber(ec2) as stub:
            add_listing(stub, snapshots=[pending])
            stub.add_response("describe_snapshots", {"Snapshots": [pending]})
            message = r"'snapshot completed' within 0 hours \(.*snap-1 and vol-1 exists and costs"
            with pytest.raises(cloud.DeployError, match=message):
                cloud.snapshot_volume(ec2, "n", "vol-1", 5_000, hours=0)

    def test_a_copy_that_is_about_to_go_with_its_machine_is_not_left_over(self, ec2):
        end = {"InstanceId": "i-1", "VolumeId": "vol-2", "DeleteOnTermination": True}
        kept = {"InstanceId": "i-1", "VolumeId": "vol-1", "DeleteOnTermination": False}
        going = volume_found(VolumeId="vol-2", State="in-use", Attachments=[end])
        attached = volume_found(State="in-use", Attachments=[kept])
        machine = {"InstanceId": "i-1", "State": {"Name": "running"}, "InstanceType": "g5.xlarge"}
        machine |= {"LaunchTime": "2026-01-01", "Tags": volume_found()["Tags"]}
        ended = machine | {"State": {"Name": "terminated"}}
        with Stubber(ec2) as stub:
            add_listing(stub, instances=[machine], volumes=[going, attached], snapshots=[])
            stub.add_response("terminate_instances", {}, {"InstanceIds": ["i-1"]})
            answer = {"Reservations": [{"Instances": [ended]}]}
            stub.add_response("describe_instances", answer, {"InstanceIds": ["i-1"]})
            add_listing(stub, volumes=[going, volume_found()])
            stub.add_response("delete_volume", {}, {"VolumeId": "vol-1"})
            assert cloud.tidy_up(ec2, "n") == {"instances": 1, "volumes": 1, "snapshots": 0}

    def test_an_empty_volume_is_told_from_a_copy(self, ec2):
        """AWS gives an empty volume an empty SnapshotId, where moto gives none."""
        copy = volume_found(VolumeId="vol-2", State="in-use", SnapshotId="snap-1")
        with Stubber(ec2) as stub:
            add_listing(stub, volumes=[copy, volume_found(SnapshotId="")])
            assert cloud.create_volume(ec2, "n", {}) == "vol-1"

    def test_requests_reach_the_wire_as_they_were_made(self, ec2):
        """Moto drops the rate: boto3's model of the API must know each field."""
        request = launch_request("n", rate=100, throughput=250)
        made = [{"InstanceId": "i-1"}, {"InstanceId": "i-2"}]
        both = {"InstanceIds": ["i-1", "i-2"]}
        running = [{"Instances": [one | {"State": {"Name": "running"}} for one in made]}]
        with Stubber(ec2) as stub:
            add_listing(stub, instances=[])
            sent = request | {"ClientToken": ANY}
            stub.add_response("run_instances", {"Instances": made}, sent)
            stub.add_response("describe_instances", {"Reservations": running}, both)
            assert cloud.launch(ec2, "n", request) == ["i-1", "i-2"]
        tags = [{"Key": "imnetlib", "Value": "n"}]
        disk = {
            "SnapshotId": "snap-1",
            "DeleteOnTermination": True,
            "VolumeType": "gp3",
            "VolumeInitializationRate": 100,
            "Throughput": 250,
        }
        assert request == {
            "ImageId": "ami-1",
            "InstanceType": "g5.xlarge",
            "MetadataOptions": {"HttpTokens": "required", "HttpEndpoint": "enabled"},
            "MinCount": 2,
            "MaxCount": 2,
            "UserData": SCRIPT,
            "BlockDeviceMappings": [{"DeviceName": "/dev/sdf", "Ebs": disk}],
            "TagSpecifications": [
                {"ResourceType": "instance", "Tags": tags},
                {"ResourceType": "volume", "Tags": tags},
            ],
        }


@pytest.mark.parametrize(
    ("settings", "gib"),
    [
        *[({"n_bytes": n}, gib) for n, gib in [(0, 1), (1, 2), (10 * GIB, 12), (150 * 10**9, 155)]],
        ({"n_bytes": 1, "volume_type": "sc1"}, 125),
        ({"n_bytes": 150 * 10**9, "volume_type": "sc1", "size": 1000}, 1000),
    ],
)
def test_volumes_have_room_for_the_file_system(settings: dict[str, Any], gib: int):
    assert cloud.volume_request("n", zone="eu-west-1a", **settings)["Size"] == gib


def test_encryption_is_asked_for_alone_or_with_a_key():
    plain = cloud.volume_request("n", 1, "z")
    assert "Encrypted" not in plain
    assert cloud.volume_request("n", 1, "z", encrypted=True) == plain | {"Encrypted": True}
    with_key = cloud.volume_request("n", 1, "z", kms_key="alias/k")
    assert with_key == plain | {"Encrypted": True, "KmsKeyId": "alias/k"}


def test_speed_is_left_out_unless_asked_for():
    """A rate would switch Fast Snapshot Restore off, and both would be charged."""
    (mapping,) = launch_request("n", rate=None)["BlockDeviceMappings"]
    kept = {"SnapshotId": "snap-1", "DeleteOnTermination": True, "VolumeType": "gp3"}
    assert mapping["Ebs"] == kept
    copy = cloud.copy_request("n", "snap-1", "z", "i-1")
    assert not {"VolumeInitializationRate", "Throughput", "Size"} & set(copy)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"rate": 99}, "rate must be 100 to 300 MiB/s, not 99"),
        ({"rate": 301}, "rate must be 100 to 300"),
        ({"throughput": 124}, "throughput must be 125 to 750 MiB/s, not 124"),
        ({"throughput": 751}, "throughput must be 125 to 750"),
        ({"count": 0}, "count must be 1 or more, not 0"),
        ({"script": "#!/bin/bash\n" + "x" * 16_384}, "more than the 16,384 bytes"),
    ],
)
def test_what_ec2_would_refuse_is_refused_before(changes: dict, message: str):
    with pytest.raises(ValueError, match=message):
        launch_request("n", **changes)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"volume_type": "gp2"}, "volume_type is gp3, st1, sc1, not 'gp2'"),
        ({"size": 1}, "size must be 2 GiB or more for these files, not 1"),
        ({"size": 65_537}, "gp3 volumes have 1 to 65,536 GiB, not 65537"),
        ({"size": 100, "volume_type": "st1"}, "st1 volumes have 125 to 16,384 GiB, not 100"),
        ({"n_bytes": -1}, "n_bytes must be 0 or more, not -1"),
        ({"n_bytes": 10**14}, "gp3 volumes have 1 to 65,536 GiB, not"),
    ],
)
def test_volumes_that_ebs_does_not_have_are_refused(changes: dict, message: str):
    with pytest.raises(ValueError, match=message):
        cloud.volume_request(**{"name": "n", "n_bytes": 1, "zone": "z"} | changes)


class TestRequestsOfAnother:
    """Whatever would be made without the tag of the deployment would not be found again."""

    @pytest.mark.parametrize("other", [None, "n-other"])
    def test_deployment(self, ec2, name, other):
        def changed(request: dict[str, Any]) -> dict[str, Any]:
            kept = {key: value for key, value in request.items() if key != "TagSpecifications"}
            tags = [{"Key": "imnetlib", "Value": other}]
            made = {"TagSpecifications": [{"ResourceType": "volume", "Tags": tags}]}
            return kept if other is None else kept | made

        message = rf"the request must be one of the deployment '.*', not {other!r}"
        volume = cloud.volume_request(name, 1, "eu-west-1a")
        with pytest.raises(ValueError, match=message):
            cloud.create_volume(ec2, name, changed(volume))
        with pytest.raises(ValueError, match=message):
            cloud.launch(ec2, name, changed(launch_request(name)))
        made = cloud.create_volume(ec2, name, volume)
        filling = cloud.filling_request(name, made, "eu-west-1a", "#!/bin/bash\n", FILLER)
        with pytest.raises(ValueError, match=message):
            cloud.fill_volume(ec2, name, made, changed(filling))
        assert len(cloud.list_resources(ec2, name)) == 1

    def test_machine(self, ec2, name):
        request = cloud.copy_request(name, "snap-1", "eu-west-1a", "i-1")
        message = "the request must be of a volume for i-2, not 'i-1'"
        with pytest.raises(ValueError, match=message):
            cloud.attach_copy(ec2, name, request, "i-2")


@pytest.mark.parametrize("wrong", ["", " ", None, 5])
@pytest.mark.parametrize(
    ("what", "act"),
    [
        ("image", lambda wrong: cloud.Machine(wrong, "t3.large")),
        ("instance_type", lambda wrong: cloud.Machine("ami-1", wrong)),
        ("zone", lambda wrong: cloud.volume_request("n", 1, wrong)),
        ("snapshot", lambda wrong: launch_request("n", wrong)),
        ("snapshot", lambda wrong: cloud.copy_request("n", wrong, "z", "i-1")),
    ],
)
def test_what_names_something_is_a_text_that_is_not_empty(what: str, act: Any, wrong: Any):
    kind = ValueError if isinstance(wrong, str) else TypeError
    with pytest.raises(kind, match=f"{what} (must be given|is a text), not {wrong!r}"):
        act(wrong)


def test_one_security_group_is_no_list():
    with pytest.raises(TypeError, match="security_groups are ids of security groups, in a list"):
        cloud.Machine("ami-1", "t3.large", security_groups="sg-1")


class TestCloud:
    def test_your_settings_of_aws_have_no_say_and_come_back(self, tmp_path, monkeypatch):
        (tmp_path / "config").write_text(
            "[default]\nregion = xx\nendpoint_url = http://127.0.0.1:9\ndefaults_mode = auto\n"
        )
        yours = {
            "AWS_PROFILE": "nobody",
            "AWS_CONFIG_FILE": str(tmp_path / "config"),
            "AWS_ACCESS_KEY_ID": "REAL",
            "AWS_SECRET_ACCESS_KEY": "REAL",
            "AWS_SESSION_TOKEN": "REAL",
            "AWS_ENDPOINT_URL": "http://127.0.0.1:9",
            "AWS_USE_FIPS_ENDPOINT": "true",
            "AWS_CA_BUNDLE": "/nowhere",
            "AWS_MAX_ATTEMPTS": "many",
        }
        proxies = dict.fromkeys(("HTTP_PROXY", "http_proxy", "ALL_PROXY"), "http://127.0.0.1:9")
        for variable, value in (yours | proxies).items():
            monkeypatch.setenv(variable, value)
        before = dict(os.environ)
        seen: list[Any] = []
        with aws.open_cloud(open_root(str(tmp_path / "root")), "eu-west-1", "shards") as here:
            for client in (here.s3, here.ec2):
                events = client.meta.events
                events.register("before-send.*", lambda request, **_: seen.append(request))
            here.s3.head_bucket(Bucket="shards")
            assert len(here.ec2.describe_availability_zones()["AvailabilityZones"]) > 1
            assert "AWS_PROFILE" not in os.environ
        assert len(seen) == 2
        for request in seen:
            assert request.url.startswith("http://127.0.0.1:")
            assert b"Credential=course/" in request.headers["Authorization"]
            assert "X-Amz-Security-Token" not in request.headers
        assert dict(os.environ) == before

    @pytest.mark.parametrize("region", ["us-east-1", "eu-west-1"])
    def test_each_one_begins_empty_and_ends(self, tmp_path, region, monkeypatch):
        # boto3 tries to connect five times, and sleeps in between.
        monkeypatch.setattr("botocore.endpoint.time", SimpleNamespace(sleep=lambda _: None))
        root = open_root(str(tmp_path / "root"))
        for _ in range(2):
            with aws.open_cloud(root, region, "shards") as here:
                assert "Contents" not in here.s3.list_objects_v2(Bucket="shards")
                here.s3.put_object(Bucket="shards", Key="a", Body=b"b")
        with pytest.raises(EndpointConnectionError):
            here.s3.list_buckets()

    def test_a_line_per_request_is_kept_from_the_reader(self, tmp_path, caplog):
        level = logging.getLogger("werkzeug").level
        with aws.open_cloud(open_root(str(tmp_path / "root")), "eu-west-1", "shards") as here:
            here.s3.list_buckets()
        assert caplog.records == []
        assert logging.getLogger("werkzeug").level == level

    def test_a_real_root_goes_to_aws_with_your_keys(self, tmp_path, monkeypatch):
        monkeypatch.setenv("AWS_ACCESS_KEY_ID", "YOURS")
        monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "YOURS")
        root = open_root(str(tmp_path / "root"), "ILSVRC2012")
        # No request is made.
        with aws.open_cloud(root, "eu-west-1", "shards") as there:
            assert there.ec2.meta.endpoint_url == "https://ec2.eu-west-1.amazonaws.com"
            assert "eu-west-1" in there.s3.meta.endpoint_url
            assert there.where == "AWS, eu-west-1"

    def test_a_real_root_without_keys_says_whose_account_it_wants(self, tmp_path, monkeypatch):
        for variable in [name for name in os.environ if name.startswith("AWS_")]:
            monkeypatch.delenv(variable)
        for variable, value in aws.NO_SETTINGS.items():
            monkeypatch.setenv(variable, value)
        root = open_root(str(tmp_path / "root"), "ILSVRC2012")
        with (
            pytest.raises(PermissionError, match=r"root is no miniature, so its shards go to your"),
            aws.open_cloud(root, "eu-west-1", "shards"),
        ):
            pass
