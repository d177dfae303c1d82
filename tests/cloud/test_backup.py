"""A backup is whole, goes on after a break, and is restored byte for byte or not at all: over HTTP,
with moto.
"""

from __future__ import annotations

import base64
import io
import itertools
import os
import shutil
import subprocess
import sys
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from boto3.s3.transfer import TransferConfig
from botocore.response import StreamingBody
from botocore.stub import Stubber

from imnetlib import cloud
from imnetlib.course import aws

MIB = 1 << 20
# S3's smallest part
IN_PARTS = TransferConfig(multipart_threshold=5 * MIB, multipart_chunksize=5 * MIB)
NUMBERS = itertools.count()


@pytest.fixture(scope="module")
def s3() -> Iterator[Any]:
    with aws.local_endpoint() as url:
        yield aws.local_client("s3", url, "us-east-1")


@pytest.fixture
def bucket(s3: Any) -> str:
    name = f"bucket-{next(NUMBERS)}"
    s3.create_bucket(Bucket=name)
    return name


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Three files: one that goes in three parts, one in a folder below, an empty one."""
    made = tmp_path / "shards"
    (made / "more").mkdir(parents=True)
    (made / "a.rec").write_bytes(os.urandom(12 * MIB + 3))
    (made / "more" / "b c.idx").write_bytes(b"0\t0\n")
    (made / "z").touch()
    return made


def contents(folder: Path) -> dict[str, bytes]:
    files = (path for path in folder.rglob("*") if path.is_file())
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in files}


@pytest.fixture
def operations(s3: Any) -> Iterator[list[str]]:
    """The names of the requests made from here on."""
    seen: list[str] = []

    def note(model: Any, **_: Any) -> None:
        seen.append(model.name)

    s3.meta.events.register("before-call.s3", note)
    yield seen
    s3.meta.events.unregister("before-call.s3", note)


@pytest.fixture
def stored(s3: Any, bucket: str, folder: Path) -> str:
    """A bucket with a whole backup under p/."""
    cloud.back_up(folder, s3, bucket, "p", IN_PARTS)
    return bucket


@contextmanager
def stopped_at(s3: Any, name: str) -> Iterator[None]:
    """Expect a break just before an object of this name goes."""

    def stop(params: Any, **_: Any) -> None:
        if params["url_path"].endswith(f"/{name}"):
            raise RuntimeError("stopped")

    s3.meta.events.register("before-call.s3.PutObject", stop)
    with pytest.raises(RuntimeError, match="stopped"):
        yield
    s3.meta.events.unregister("before-call.s3.PutObject", stop)


class TestBackup:
    def test_round_trip_in_parts(self, s3, bucket, folder, tmp_path, operations):
        report = cloud.back_up(folder, s3, bucket, "imagenet/v1", IN_PARTS)
        size = 12 * MIB + 3 + 4
        assert report == cloud.BackupReport(files=3, bytes=size, moved=3, bytes_moved=size)
        assert operations.count("UploadPart") == 3
        assert cloud.verify_backup(s3, bucket, "imagenet/v1") == []
        back = cloud.restore(s3, bucket, "imagenet/v1", tmp_path / "back", IN_PARTS)
        assert back == report
        assert contents(tmp_path / "back") == contents(folder)

    def test_the_manifest_is_a_sorted_table_that_other_tools_can_read(self, s3, bucket, folder):
        cloud.back_up(folder, s3, bucket, "p")
        text = s3.get_object(Bucket=bucket, Key=f"p/{cloud.MANIFEST}")["Body"].read().decode()
        lines = [
            f"{zlib.crc32(data):08x}\t{len(data)}\t{name}"
            for name, data in sorted(contents(folder).items())
        ]
        assert text == "\n".join(["crc32\tbytes\tname", *lines, ""])

    @pytest.mark.parametrize("transfer", [None, IN_PARTS])
    def test_a_second_backup_sends_nothing(self, s3, bucket, folder, operations, transfer):
        first = cloud.back_up(folder, s3, bucket, "p", transfer)
        operations.clear()
        again = cloud.back_up(folder, s3, bucket, "p", transfer)
        assert again == cloud.BackupReport(first.files, first.bytes, moved=0, bytes_moved=0)
        assert operations == ["HeadBucket", "HeadObject", "HeadObject", "HeadObject", "PutObject"]

    def test_a_changed_file_of_the_same_size_and_time_is_sent_again(self, s3, bucket, folder):
        cloud.back_up(folder, s3, bucket, "p")
        before = (folder / "a.rec").stat()
        content = bytearray((folder / "a.rec").read_bytes())
        content[777] ^= 1
        (folder / "a.rec").write_bytes(content)
        os.utime(folder / "a.rec", ns=(before.st_atime_ns, before.st_mtime_ns))
        assert cloud.back_up(folder, s3, bucket, "p").moved == 1
        assert cloud.verify_backup(s3, bucket, "p") == []

    def test_a_stopped_backup_goes_on_and_has_no_manifest_before(
        self, s3, bucket, folder, operations
    ):
        with stopped_at(s3, "z"):
            cloud.back_up(folder, s3, bucket, "p")
        with pytest.raises(
            cloud.BackupError, match=rf"{bucket}/p/{cloud.MANIFEST} is missing: .* never finished"
        ):
            cloud.verify_backup(s3, bucket, "p")
        operations.clear()
        assert cloud.back_up(folder, s3, bucket, "p").moved == 1
        # the file that was missing and the manifest
        assert operations.count("PutObject") == 2
        assert cloud.verify_backup(s3, bucket, "p") == []

    @pytest.mark.parametrize(("last", "left"), [("b%20c.idx", 2), ("z", 1)])
    def test_a_stopped_second_backup_is_not_taken_for_the_first(
        self, s3, stored, folder, tmp_path, last, left
    ):
        for name in ("more/b c.idx", "z"):
            (folder / name).write_bytes(b"new")
        with stopped_at(s3, last):
            cloud.back_up(folder, s3, stored, "p", IN_PARTS)
        for call in (cloud.read_manifest, cloud.verify_backup):
            with pytest.raises(cloud.BackupError, match="never finished"):
                call(s3, stored, "p")
        assert cloud.back_up(folder, s3, stored, "p", IN_PARTS).moved == left
        cloud.restore(s3, stored, "p", tmp_path / "back")
        assert contents(tmp_path / "back") == contents(folder)

    def test_an_object_without_a_checksum_of_the_whole_is_sent_again(self, s3, bucket, folder):
        """As other tools leave it: right bytes in parts, with a checksum of checksums or none."""
        s3.upload_file(str(folder / "a.rec"), bucket, "p/a.rec", Config=IN_PARTS)
        s3.put_object(Bucket=bucket, Key="p/z", ChecksumAlgorithm="SHA256")
        assert cloud.back_up(folder, s3, bucket, "p", IN_PARTS).moved == 3
        assert cloud.verify_backup(s3, bucket, "p") == []

    def test_a_file_that_changes_meanwhile_is_named_and_no_manifest_written(
        self, s3, bucket, folder
    ):
        def grow(params: Any, **_: Any) -> None:
            with (folder / "z").open("ab") as file:
                file.write(b"more")

        s3.meta.events.register("before-call.s3.PutObject", grow)
        with pytest.raises(
            cloud.BackupError, match=r"z changed while it was sent: let its writer finish"
        ):
            cloud.back_up(folder, s3, bucket, "p", IN_PARTS)
        s3.meta.events.unregister("before-call.s3.PutObject", grow)
        with pytest.raises(cloud.BackupError, match="never finished"):
            cloud.read_manifest(s3, bucket, "p")

    def test_temporary_files_stay_out_and_linked_files_go_as_files(
        self, s3, bucket, folder, tmp_path
    ):
        (folder / ".a.rec.host~1~00.tmp").write_bytes(b"half")
        (folder / ".ipynb_checkpoints").mkdir()
        (folder / ".ipynb_checkpoints" / "x").write_bytes(b"x")
        (folder / "link").symlink_to(folder / "a.rec")
        assert cloud.back_up(folder, s3, bucket, "p").files == 4
        assert {entry.name for entry in cloud.read_manifest(s3, bucket, "p")} == {
            "a.rec", "link", "more/b c.idx", "z",
        }  # fmt: skip

    def test_what_cannot_be_backed_up_is_named(self, s3, bucket, folder, tmp_path):
        (folder / "gone").symlink_to(folder / "nowhere")
        with pytest.raises(ValueError, match=r"gone' cannot be backed up: no plain file"):
            cloud.back_up(folder, s3, bucket, "p")
        (folder / "gone").unlink()
        (folder / "elsewhere").symlink_to(tmp_path)
        with pytest.raises(ValueError, match=r"elsewhere' cannot be backed up"):
            cloud.back_up(folder, s3, bucket, "p")
        (folder / "elsewhere").unlink()
        (folder / "new\nline").touch()
        with pytest.raises(ValueError, match=r"new\\nline' cannot be backed up"):
            cloud.back_up(folder, s3, bucket, "p")

    @pytest.mark.parametrize("make", [True, False])
    def test_an_empty_or_missing_folder_is_refused(self, s3, bucket, tmp_path, make):
        if make:
            (tmp_path / "empty").mkdir()
        with pytest.raises(ValueError, match=r"empty holds no files to back up"):
            cloud.back_up(tmp_path / "empty", s3, bucket, "p")

    def test_no_bucket(self, s3, folder, tmp_path):
        for call in (
            lambda: cloud.back_up(folder, s3, "no-such-bucket", "p"),
            lambda: cloud.restore(s3, "no-such-bucket", "p", tmp_path / "back"),
        ):
            with pytest.raises(
                cloud.BackupError, match=r"^s3://no-such-bucket/p: there is no such bucket"
            ):
                call()
        assert not (tmp_path / "back").exists()

    def test_no_permission(self, s3, bucket, folder):
        with Stubber(s3) as stub:
            stub.add_client_error("head_bucket", "403", "Forbidden", http_status_code=403)
            with pytest.raises(
                cloud.BackupError, match=rf"^s3://{bucket}/p: this key may not do that"
            ):
                cloud.back_up(folder, s3, bucket, "p")

    def test_a_server_that_is_not_there(self, folder):
        nobody = aws.local_client("s3", "http://127.0.0.1:9", "us-east-1")
        with pytest.raises(cloud.BackupError, match=r"^s3://bucket/p: Could not connect"):
            cloud.back_up(folder, nobody, "bucket", "p")

    @pytest.mark.parametrize(
        "name", ["é ☃.rec", "a+b&c=d%20#?.rec", 'it\'s "x"', "back\\slash", "-", "~", "a..b"]
    )
    def test_names_survive(self, s3, bucket, tmp_path, name):
        (tmp_path / "sent" / name).mkdir(parents=True)
        (tmp_path / "sent" / name / name).write_bytes(name.encode())
        cloud.back_up(tmp_path / "sent", s3, bucket, "p")
        assert cloud.back_up(tmp_path / "sent", s3, bucket, "p").moved == 0
        cloud.restore(s3, bucket, "p", tmp_path / "back")
        assert contents(tmp_path / "back") == {f"{name}/{name}": name.encode()}

    def test_without_a_prefix(self, s3, bucket, folder, tmp_path):
        cloud.back_up(folder, s3, bucket, "")
        assert s3.head_object(Bucket=bucket, Key="more/b c.idx")["ContentLength"] == 4
        cloud.restore(s3, bucket, "/", tmp_path / "back")
        assert contents(tmp_path / "back") == contents(folder)


class TestRestore:
    def test_another_object_of_the_same_size_is_caught_and_the_others_restored(
        self, s3, stored, folder, tmp_path
    ):
        s3.put_object(Bucket=stored, Key="p/more/b c.idx", Body=b"1\t1\n")
        (problem,) = cloud.verify_backup(s3, stored, "p")
        right, wrong = (f"{zlib.crc32(data):08x}" for data in (b"0\t0\n", b"1\t1\n"))
        assert problem == f"more/b c.idx has 4 bytes and CRC32 {wrong}, not 4 and {right}"
        with pytest.raises(
            cloud.BackupError,
            match=r"1 of 3 files could not be restored: more/b c\.idx has 4 bytes",
        ):
            cloud.restore(s3, stored, "p", tmp_path / "back")
        wanted = contents(folder)
        del wanted["more/b c.idx"]
        assert contents(tmp_path / "back") == wanted

    def test_wrong_bytes_under_the_right_checksum_never_get_the_name(
        self, s3, stored, folder, tmp_path
    ):
        """moto believes any checksum, as a broken store or line might; boto3 checks none that comes
        in parts.
        """
        content = bytearray((folder / "a.rec").read_bytes())
        crc32 = base64.b64encode(zlib.crc32(content).to_bytes(4, "big")).decode()
        content[-1] ^= 1
        s3.put_object(
            Bucket=stored,
            Key="p/a.rec",
            Body=bytes(content),
            ChecksumAlgorithm="CRC32",
            ChecksumCRC32=crc32,
        )
        assert cloud.verify_backup(s3, stored, "p") == []
        # not a word
        s3.download_file(stored, "p/a.rec", str(tmp_path / "unproved"), Config=IN_PARTS)
        with pytest.raises(
            cloud.BackupError, match=r"1 of 3 files could not be restored: a\.rec has"
        ):
            cloud.restore(s3, stored, "p", tmp_path / "back", IN_PARTS)
        # and no temporary file
        assert sorted(contents(tmp_path / "back")) == ["more/b c.idx", "z"]

    def test_a_missing_object_is_named(self, s3, stored, tmp_path):
        s3.delete_object(Bucket=stored, Key="p/z")
        assert cloud.verify_backup(s3, stored, "p") == ["z is missing"]
        with pytest.raises(
            cloud.BackupError, match="1 of 3 files could not be restored: z is missing"
        ):
            cloud.restore(s3, stored, "p", tmp_path)

    def test_only_what_is_missing_or_wrong_is_fetched(
        self, s3, stored, folder, tmp_path, operations
    ):
        back = tmp_path / "back"
        shutil.copytree(folder, back)
        (back / "z").unlink()
        (back / "more" / "b c.idx").write_bytes(b"9\t9\n")
        operations.clear()
        report = cloud.restore(s3, stored, "p", back)
        assert (report.moved, report.bytes_moved) == (2, 4)
        # with the manifest
        assert operations.count("GetObject") == 3
        assert contents(back) == contents(folder)

    @pytest.mark.parametrize(
        "name", ["../evil", "/tmp/evil", "a/../../evil", "..", "", "link/evil"]
    )
    def test_a_manifest_cannot_lead_out_of_the_folder(self, s3, bucket, tmp_path, name):
        back = tmp_path / "in" / "back"
        back.mkdir(parents=True)
        (back / "link").symlink_to(tmp_path)
        s3.put_object(Bucket=bucket, Key=f"p/{name}", Body=b"evil")
        line = f"{zlib.crc32(b'evil'):08x}\t4\t{name}\n"
        s3.put_object(
            Bucket=bucket, Key=f"p/{cloud.MANIFEST}", Body=f"crc32\tbytes\tname\n{line}".encode()
        )
        with pytest.raises(cloud.BackupError, match=r"leads out of .*: nothing was fetched"):
            cloud.restore(s3, bucket, "p", back)
        assert sorted(path.name for path in tmp_path.rglob("*")) == ["back", "in", "link"]

    @pytest.mark.parametrize(
        "text",
        [
            "",
            "<html>",
            "crc32\tbytes\tname\n00000000\t0",
            "crc32\tbytes\tname\n00000000\tmany\tz\n",
        ],
    )
    def test_a_damaged_manifest_is_refused(self, s3, bucket, tmp_path, text):
        s3.put_object(Bucket=bucket, Key=f"p/{cloud.MANIFEST}", Body=text.encode())
        with pytest.raises(
            cloud.BackupError, match=rf"p/{cloud.MANIFEST} is no manifest: run the backup again"
        ):
            cloud.restore(s3, bucket, "p", tmp_path / "back")

    def test_too_little_room_is_seen_before_anything_is_fetched(
        self, s3, stored, tmp_path, monkeypatch, operations
    ):
        monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=10))
        with pytest.raises(OSError, match="10 bytes free and 12,582,919 are needed: make room"):
            cloud.restore(s3, stored, "p", tmp_path / "back")
        # the manifest
        assert operations.count("GetObject") == 1


def test_a_checksum_of_checksums_is_none_of_the_object(s3: Any):
    """What S3 itself says of an object that another tool sent in parts; moto leaves the -3 away."""
    manifest = io.BytesIO(b"crc32\tbytes\tname\n00000000\t9\ta\n")
    with Stubber(s3) as stub:
        stub.add_response("head_bucket", {})
        stub.add_response("head_object", {"ContentLength": 30})
        stub.add_response("get_object", {"Body": StreamingBody(manifest, 30)})
        answer = {"ContentLength": 9, "ChecksumCRC32": "AAAAAA==-3", "ChecksumType": "COMPOSITE"}
        stub.add_response("head_object", answer)
        problems = cloud.verify_backup(s3, "bucket", "p")
    assert problems == ["a has 9 bytes and CRC32 unknown, not 9 and 00000000"]


TELLING = """
import os
from types import SimpleNamespace
from imnetlib import cli
from imnetlib.cloud import backup

def told(transfer):
    def telling(store, entry, path, _):
        tell = lambda what: os.write(1, f"{what} {entry.name}\\n".encode())
        transfer(store, entry, path, SimpleNamespace(update=lambda _: tell("some of")))
        tell("all of")
    return telling

backup._Store.send, backup._Store.fetch = told(backup._Store.send), told(backup._Store.fetch)
cli.main()
"""


def killed_in_the_second(command: list[str], environment: dict[str, str]) -> tuple[list[str], int]:
    """The names that a call finished, and its exit status; killed when some of the second of them
    has gone.
    """
    finished: list[str] = []
    with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout
        for line in process.stdout:
            if line.startswith("all of "):
                finished.append(line[7:-1])
            elif line.startswith("some of ") and finished:
                process.kill()
    return finished, process.returncode


@pytest.mark.slow
@pytest.mark.parametrize("verb", ["backup", "restore"])
def test_killed_again_and_again_it_moves_no_finished_file_twice(tmp_path: Path, verb: str):
    sent = tmp_path / "sent"
    back = tmp_path / "back"
    sent.mkdir()
    for number in range(5):
        (sent / f"{number}.rec").write_bytes(os.urandom(12 * MIB))
    with aws.local_endpoint() as url:
        s3 = aws.local_client("s3", url, "us-east-1")
        s3.create_bucket(Bucket="shards")
        if verb == "restore":
            cloud.back_up(sent, s3, "shards", "v1")
        made_up = dict.fromkeys(("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"), "made-up")
        environment = {**os.environ, "AWS_ENDPOINT_URL": url, **made_up}
        places = {"backup": [str(sent), "s3://shards/v1"], "restore": ["s3://shards/v1", str(back)]}
        command = [sys.executable, "-c", TELLING, verb, *places[verb]]
        finished, status = killed_in_the_second(command, environment)
        assert status < 0
        while status < 0:
            more, status = killed_in_the_second(command, environment)
            assert set(finished).isdisjoint(more)
            finished += more
        assert status == 0
        cloud.restore(s3, "shards", "v1", back)
    # and no temporary file
    assert contents(back) == contents(sent)
