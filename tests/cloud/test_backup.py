"""A backup is whole, goes on after a stop, and is restored byte for byte: over HTTP, with moto."""

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
from making import put, tree

from imnetlib import cloud
from imnetlib.course import aws

MIB = 1 << 20
# In parts of the smallest size that S3 takes.
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
    """Three files: one that is sent in three parts, one in a subfolder, an empty one."""
    shards = tmp_path / "shards"
    put(shards, {"a.rec": os.urandom(12 * MIB + 3), "more/b c.idx": b"0\t0\n", "z": b""})
    return shards


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
    """Expect a stop just before an object of this name is sent."""

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
        assert tree(tmp_path / "back") == tree(folder)

    def test_the_manifest_is_a_sorted_table_that_other_tools_can_read(self, s3, bucket, folder):
        cloud.back_up(folder, s3, bucket, "p")
        text = s3.get_object(Bucket=bucket, Key=f"p/{cloud.MANIFEST}")["Body"].read().decode()
        lines = [
            f"{zlib.crc32(data):08x}\t{len(data)}\t{name}"
            for name, data in sorted(tree(folder).items())
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
        message = rf"{bucket}/p/{cloud.MANIFEST} is missing: .* never finished"
        with pytest.raises(cloud.BackupError, match=message):
            cloud.verify_backup(s3, bucket, "p")
        operations.clear()
        assert cloud.back_up(folder, s3, bucket, "p").moved == 1
        # The file that was missing, and the manifest.
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
        assert tree(tmp_path / "back") == tree(folder)

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
        message = r"z changed while it was sent: let its writer finish"
        with pytest.raises(cloud.BackupError, match=message):
            cloud.back_up(folder, s3, bucket, "p", IN_PARTS)
        s3.meta.events.unregister("before-call.s3.PutObject", grow)
        with pytest.raises(cloud.BackupError, match="never finished"):
            cloud.read_manifest(s3, bucket, "p")

    def test_temporary_files_stay_out_and_linked_files_go_as_files(
        self, s3, bucket, folder, tmp_path
    ):
        put(folder, {".a.rec.host~1~00.tmp": b"half", ".ipynb_checkpoints/x": b"x"})
        (folder / "link").symlink_to(folder / "a.rec")
        assert cloud.back_up(folder, s3, bucket, "p").files == 4
        names = {entry.name for entry in cloud.read_manifest(s3, bucket, "p")}
        assert names == {"a.rec", "link", "more/b c.idx", "z"}

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
        message = r"^s3://no-such-bucket/p: there is no such bucket"
        with pytest.raises(cloud.BackupError, match=message):
            cloud.back_up(folder, s3, "no-such-bucket", "p")
        with pytest.raises(cloud.BackupError, match=message):
            cloud.restore(s3, "no-such-bucket", "p", tmp_path / "back")
        assert not (tmp_path / "back").exists()

    def test_no_permission(self, s3, bucket, folder):
        with Stubber(s3) as stub:
            stub.add_client_error("head_bucket", "403", "Forbidden", http_status_code=403)
            message = rf"^s3://{bucket}/p: this key may not do that"
            with pytest.raises(cloud.BackupError, match=message):
                cloud.back_up(folder, s3, bucket, "p")

    def test_a_server_that_is_not_there(self, folder):
        nobody = aws.local_client("s3", "http://127.0.0.1:9", "us-east-1")
        with pytest.raises(cloud.BackupError, match=r"^s3://bucket/p: Could not connect"):
            cloud.back_up(folder, nobody, "bucket", "p")

    @pytest.mark.parametrize(
        "name", ["é ☃.rec", "a+b&c=d%20#?.rec", 'it\'s "x"', "back\\slash", "-", "~", "a..b"]
    )
    def test_names_survive(self, s3, bucket, tmp_path, name):
        put(tmp_path / "sent", {f"{name}/{name}": name.encode()})
        cloud.back_up(tmp_path / "sent", s3, bucket, "p")
        assert cloud.back_up(tmp_path / "sent", s3, bucket, "p").moved == 0
        cloud.restore(s3, bucket, "p", tmp_path / "back")
        assert tree(tmp_path / "back") == {f"{name}/{name}": name.encode()}

    def test_without_a_prefix(self, s3, bucket, folder, tmp_path):
        cloud.back_up(folder, s3, bucket, "")
        assert s3.head_object(Bucket=bucket, Key="more/b c.idx")["ContentLength"] == 4
        cloud.restore(s3, bucket, "/", tmp_path / "back")
        assert tree(tmp_path / "back") == tree(folder)


class TestRestore:
    def test_another_object_of_the_same_size_is_caught_and_the_others_restored(
        self, s3, stored, folder, tmp_path
    ):
        s3.put_object(Bucket=stored, Key="p/more/b c.idx", Body=b"1\t1\n")
        (problem,) = cloud.verify_backup(s3, stored, "p")
        right, wrong = (f"{zlib.crc32(data):08x}" for data in (b"0\t0\n", b"1\t1\n"))
        assert problem == f"more/b c.idx has 4 bytes and CRC32 {wrong}, not 4 and {right}"
        message = r"1 of 3 files could not be restored: more/b c\.idx has 4 bytes"
        with pytest.raises(cloud.BackupError, match=message):
            cloud.restore(s3, stored, "p", tmp_path / "back")
        others = tree(folder)
        del others["more/b c.idx"]
        assert tree(tmp_path / "back") == others

    def test_wrong_bytes_under_the_right_checksum_never_get_the_name(
        self, s3, stored, folder, tmp_path
    ):
        """moto believes any checksum, as a broken store might; boto3 compares none of a part."""
        content = bytearray((folder / "a.rec").read_bytes())
        crc32 = base64.b64encode(zlib.crc32(content).to_bytes(4, "big")).decode()
        content[-1] ^= 1
        checksum = {"ChecksumAlgorithm": "CRC32", "ChecksumCRC32": crc32}
        s3.put_object(Bucket=stored, Key="p/a.rec", Body=bytes(content), **checksum)
        assert cloud.verify_backup(s3, stored, "p") == []
        # boto3 fetches it without an error.
        s3.download_file(stored, "p/a.rec", str(tmp_path / "unproved"), Config=IN_PARTS)
        message = r"1 of 3 files could not be restored: a\.rec has"
        with pytest.raises(cloud.BackupError, match=message):
            cloud.restore(s3, stored, "p", tmp_path / "back", IN_PARTS)
        # No temporary file is left.
        assert sorted(tree(tmp_path / "back")) == ["more/b c.idx", "z"]

    def test_a_missing_object_is_named(self, s3, stored, tmp_path):
        s3.delete_object(Bucket=stored, Key="p/z")
        assert cloud.verify_backup(s3, stored, "p") == ["z is missing"]
        message = "1 of 3 files could not be restored: z is missing"
        with pytest.raises(cloud.BackupError, match=message):
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
        # The two, and the manifest.
        assert operations.count("GetObject") == 3
        assert tree(back) == tree(folder)

    @pytest.mark.parametrize(
        "name", ["../evil", "/tmp/evil", "a/../../evil", "..", "", "link/evil"]
    )
    def test_a_manifest_cannot_lead_out_of_the_folder(self, s3, bucket, tmp_path, name):
        back = tmp_path / "in" / "back"
        back.mkdir(parents=True)
        (back / "link").symlink_to(tmp_path)
        s3.put_object(Bucket=bucket, Key=f"p/{name}", Body=b"evil")
        manifest = f"crc32\tbytes\tname\n{zlib.crc32(b'evil'):08x}\t4\t{name}\n"
        s3.put_object(Bucket=bucket, Key=f"p/{cloud.MANIFEST}", Body=manifest.encode())
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
        message = rf"p/{cloud.MANIFEST} is no manifest: run the backup again"
        with pytest.raises(cloud.BackupError, match=message):
            cloud.restore(s3, bucket, "p", tmp_path / "back")

    def test_too_little_room_is_seen_before_anything_is_fetched(
        self, s3, stored, tmp_path, monkeypatch, operations
    ):
        monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=10))
        with pytest.raises(OSError, match="10 bytes free and 12,582,919 are needed: make room"):
            cloud.restore(s3, stored, "p", tmp_path / "back")
        # That is the manifest.
        assert operations.count("GetObject") == 1


def test_a_checksum_of_checksums_is_none_of_the_object(s3: Any):
    """S3's own answer about an object that another tool sent in parts; moto leaves the -3 away."""
    manifest = io.BytesIO(b"crc32\tbytes\tname\n00000000\t9\ta\n")
    with Stubber(s3) as stub:
        stub.add_response("head_bucket", {})
        stub.add_response("head_object", {"ContentLength": 30})
        stub.add_response("get_object", {"Body": StreamingBody(manifest, 30)})
        answer = {"ContentLength": 9, "ChecksumCRC32": "AAAAAA==-3", "ChecksumType": "COMPOSITE"}
        stub.add_response("head_object", answer)
        problems = cloud.verify_backup(s3, "bucket", "p")
    assert problems == ["a has 9 bytes and CRC32 unknown, not 9 and 00000000"]


PRINTING_EACH_TRANSFER = """
import os
from types import SimpleNamespace
from imnetlib import cli
from imnetlib.cloud import backup

def printing(transfer):
    def transfer_and_print(store, entry, path, _):
        tell = lambda what: os.write(1, f"{what} {entry.name}\\n".encode())
        transfer(store, entry, path, SimpleNamespace(update=lambda _: tell("some of")))
        tell("all of")
    return transfer_and_print

backup._Store.send = printing(backup._Store.send)
backup._Store.fetch = printing(backup._Store.fetch)
cli.main()
"""


def killed_in_the_second(command: list[str], environment: dict[str, str]) -> tuple[list[str], int]:
    """The names that a call finished, and its exit status; killed in the midst of the second."""
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
    put(sent, {f"{number}.rec": os.urandom(12 * MIB) for number in range(5)})
    with aws.local_endpoint() as url:
        s3 = aws.local_client("s3", url, "us-east-1")
        s3.create_bucket(Bucket="shards")
        if verb == "restore":
            cloud.back_up(sent, s3, "shards", "v1")
        made_up = dict.fromkeys(("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"), "made-up")
        environment = {**os.environ, "AWS_ENDPOINT_URL": url, **made_up}
        places = {"backup": [str(sent), "s3://shards/v1"], "restore": ["s3://shards/v1", str(back)]}
        command = [sys.executable, "-c", PRINTING_EACH_TRANSFER, verb, *places[verb]]
        finished, status = killed_in_the_second(command, environment)
        assert status < 0
        while status < 0:
            more, status = killed_in_the_second(command, environment)
            assert set(finished).isdisjoint(more)
            finished += more
        assert status == 0
        cloud.restore(s3, "shards", "v1", back)
    # No temporary file is left.
    assert tree(back) == tree(sent)
