"""The verbs of a deployment: what they show, what --yes does, what is said when it fails."""

from __future__ import annotations

import functools
import json
import os
import re
import threading
from collections.abc import Iterator, Sequence
from typing import Any

import botocore.loaders
import pytest
from click.testing import Result
from deploying import act_as_filler
from making import imnet

from imnetlib import cloud
from imnetlib.course import aws

LOADER = functools.cache(botocore.loaders.create_loader)
# Without it there is no second try: boto3 would sleep before one.
QUOTA = "botocore.retries.standard.RetryQuotaChecker.acquire_retry_quota"
LEFT = "all of it is there or under way: nothing is left to be asked of EC2\n"
NOTHING = "Nothing was made or changed: for that, add --yes.\n"
FILLING = (
    "s3://bucket/v1",
    "--zone",
    "us-east-1a",
    "--package",
    "s3://bucket/imnetlib-0.1.0-py3-none-any.whl",
    "--gb",
    150,
)
RIGHTS = ("--instance-profile", "fills")
MACHINES = ("--image", "ami-1", "--type", "g5.xlarge", "--count", 2)


@pytest.fixture(scope="module")
def endpoint() -> Iterator[str]:
    with pytest.MonkeyPatch.context() as environment, aws.local_endpoint() as url:
        environment.setenv("MOTO_EC2_LOAD_DEFAULT_AMIS", "false")
        iam = aws.local_client("iam", url, "us-east-1")
        iam.create_instance_profile(InstanceProfileName="fills")
        yield url


@pytest.fixture
def ec2(endpoint: str, monkeypatch: pytest.MonkeyPatch) -> Any:
    for variable in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(variable, "made-up")
    monkeypatch.setenv("AWS_ENDPOINT_URL", endpoint)
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    # moto is ready at once.
    monkeypatch.setattr("imnetlib.cloud.ec2_calls._POLL_SECONDS", 0.02)
    # boto3's description of EC2 is large, and each verb would read it anew.
    monkeypatch.setattr("botocore.session.create_loader", LOADER)
    return aws.local_client("ec2", endpoint, "us-east-1")


@pytest.fixture
def name(request: pytest.FixtureRequest) -> str:
    return str(request.node.name)


def deploy(*arguments: object) -> Result:
    done = imnet("deploy", *arguments)
    assert not done.exception or isinstance(done.exception, SystemExit)
    return done


def steps(output: str) -> list[tuple[str, dict[str, Any]]]:
    """The title of each step that is shown, and its request."""
    found = re.findall(r"^\d+\. (.*)\n((?:   .*\n)*?   \}\n)", output, flags=re.MULTILINE)
    return [(title, json.loads(request)) for title, request in found]


def fill(ec2: Any, name: str, says: str, arguments: Sequence[object] = ()) -> Result:
    machine = threading.Thread(target=act_as_filler, args=(ec2, name, says))
    machine.start()
    try:
        return deploy("volume", name, *(arguments or (*FILLING, *RIGHTS)), "--yes")
    finally:
        machine.join()


def test_the_whole_way(ec2, name):
    volume_line = re.compile(r"(vol-\w+): 150,000,000,000 bytes of files, each proved\n$")
    made = volume_line.search(fill(ec2, name, "ok 150000000000").output)
    assert made
    again = deploy("volume", name, *FILLING, *RIGHTS, "--yes")
    assert again.output.endswith(f"{made[1]}: 150,000,000,000 bytes of files, each proved\n")

    assert NOTHING in deploy("snapshot", name).output
    taken = deploy("snapshot", name, "--yes").output
    snapshot, _, rest = taken.splitlines(keepends=True)[-1].partition("; ")
    assert rest == f"{made[1]} is not needed any more: imnet deploy tidy {name}\n"

    machines = deploy("launch", name, *MACHINES, "--yes").output.split()
    assert len(machines) == 2
    again = deploy("launch", name, *MACHINES, "--yes").output.split()
    assert sorted(again) == sorted(machines)

    (other,) = ec2.run_instances(ImageId="ami-1", MinCount=1, MaxCount=1)["Instances"]
    attached = deploy("attach", name, other["InstanceId"], "--folder", "/x", "--yes").output
    head, _, script = attached.partition("Mount it there:\n\nsudo bash -s <<'SCRIPT'\n")
    extra = head.split()[0]
    assert head == f"{extra} is attached to {other['InstanceId']}. "
    assert script == cloud.mount_script("imagenet", "/x") + "SCRIPT\n"

    listed = deploy("list", name).output
    assert all(one in listed for one in (made[1], snapshot, *machines, extra))
    # Its volume, three copies, two machines; what is left of a snapshot is at most the volume.
    hourly = (4 * 155 * 0.08 + 155 * 0.05) / 730 + 2 * 1.006
    assert f"together: ${hourly:,.4f} an hour" in listed

    shown = deploy("tidy", name).output
    taking, _, keeping = shown.partition("to be kept:\n")
    assert snapshot in keeping
    assert all(one in taking and one not in keeping for one in (made[1], *machines, extra))
    assert keeping.endswith(NOTHING)
    failed = deploy("tidy", name, "--yes")
    assert failed.exit_code == 1
    assert f"Error: still attached, and charged for: {extra}; detach them" in failed.output
    assert f"there, and to be paid: {snapshot}, {extra}: the same command goes on" in failed.output
    ec2.detach_volume(VolumeId=extra, InstanceId=other["InstanceId"])
    done = deploy("tidy", name, "--snapshot", snapshot, "--yes")
    assert done.output.endswith("removed: 0 instances, 1 volumes, 1 snapshots\n")


class TestPlan:
    ARTICLE = ("--filler", "t2.large", "--volume-type", "sc1", "--size", 1000)

    def test_every_request_is_shown_with_its_price_and_nothing_is_made(self, ec2, name):
        done = deploy("plan", name, *FILLING, *self.ARTICLE, *MACHINES, "--rate", 300)
        assert done.exit_code == 0
        shown = dict(steps(done.output))
        volume = cloud.volume_request(name, 150 * 10**9, "us-east-1a", volume_type="sc1", size=1000)
        assert shown.pop("CreateVolume: allowed") == volume
        assert list(shown) == [
            "RunInstances: allowed",
            "AttachVolume: can be rehearsed when the volume is there",
            "CreateSnapshot: can be rehearsed when the volume is there",
            "RunInstances: can be rehearsed when the snapshot is there",
        ]
        for price in (
            "1 x 1,000 GiB sc1: $0.0205 an hour, $15.00 a month",
            "1 x t2.large: $0.0928 an hour, $67.74 a month",
            "2 x g5.xlarge: $2.0120 an hour, $1,468.76 a month",
            "2 x 1,000 GiB gp3: $0.2192 an hour, $160.00 a month",
            "2 x initialization at 300 MiB/s: price unknown",
            "beside: 150.0 GB in S3: $0.0047 an hour, $3.45 a month",
            "together: $2.3588 an hour, $1,721.94 a month, while all of it is there",
            "price unknown in us-east-1: 2 x initialization at 300 MiB/s",
        ):
            assert price in done.output
        assert done.output.endswith(NOTHING)
        assert deploy("list", name).output == "nothing\n"

    def test_what_is_there_already_is_not_made_again(self, ec2, name):
        request = cloud.volume_request(name, 150 * 10**9, "us-east-1a")
        volume = cloud.create_volume(ec2, name, request)
        done = deploy("plan", name, *FILLING, *MACHINES)
        titles = [title for title, _ in steps(done.output)]
        assert titles[0] == "RunInstances: allowed"
        assert titles[2] == "CreateSnapshot: allowed"
        assert f"volume={volume}\n" in done.output

    def test_the_size_is_that_of_the_manifest(self, ec2, name, tmp_path):
        s3 = aws.local_client("s3", os.environ["AWS_ENDPOINT_URL"], "us-east-1")
        s3.create_bucket(Bucket="bucket")
        (tmp_path / "a.rec").write_bytes(b"x" * 1000)
        cloud.back_up(tmp_path, s3, "bucket", "v1")
        done = deploy("plan", name, *FILLING[:-2], *MACHINES)
        assert "snapshot of 0.0 GiB" in done.output
        assert steps(done.output)[0][1]["Size"] == 2
        # What a volume was filled with is held against it too.
        arguments = (*FILLING[:-2], *RIGHTS)
        assert fill(ec2, name, "ok 1000", arguments).exit_code == 0
        (tmp_path / "b.rec").write_bytes(b"x")
        cloud.back_up(tmp_path, s3, "bucket", "v1")
        other = deploy("volume", name, *arguments, "--yes")
        assert other.exit_code == 1
        assert "was filled with 1,000 bytes of files, and the backup has 1,001" in other.output

    def test_the_manifest_is_asked_of_s3_and_not_of_ec2(self, ec2, endpoint, monkeypatch, name):
        monkeypatch.delenv("AWS_ENDPOINT_URL")
        monkeypatch.setenv("AWS_ENDPOINT_URL_EC2", endpoint)
        monkeypatch.setenv("AWS_ENDPOINT_URL_S3", "http://127.0.0.1:9")
        monkeypatch.setattr(QUOTA, lambda *_: False)
        done = deploy("plan", name, *FILLING[:-2], *MACHINES)
        assert done.exit_code == 1
        assert "http://127.0.0.1:9/bucket" in done.output

    def test_prices_of_another_region_are_unknown(self, ec2, name):
        here = ("s3://bucket/v1", "--zone", "eu-west-1a", *FILLING[3:])
        done = deploy("plan", name, *here, *MACHINES, "--region", "eu-west-1")
        assert "not in that sum, price unknown in eu-west-1: 150.0 GB in S3, 1 x" in done.output
        assert "together: price unknown, while all of it is there\n" in done.output


class TestWithoutYes:
    def test_nothing_is_made_changed_or_deleted(self, ec2, name):
        request = cloud.volume_request(name, 150 * 10**9, "us-east-1a")
        volume = cloud.create_volume(ec2, name, request)
        cloud.snapshot_volume(ec2, name, volume, 1)
        (other,) = ec2.run_instances(ImageId="ami-1", MinCount=1, MaxCount=1)["Instances"]
        before = cloud.list_resources(ec2)
        for arguments in (
            ("volume", name, *FILLING, *RIGHTS),
            ("snapshot", name, "--volume", volume, "--bytes", 1),
            ("launch", name, *MACHINES),
            ("attach", name, other["InstanceId"]),
            ("tidy", name),
        ):
            done = deploy(*arguments)
            assert done.exit_code == 0
            assert done.output.endswith((NOTHING, LEFT)), done.output
        assert cloud.list_resources(ec2) == before


class TestWhatIsThereAlready:
    """A rehearsal shows what --yes would do, and refuses what it would refuse."""

    def test_it_is_no_step_any_more(self, ec2, name):
        fill(ec2, name, "ok 150000000000")
        assert deploy("volume", name, *FILLING, *RIGHTS).output == LEFT
        titles = [title for title, _ in steps(deploy("plan", name, *FILLING, *MACHINES).output)]
        assert titles[0] == "CreateSnapshot: allowed"
        assert len(titles) == 2
        deploy("snapshot", name, "--yes")
        assert deploy("snapshot", name).output == LEFT
        (snapshot,) = cloud.list_resources(ec2, name, "snapshot")
        two = steps(deploy("plan", name, *FILLING, *MACHINES).output)
        assert [title for title, _ in two] == ["RunInstances: allowed"]
        (disk,) = two[0][1]["BlockDeviceMappings"]
        assert disk["Ebs"]["SnapshotId"] == snapshot.id
        deploy("launch", name, *MACHINES[:-1], 1, "--yes")
        ((_, one),) = steps(deploy("launch", name, *MACHINES).output)
        assert (one["MinCount"], one["MaxCount"]) == (1, 1)
        assert deploy("launch", name, *MACHINES[:-1], 1).output == LEFT
        assert "1 x g5.xlarge: $1.0060" in deploy("plan", name, *FILLING, *MACHINES).output

        (other,) = ec2.run_instances(ImageId="ami-1", MinCount=1, MaxCount=1)["Instances"]
        attach = ("attach", name, other["InstanceId"])
        deploy(*attach, "--yes")
        assert deploy(*attach).output == LEFT
        (extra,) = [v for v in cloud.list_resources(ec2, name, "volume") if "extra" in v.role]
        ec2.detach_volume(VolumeId=extra.id, InstanceId=other["InstanceId"])
        ends = {"VolumeId": extra.id, "InstanceId": other["InstanceId"], "Device": "/dev/sdf"}
        assert steps(deploy(*attach).output) == [("AttachVolume: allowed", ends)]

    def test_a_filling_machine_that_runs_is_no_step(self, ec2, name):
        volume = cloud.create_volume(
            ec2, name, cloud.volume_request(name, 150 * 10**9, "us-east-1a")
        )
        machine = cloud.Machine("ami-1", "t3.large")
        request = cloud.filling_request(name, volume, "us-east-1a", "#!/bin/bash\n", machine)
        (filler,) = ec2.run_instances(**request)["Instances"]
        verb = ("volume", name, *FILLING, *RIGHTS)
        ends = {"VolumeId": volume, "InstanceId": filler["InstanceId"], "Device": "/dev/sdf"}
        assert steps(deploy(*verb).output) == [("AttachVolume: allowed", ends)]
        ec2.attach_volume(**ends)
        assert deploy(*verb).output == LEFT
        told = f"{volume} must be unmounted and detached before its snapshot"
        assert told in deploy("snapshot", name, "--bytes", 1).output

    @pytest.mark.parametrize(
        ("changes", "message"),
        [
            (("--zone", "us-east-1b"), "the AvailabilityZone must be us-east-1a"),
            (("--volume-type", "sc1"), "the VolumeType must be gp3"),
            (("--size", 1000), "has 155 GiB: for more tidy up first, not 1000"),
            (("--encrypted",), "is not encrypted: for one that is tidy up first\n"),
        ],
    )
    @pytest.mark.parametrize("verb", [("volume", *RIGHTS), ("plan", *MACHINES)], ids=lambda v: v[0])
    def test_another_volume_than_is_there_is_refused(self, ec2, name, verb, changes, message):
        cloud.create_volume(ec2, name, cloud.volume_request(name, 150 * 10**9, "us-east-1a"))
        done = deploy(verb[0], name, *FILLING, *verb[1:], *changes)
        assert done.exit_code == 1
        assert message in done.output

    def test_machines_of_another_kind_are_refused(self, ec2, name):
        volume = cloud.create_volume(ec2, name, cloud.volume_request(name, 1, "us-east-1a"))
        cloud.snapshot_volume(ec2, name, volume, 1)
        (machine,) = deploy("launch", name, *MACHINES[:-2], "--yes").output.split()
        done = deploy("launch", name, *MACHINES[:-4], "--type", "p5.48xlarge")
        assert done.exit_code == 1
        assert f"{machine} of {name} runs already" in done.output
        # Its own volume has the same label as another would have.
        twice = deploy("attach", name, machine)
        assert twice.exit_code == 1
        assert re.search(rf"{machine} has vol-\w+ of {name} already: take another", twice.output)


def test_a_rehearsal_that_aws_refuses_ends_with_status_1(ec2, name):
    done = deploy("volume", name, *FILLING, *RIGHTS[:1], "nobody")
    assert done.exit_code == 1
    assert "2. RunInstances: AWS refuses RunInstances" in done.output
    assert f"{NOTHING}Error: AWS refuses RunInstances" in done.output


class TestFailures:
    def test_a_machine_that_fails_leaves_its_reason_and_what_is_there(self, ec2, name):
        done = fill(ec2, name, "failed: install imnetlib")
        assert done.exit_code == 1
        (volume,) = cloud.list_resources(ec2, name, "volume")
        assert f"{volume.id} is not filled (failed: install imnetlib)" in done.output
        told = f"there, and to be paid: {volume.id}: the same command goes on, imnet deploy tidy"
        assert told in done.output
        refused = deploy("snapshot", name, "--yes")
        assert refused.exit_code == 1
        assert f"{volume.id} has no mark that it was filled" in refused.output
        assert "has no mark" in deploy("snapshot", name).output

    def test_nothing_is_made_when_a_later_step_is_refused(self, ec2, name):
        done = deploy("volume", name, *FILLING, *RIGHTS[:1], "nobody", "--yes")
        assert done.exit_code == 1
        assert "Error: AWS refuses RunInstances" in done.output
        assert done.output.endswith("; nothing of this deployment is there\n")
        assert cloud.list_resources(ec2, name) == []

    @pytest.mark.parametrize(
        ("arguments", "message"),
        [
            (("snapshot", "none"), "none has no volume: imnet deploy volume makes it"),
            (("launch", "none", *MACHINES), "none has no complete snapshot in us-east-1"),
            (("attach", "none", "i-1"), "none has no complete snapshot in us-east-1"),
            (("tidy", "none", "--snapshot", "snap-1"), "none has the snapshots (none), not"),
            (("list", "aws:x"), "a deployment's name must not begin with aws:"),
            (
                ("volume", "n", "bucket/v1", *FILLING[1:], *RIGHTS),
                "the backup is at s3://BUCKET/PREFIX",
            ),
            (("volume", "n", *FILLING, *RIGHTS, "--size", 3), "size must be 155 GiB or more"),
            (
                ("volume", "n", *FILLING[:3], "--package", "s3://b/w.whl", *FILLING[5:], *RIGHTS),
                "a package in S3 keeps the name that pip gave it",
            ),
        ],
    )
    def test_bad_input_is_a_sentence(self, ec2, arguments, message):
        done = deploy(*arguments)
        assert done.exit_code == 1
        assert done.output.startswith("Error: ")
        assert message in done.output

    @pytest.mark.parametrize(
        "option", ["--region", "--zone", "--image", "--type", "--security-group", *RIGHTS[:1]]
    )
    def test_an_option_of_an_unset_variable_is_wrong_usage(self, ec2, option):
        done = deploy("volume", "n", *FILLING, *RIGHTS, option, "")
        assert done.exit_code == 2
        assert f"Invalid value for '{option}': it is empty" in done.output

    @pytest.mark.parametrize("number", ["nan", "inf"])
    @pytest.mark.parametrize("option", ["--gb", "--hours"])
    def test_numbers_are_finite(self, ec2, option, number):
        done = deploy("volume", "n", *FILLING, *RIGHTS, option, number)
        assert done.exit_code == 2
        assert f"Invalid value for '{option}': {number} is no finite number" in done.output

    @pytest.mark.parametrize(
        ("changes", "message"),
        [
            ({"AWS_ACCESS_KEY_ID": None}, "no keys of AWS were found"),
            ({"AWS_SECRET_ACCESS_KEY": None}, "of the keys of AWS one part is missing"),
            ({"AWS_DEFAULT_REGION": None}, "no region is set: give --region"),
            ({"AWS_PROFILE": "nobody"}, "profile (nobody) could not be found"),
            ({"AWS_ENDPOINT_URL": "http://127.0.0.1:9"}, "Could not connect to the endpoint URL"),
            ({"AWS_DEFAULT_REGION": ""}, "no region is set: give --region"),
            (
                {"AWS_ENDPOINT_URL": "nonsense"},
                "Invalid endpoint: nonsense: write http://HOST:PORT",
            ),
            ({"AWS_DEFAULT_REGION": "-"}, "'-'"),
        ],
    )
    def test_keys_regions_and_addresses_that_will_not_do(
        self, ec2, monkeypatch, changes: dict[str, str | None], message: str
    ):
        for variable, value in {**aws.NO_SETTINGS, **changes}.items():
            if value is None:
                monkeypatch.delenv(variable)
            else:
                monkeypatch.setenv(variable, value)
        monkeypatch.setattr(QUOTA, lambda *_: False)
        done = deploy("list")
        assert done.exit_code == 1
        assert done.output.startswith("Error: ")
        assert message in done.output

    def test_an_address_may_be_given_to_each_verb(self, ec2, endpoint, monkeypatch):
        monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
        monkeypatch.delenv("AWS_DEFAULT_REGION")
        here = ("--endpoint-url", endpoint, "--region", "us-west-2")
        assert deploy("list", *here).output == "nothing\n"
        assert deploy("tidy", "n", "--yes", *here).exit_code == 0


def test_the_help_shows_commands_to_copy_line_by_line():
    shown = deploy("--help").output
    assert "\n    imnet deploy snapshot NAME --yes\n    imnet deploy launch NAME" in shown
    assert "\\b" not in shown
