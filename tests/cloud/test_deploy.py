"""Volumes, snapshots and machines, with moto; the mount script, by bash; the local cloud itself."""

from __future__ import annotations

import logging
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from botocore.exceptions import EndpointConnectionError, WaiterError
from botocore.stub import Stubber

from imnetlib import cloud
from imnetlib.course import aws, open_root

GIB = 2**30
SCRIPT = cloud.mount_script("imagenet", "/data")


@pytest.fixture(scope="module")
def endpoint() -> Iterator[str]:
    with aws.local_endpoint() as url:
        yield url


@pytest.fixture
def ec2(endpoint: str) -> Any:
    return aws.local_client("ec2", endpoint, "eu-west-1")


@pytest.fixture
def name(request: pytest.FixtureRequest) -> str:
    """A deployment of the test's own."""
    return str(request.node.name)


def launch_request(name: str, snapshot: str = "snap-1", **changes: Any) -> dict[str, Any]:
    settings = {"image": "ami-1", "instance_type": "g5.xlarge", "count": 2, "rate": 300} | changes
    return cloud.launch_request(name, snapshot, settings.pop("script", SCRIPT), **settings)


def deployed(ec2: Any, name: str) -> tuple[str, str, list[str]]:
    volume = cloud.create_volume(ec2, name, cloud.volume_request(name, 5 * GIB, "eu-west-1a"))
    snapshot = cloud.snapshot_volume(ec2, name, volume, 5 * GIB)
    return volume, snapshot, cloud.launch(ec2, name, launch_request(name, snapshot))


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

    def test_machines_that_are_gone_are_replaced(self, ec2, name):
        _, snapshot, machines = deployed(ec2, name)
        ec2.terminate_instances(InstanceIds=machines[:1])
        again = cloud.launch(ec2, name, launch_request(name, snapshot))
        assert machines[1] in again
        assert len(again) == 2

    def test_tidy_up_takes_down_this_deployment_and_nothing_else(self, ec2, name):
        others = deployed(ec2, f"{name}-other")
        untagged = ec2.create_volume(AvailabilityZone="eu-west-1a", Size=1)["VolumeId"]
        *_, machines = deployed(ec2, name)
        assert cloud.tidy_up(ec2, name) == {"instances": 2, "volumes": 1, "snapshots": 1}
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
        message = rf"charged for: {volume}; detach them, then call tidy_up again"
        with pytest.raises(RuntimeError, match=message):
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
        assert "You are not authorized" in answer

    def test_the_rate_reaches_the_wire(self, ec2, name):
        """Moto drops it, so look at the request: boto3's model of the API must know each field."""
        request = launch_request(name, rate=100)
        with Stubber(ec2) as stub:
            stub.add_response("run_instances", {"Instances": []}, request | {"DryRun": False})
            ec2.run_instances(**request, DryRun=False)
        (disk,) = request["BlockDeviceMappings"]
        assert (disk["Ebs"]["VolumeInitializationRate"], disk["Ebs"]["Throughput"]) == (100, 125)


SNAPSHOT = {"SnapshotId": "snap-1", "VolumeId": "vol-1", "State": "completed"}
SECOND = {"SnapshotIds": ["snap-2"]}
OUR_TAG = {"Filters": [{"Name": "tag:imnetlib", "Values": ["n"]}]}


class TestWhatMotoLacks:
    def test_a_snapshot_of_a_volume_that_was_never_filled_is_refused(self, ec2):
        empty = SNAPSHOT | {"FullSnapshotSizeInBytes": 4096}
        with Stubber(ec2) as stub:
            # Asked to search, to wait, and for its size.
            for _ in range(3):
                stub.add_response("describe_snapshots", {"Snapshots": [empty]})
            way_out = r"delete snap-1, and run this again; or tidy_up\(ec2, 'n'\)"
            message = rf"snap-1 holds 4,096 bytes, not the 5,000 .* put them on vol-1, {way_out}"
            with pytest.raises(ValueError, match=message):
                cloud.snapshot_volume(ec2, "n", "vol-1", 5_000)

    def test_a_snapshot_that_failed_is_taken_again(self, ec2):
        failed = SNAPSHOT | {"State": "error"}
        with Stubber(ec2) as stub:
            stub.add_response("describe_snapshots", {"Snapshots": [failed]}, OUR_TAG)
            stub.add_response("create_snapshot", {"SnapshotId": "snap-2"})
            for _ in range(2):
                stub.add_response("describe_snapshots", {"Snapshots": [SNAPSHOT]}, SECOND)
            assert cloud.snapshot_volume(ec2, "n", "vol-1", 5_000) == "snap-2"

    def test_a_snapshot_of_another_volume_is_not_taken_for_this_one(self, ec2):
        with Stubber(ec2) as stub:
            stub.add_response("describe_snapshots", {"Snapshots": [SNAPSHOT]}, OUR_TAG)
            stub.add_response("create_snapshot", {"SnapshotId": "snap-2"})
            for _ in range(2):
                stub.add_response("describe_snapshots", {"Snapshots": [SNAPSHOT]}, SECOND)
            assert cloud.snapshot_volume(ec2, "n", "vol-2", 5_000) == "snap-2"

    def test_a_snapshot_under_way_is_waited_for_and_not_taken_twice(self, ec2):
        pending = SNAPSHOT | {"State": "pending"}
        with Stubber(ec2) as stub:
            for _ in range(2):
                stub.add_response("describe_snapshots", {"Snapshots": [pending]})
            with pytest.raises(WaiterError, match="Max attempts exceeded"):
                cloud.snapshot_volume(ec2, "n", "vol-1", 5_000, hours=0)

    def test_a_copy_that_is_about_to_go_with_its_machine_is_not_left_over(self, ec2):
        end = {"InstanceId": "i-1", "VolumeId": "vol-2", "DeleteOnTermination": True}
        kept = {"InstanceId": "i-1", "VolumeId": "vol-1", "DeleteOnTermination": False}
        going = {"VolumeId": "vol-2", "State": "in-use", "Attachments": [end]}
        attached = {"VolumeId": "vol-1", "State": "in-use", "Attachments": [kept]}
        free = {"VolumeId": "vol-1", "State": "available", "Attachments": []}

        def machine(state: str) -> dict[str, Any]:
            instance = {"InstanceId": "i-1", "State": {"Name": state}}
            return {"Reservations": [{"Instances": [instance]}]}

        with Stubber(ec2) as stub:
            stub.add_response("describe_instances", machine("running"), OUR_TAG)
            stub.add_response("describe_volumes", {"Volumes": [going, attached]}, OUR_TAG)
            stub.add_response("describe_snapshots", {"Snapshots": []}, OUR_TAG)
            stub.add_response("terminate_instances", {}, {"InstanceIds": ["i-1"]})
            stub.add_response("describe_instances", machine("terminated"), {"InstanceIds": ["i-1"]})
            stub.add_response("describe_volumes", {"Volumes": [going, free]}, OUR_TAG)
            stub.add_response("delete_volume", {}, {"VolumeId": "vol-1"})
            assert cloud.tidy_up(ec2, "n") == {"instances": 1, "volumes": 1, "snapshots": 0}

    def test_an_empty_volume_is_told_from_a_copy(self, ec2):
        """AWS gives an empty volume an empty SnapshotId, where moto gives none."""
        copy = {"VolumeId": "vol-2", "State": "in-use", "SnapshotId": "snap-1"}
        own = {"VolumeId": "vol-1", "State": "in-use", "SnapshotId": ""}
        with Stubber(ec2) as stub:
            stub.add_response("describe_volumes", {"Volumes": [copy, own]}, OUR_TAG)
            assert cloud.create_volume(ec2, "n", {}) == "vol-1"


@pytest.mark.parametrize(("n_bytes", "gib"), [(0, 1), (1, 2), (10 * GIB, 12), (150 * 10**9, 155)])
def test_volumes_have_room_for_the_file_system(n_bytes: int, gib: int):
    assert cloud.volume_request("n", n_bytes, "eu-west-1a")["Size"] == gib


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"rate": 99}, "rate must be 100 to 300 MiB/s, not 99"),
        ({"rate": 301}, "rate must be 100 to 300"),
        ({"count": 0}, "count must be 1 or more, not 0"),
        ({"script": "#!/bin/bash\n" + "x" * 16_384}, "more than the 16,384 bytes"),
    ],
)
def test_what_ec2_would_refuse_is_refused_before(changes: dict, message: str):
    with pytest.raises(ValueError, match=message):
        launch_request("n", **changes)


class TestMountScript:
    @pytest.fixture
    def machine(self, tmp_path: Path) -> Path:
        """A folder of commands that note how they were called, in place of the real ones."""
        commands = {
            "blkid": 'echo "blkid $*" >> calls; '
            "(( $(grep -c ^blkid calls) > MISSES )) && echo /dev/nvme2n1",
            "mountpoint": "[ -e mounted ]",
            "mount": 'echo "mount $*" >> calls; touch mounted',
            "mkdir": 'echo "mkdir $*" >> calls',
            "sleep": "exit 0",
        }
        for command, body in commands.items():
            (tmp_path / command).write_text(f"#!/bin/bash\n{body}\n")
            (tmp_path / command).chmod(0o755)
        (tmp_path / "fstab").write_text("LABEL=/ / xfs defaults 0 0\n")
        return tmp_path

    def run(self, machine: Path, script: str, misses: int = 0) -> subprocess.CompletedProcess[str]:
        text = script.replace("/etc/fstab", str(machine / "fstab"))
        environment = {"PATH": f"{machine}:{os.environ['PATH']}", "MISSES": str(misses)}
        options = {"cwd": machine, "env": environment, "capture_output": True, "text": True}
        return subprocess.run(["bash", "-c", text], **options, check=False)

    @pytest.mark.parametrize("script", [SCRIPT, cloud.mount_script("a_b-9", "/mnt/it's", 5)])
    def test_bash_understands_it(self, script: str):
        subprocess.run(["bash", "-n"], input=script, text=True, check=True)
        # cloud-init runs nothing else.
        assert script.startswith("#!/bin/bash\n")

    def test_it_waits_for_the_volume_and_mounts_it_read_only(self, machine: Path):
        done = self.run(machine, SCRIPT, misses=3)
        assert (done.returncode, done.stderr) == (0, "")
        calls = (machine / "calls").read_text().splitlines()
        assert calls == [
            *["blkid -L imagenet"] * 4,
            "mkdir -p /data",
            "mount -t ext4 -o ro,noload /dev/nvme2n1 /data",
        ]
        table = (machine / "fstab").read_text().splitlines()
        assert table == [
            "LABEL=/ / xfs defaults 0 0",
            "LABEL=imagenet /data ext4 ro,noload,nofail 0 0",
        ]

    def test_a_second_run_changes_nothing(self, machine: Path):
        self.run(machine, SCRIPT)
        assert self.run(machine, SCRIPT).returncode == 0
        assert (machine / "calls").read_text().count("mount -t") == 1
        assert (machine / "fstab").read_text().count("imagenet") == 1

    def test_it_gives_up_and_says_why(self, machine: Path):
        done = self.run(machine, cloud.mount_script("imagenet", "/data", 0), misses=9)
        assert done.returncode == 1
        assert "no volume is labelled imagenet" in done.stderr
        assert not (machine / "mounted").exists()

    @pytest.mark.parametrize(
        ("label", "folder"),
        [
            *[(label, "/data") for label in ("", "x" * 17, "$(reboot)", "a b")],
            *[("imagenet", folder) for folder in ("data", "/my data", "/a\nb")],
        ],
    )
    def test_names_that_a_shell_or_a_table_would_take_apart_are_refused(
        self, label: str, folder: str
    ):
        with pytest.raises(ValueError, match=r"is no label|must be an absolute path"):
            cloud.mount_script(label, folder)


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
