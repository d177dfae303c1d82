"""The scripts of user data: with commands that imitate a machine, and on a disk in a file."""

from __future__ import annotations

import hashlib
import os
import shlex
import subprocess
import sys
import uuid
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import Any

import pytest
from deploying import SCRIPT
from making import put, tree

from imnetlib import cloud
from imnetlib.course import aws

FILL = cloud.fill_script("vol-0123", "s3://bucket/it's", "git+https://host/x", "eu-west-1")
TABLE = "LABEL=/ / xfs defaults 0 0\n"
MIB = 1 << 20


def run(text: str, folder: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    """The outcome of a script whose fixed paths are made those of a folder."""
    for path in ("/etc/fstab", "/opt/imnetlib", "/mnt/imnetlib", "/var/lib/cloud/data/instance-id"):
        text = text.replace(path, str(folder / Path(path).name))
    # Of another name than the folder of programs.
    text = text.replace(f"folder={folder}/imnetlib", f"folder={folder}/mounted")
    found = {"PATH": f"{folder}/commands:{os.environ['PATH']}:/usr/sbin:/sbin", **environment}
    options: dict[str, Any] = {"cwd": folder, "env": found, "capture_output": True, "text": True}
    return subprocess.run(["bash", "-c", text], **options, check=False)


def commands(folder: Path, **bodies: str) -> None:
    """Commands that come before those of the system."""
    (folder / "commands").mkdir(exist_ok=True)
    for command, body in bodies.items():
        path = folder / "commands" / command.replace("python3_11", "python3.11")
        path.write_text(f"#!/bin/bash\n{body}\n")
        path.chmod(0o755)


@pytest.mark.parametrize(
    "script",
    [SCRIPT, cloud.mount_script("a_b-9", "/mnt/it's", 5), FILL],
    ids=["mount", "m", "fill"],
)
class TestShell:
    def test_bash_understands_it(self, script: str):
        subprocess.run(["bash", "-n"], input=script, text=True, check=True)
        # cloud-init runs nothing else.
        assert script.startswith("#!/bin/bash\n")
        assert len(script) < 8_000

    def test_shellcheck_finds_nothing(self, script: str):
        # The lock brings it, and puts it beside Python.
        found = {"PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}
        options = {"input": script, "text": True, "capture_output": True, "env": found}
        done = subprocess.run(["/usr/bin/env", "shellcheck", "-"], **options, check=False)
        assert (done.returncode, done.stdout) == (0, "")


class TestMountScript:
    @pytest.fixture
    def machine(self, tmp_path: Path) -> Path:
        """Commands that note how they were called; a table of mounts; a volume with a shard."""
        commands(
            tmp_path,
            blkid='echo "blkid $*" >> calls; (( $(grep -c ^blkid calls) > MISSES )) || exit 2; '
            'printf "%s\\n" $DEVICES',
            mountpoint="[ -e mounted ]",
            findmnt='echo "$SOURCE"',
            mount='echo "mount $*" >> calls; touch mounted; [ $EMPTY ] || touch data/a.rec',
            sleep="exit 0",
        )
        (tmp_path / "fstab").write_text(TABLE)
        return tmp_path

    def mount(
        self, machine: Path, seconds: int = 600, **changes: str
    ) -> subprocess.CompletedProcess[str]:
        script = cloud.mount_script("imagenet", f"{machine}/data", seconds)
        devices = {"DEVICES": "/dev/nvme2n1", "SOURCE": "/dev/nvme2n1", "MISSES": "0", "EMPTY": ""}
        return run(script, machine, **devices | changes)

    def line(self, machine: Path) -> str:
        return f"LABEL=imagenet {machine}/data ext4 ro,noload,nofail 0 0\n"

    def test_it_waits_for_the_volume_and_mounts_it_read_only(self, machine: Path):
        done = self.mount(machine, MISSES="3")
        assert (done.returncode, done.stderr) == (0, "")
        assert (machine / "calls").read_text().splitlines() == [
            *["blkid -c /dev/null -t LABEL=imagenet -o device"] * 4,
            f"mount -t ext4 -o ro,noload /dev/nvme2n1 {machine}/data",
        ]
        assert (machine / "fstab").read_text() == TABLE + self.line(machine)

    def test_a_second_run_changes_nothing(self, machine: Path):
        self.mount(machine)
        done = self.mount(machine)
        assert (done.returncode, done.stderr) == (0, "")
        assert (machine / "calls").read_text().count("mount -t") == 1
        assert (machine / "fstab").read_text().count("imagenet") == 1

    @pytest.mark.parametrize("table", ["", "a b c", "# a\n\n", TABLE + "LABEL=imagenet2 /x ext4"])
    def test_a_table_keeps_its_lines_and_gets_one_of_its_own(self, machine: Path, table: str):
        (machine / "fstab").write_text(table)
        assert self.mount(machine).returncode == 0
        lines = (machine / "fstab").read_text().splitlines(keepends=True)
        assert lines == [*(f"{line}\n" for line in table.splitlines()), self.line(machine)]

    @pytest.mark.parametrize(
        ("changes", "message"),
        [
            ({"MISSES": "9"}, "no volume is labelled imagenet: was the snapshot taken"),
            ({"DEVICES": "/dev/a /dev/b"}, "several volumes are labelled imagenet: detach all but"),
            ({"EMPTY": "1"}, "/dev/nvme2n1 is mounted at {0}/data, but no .rec is on it"),
            ({"mounted": "", "SOURCE": "/dev/sdz"}, "{0}/data has /dev/sdz mounted, not /dev/nvme"),
            ({"data/mine": ""}, "{0}/data holds files, which the volume would hide"),
        ],
    )
    def test_it_fails_with_one_sentence_and_leaves_the_table(
        self, machine: Path, changes: dict[str, str], message: str
    ):
        put(machine, {name: b"" for name in changes if name.islower()})
        done = self.mount(machine, 0, **{k: v for k, v in changes.items() if k.isupper()})
        assert done.returncode == 1
        assert done.stderr.startswith(message.format(machine))
        assert done.stderr.count("\n") == 1
        assert (machine / "fstab").read_text() == TABLE

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


def test_a_folder_may_be_a_path():
    assert cloud.mount_script("imagenet", PurePosixPath("/data")) == SCRIPT


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    """A blank disk of 64 MiB in a file, as a device of the system."""
    image = tmp_path / "image"
    image.touch()
    os.truncate(image, 64 * MIB)
    command = "losetup --find --show image && mkfs.ext4 -V && mountpoint /"
    made = subprocess.run(
        ["bash", "-c", command], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    if made.returncode:
        pytest.skip(f"this machine lends no disk to its users: {made.stderr.strip()}")
    device = Path(made.stdout.split()[0])
    yield device
    for _ in range(3):
        subprocess.run(["umount", str(device)], capture_output=True, check=False)
    subprocess.run(["losetup", "--detach", str(device)], check=True)


def mounts(device: Path) -> list[str]:
    """Where a device is mounted, and how."""
    lines = Path("/proc/mounts").read_text().splitlines()
    return [line for line in lines if line.startswith(f"{device} ")]


@pytest.fixture
def label() -> str:
    """One that no other disk of this machine has."""
    return uuid.uuid4().hex[:16]


class TestOnADisk:
    def format(self, disk: Path, label: str, tmp_path: Path, files: dict[str, bytes]) -> None:
        subprocess.run(["mkfs.ext4", "-q", "-L", label, str(disk)], check=True)
        folder = tmp_path / "prepared"
        folder.mkdir()
        subprocess.run(["mount", str(disk), str(folder)], check=True)
        put(folder, files)
        subprocess.run(["umount", str(folder)], check=True)

    def test_it_is_mounted_read_only_once(self, disk: Path, label: str, tmp_path: Path):
        self.format(disk, label, tmp_path, {"v1/a.rec": b"records"})
        (tmp_path / "fstab").write_text(TABLE.rstrip())
        before = hashlib.sha256(disk.read_bytes()).digest()
        script = cloud.mount_script(label, f"{tmp_path}/data", 5)
        for _ in range(2):
            done = run(script, tmp_path)
            assert (done.returncode, done.stderr) == (0, "")
            (line,) = mounts(disk)
            assert line.split()[1] == f"{tmp_path}/data"
            assert line.split()[3].startswith("ro,")
        assert (tmp_path / "data/v1/a.rec").read_bytes() == b"records"
        line = f"LABEL={label} {tmp_path}/data ext4 ro,noload,nofail 0 0\n"
        assert (tmp_path / "fstab").read_text() == TABLE + line
        assert hashlib.sha256(disk.read_bytes()).digest() == before

    def test_what_is_mounted_there_already_stays(self, disk: Path, label: str, tmp_path: Path):
        self.format(disk, label, tmp_path, {"a.rec": b""})
        (tmp_path / "data").mkdir()
        subprocess.run(["mount", "-t", "tmpfs", "other", str(tmp_path / "data")], check=True)
        try:
            done = run(cloud.mount_script(label, f"{tmp_path}/data", 5), tmp_path)
        finally:
            subprocess.run(["umount", str(tmp_path / "data")], check=True)
        assert done.returncode == 1
        assert done.stderr.startswith(f"{tmp_path}/data has other mounted, not {disk}")
        assert mounts(disk) == []

    def test_an_empty_volume_is_told(self, disk: Path, label: str, tmp_path: Path):
        self.format(disk, label, tmp_path, {"a.txt": b""})
        done = run(cloud.mount_script(label, f"{tmp_path}/data", 5), tmp_path)
        assert done.returncode == 1
        assert "but no .rec is on it" in done.stderr


FILES = {"a.rec": b"records" * 1000, "a.idx": b"0\t0\n", "synset.txt": b"n01440764\n"}


RAW = {
    "a database without a file system": (5 * MIB, b"rows"),
    # One partition, of Linux.
    "partitions": (446, b"\0\0\0\0\x83\0\0\0\0\x08\0\0\0\x08" + bytes(50) + b"\x55\xaa"),
}


# pip would refuse each of them, on a machine that is paid for.
NAMES = ["", "w.whl", "imnetlib.whl", "imnetlib-0.1.0.whl", "imnetlib-0.1.0-py3-none-any", "a/"]
PATHS = ["/tmp/a-1-py3-none-any.whl", "./a-1-py3-none-any.whl", "../a", "~/a", ".", "-r", "--pre"]


class TestFillScript:
    @pytest.mark.parametrize(
        "package",
        [
            "imnetlib",
            "imnetlib==0.1.0",
            "imnetlib @ git+https://host/repository@main",
            "https://host/imnetlib-0.1.0-py3-none-any.whl",
            "s3://b/imnetlib-0.1.0-py3-none-any.whl",
            "s3://b/a/b/imnetlib-0.1.0-1-cp311-cp311-manylinux_2_28_x86_64.whl",
        ],
    )
    def test_what_pip_takes_is_a_package(self, package: str):
        script = cloud.fill_script("vol-1", "s3://b/v1", package, "us-east-1")
        assert f"\npackage={shlex.quote(package)}\n" in script

    @pytest.fixture
    def backup(self, tmp_path: Path) -> Iterator[str]:
        """The address of an S3 with a backup."""
        put(tmp_path / "shards", FILES)
        with aws.local_endpoint() as url:
            s3 = aws.local_client("s3", url, "us-east-1")
            s3.create_bucket(Bucket="bucket")
            cloud.back_up(tmp_path / "shards", s3, "bucket", "v1")
            yield url

    @pytest.fixture
    def machine(self, tmp_path: Path) -> Path:
        """Amazon Linux's commands, noted; those on disks are real, and so is imnet restore."""
        imnet = f'exec {sys.executable} -c "from imnetlib.cli import main; main()" "$@"'
        commands(
            tmp_path,
            aws='echo "aws $*" >> calls',
            dnf='echo "dnf $*" >> calls',
            shutdown='echo "shutdown $*" >> calls',
            sleep="exit 0",
            python3_11='mkdir -p "$3/bin"; cp prepared/* "$3/bin"',
        )
        (tmp_path / "prepared").mkdir()
        for command, body in {"pip": 'echo "pip $*" >> calls', "imnet": imnet}.items():
            path = tmp_path / "prepared" / command
            path.write_text(f"#!/bin/bash\n{body}\n")
            path.chmod(0o755)
        (tmp_path / "instance-id").write_text("i-1\n")
        return tmp_path

    def fill(
        self, machine: Path, disk: Path, label: str, url: str, package: str = "imnetlib"
    ) -> subprocess.CompletedProcess[str]:
        script = cloud.fill_script("vol-0123", "s3://bucket/v1", package, "us-east-1", label)
        by_id = "/dev/disk/by-id/nvme-Amazon_Elastic_Block_Store_vol0123"
        keys = {"AWS_ACCESS_KEY_ID": "made-up", "AWS_SECRET_ACCESS_KEY": "made-up"}
        environment = keys | {"AWS_ENDPOINT_URL": url, "PYTHONPATH": os.pathsep.join(sys.path)}
        assert script.count(by_id) == 1
        return run(script.replace(by_id, str(disk)), machine, **environment)

    def mark(self, machine: Path) -> str:
        """The value of the tag; the machine has ended itself."""
        calls = (machine / "calls").read_text().splitlines()
        assert (calls[0], calls[-1]) == ("shutdown -h +4320", "shutdown -h now")
        head = "aws ec2 create-tags --resources vol-0123 --tags Key=imnetlib-filled,Value="
        (mark,) = [call for call in calls if call.startswith(head)]
        return mark.removeprefix(head)

    def test_a_blank_disk_is_filled_and_marked_and_a_second_run_goes_on(
        self, machine: Path, disk: Path, label: str, backup: str
    ):
        done = self.fill(
            machine, disk, label, backup, "s3://bucket/imnetlib-0.1.0-py3-none-any.whl"
        )
        assert done.returncode == 0, done.stderr
        total = sum(map(len, FILES.values()))
        assert self.mark(machine) == f"i-1 ok {total}"
        calls = (machine / "calls").read_text()
        assert (
            "aws s3 cp --no-progress s3://bucket/imnetlib-0.1.0-py3-none-any.whl /tmp/\n" in calls
        )
        assert "pip install -q /tmp/imnetlib-0.1.0-py3-none-any.whl boto3\n" in calls
        assert mounts(disk) == []
        (machine / "calls").unlink()
        assert self.fill(machine, disk, label, backup).returncode == 0
        assert self.mark(machine) == f"i-1 ok {total}"
        subprocess.run(["mount", "-o", "ro", str(disk), str(machine / "mounted")], check=True)
        assert tree(machine / "mounted") == FILES

    def test_what_a_killed_machine_has_left_is_neither_kept_nor_counted(
        self, machine: Path, disk: Path, label: str, backup: str
    ):
        subprocess.run(["mkfs.ext4", "-q", "-L", label, str(disk)], check=True)
        (machine / "killed").mkdir()
        subprocess.run(["mount", str(disk), str(machine / "killed")], check=True)
        half = {".a.rec.ip-10-0-0-1~2~0123abcd.tmp": b"rec", "v/.b.rec.x.y~99~fedcba98.tmp": b""}
        own = {".own~1.tmp": b"1", "notes~1~0123abcd.tmp": b"2"}
        put(machine / "killed", half | own)
        subprocess.run(["umount", str(machine / "killed")], check=True)
        done = self.fill(machine, disk, label, backup)
        assert done.returncode == 0, done.stderr
        assert self.mark(machine) == f"i-1 ok {sum(map(len, FILES.values())) + 2}"
        subprocess.run(["mount", "-o", "ro", str(disk), str(machine / "mounted")], check=True)
        assert tree(machine / "mounted") == FILES | own

    def test_an_object_that_is_wrong_leaves_no_mark_of_success(
        self, machine: Path, disk: Path, label: str, backup: str
    ):
        s3 = aws.local_client("s3", backup, "us-east-1")
        s3.put_object(Bucket="bucket", Key="v1/a.rec", Body=FILES["a.rec"][::-1])
        done = self.fill(machine, disk, label, backup)
        assert done.returncode != 0
        assert self.mark(machine) == "i-1 failed: restore the backup"
        assert mounts(disk) == []

    @pytest.mark.parametrize(
        "content", ["mkfs.ext4 -q -L other {0}", "mkfs.ext4 -q {0}", "mkswap -q -L {1} {0}", *RAW]
    )
    def test_a_disk_that_is_not_blank_is_left_alone(
        self, machine: Path, disk: Path, label: str, content: str
    ):
        if content in RAW:
            offset, data = RAW[content]
            with disk.open("r+b") as raw:
                raw.seek(offset)
                raw.write(data)
        else:
            subprocess.run(content.format(disk, label).split(), check=True, capture_output=True)
        before = hashlib.sha256(disk.read_bytes()).digest()
        done = self.fill(machine, disk, label, "http://127.0.0.1:9")
        assert done.returncode == 1
        message = f"vol-0123 is neither blank nor labelled {label}, so nothing is written to it:"
        assert message in done.stderr
        assert self.mark(machine) == "i-1 failed: look what is on the volume"
        assert hashlib.sha256(disk.read_bytes()).digest() == before

    def test_a_volume_that_never_comes_is_told(self, machine: Path):
        script = cloud.fill_script("vol-0123", "s3://bucket/v1", "imnetlib", "us-east-1")
        done = run(script.replace("SECONDS >= 600", "SECONDS >= 0"), machine)
        assert done.returncode == 1
        assert "vol-0123 was not attached within 600 s" in done.stderr
        assert self.mark(machine) == "i-1 failed: find the volume"

    @pytest.mark.parametrize(
        ("changes", "message"),
        [
            ({"label": "a b"}, "'a b' is no label"),
            ({"url": "bucket/v1"}, "the backup is at s3://BUCKET/PREFIX, not 'bucket/v1'"),
            ({"url": "s3://"}, "the backup is at s3://BUCKET/PREFIX, not 's3://'"),
            ({"package": " "}, "package is what pip shall install, not ' '"),
            *[({"package": f"s3://b/{name}"}, "a package in S3 keeps the name") for name in NAMES],
            *[({"package": path}, "the machine can fetch: put the .whl into S3") for path in PATHS],
        ],
    )
    def test_what_a_machine_would_fail_on_later_is_refused(
        self, changes: dict[str, str], message: str
    ):
        settings = {"volume": "vol-1", "url": "s3://b/v1", "package": "imnetlib", "region": "r"}
        with pytest.raises(ValueError, match=message):
            cloud.fill_script(**settings | changes)
