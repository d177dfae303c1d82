"""A backup is whole, goes on after a stop, and is restored byte for byte: over HTTP, with moto."""

from __future__ import annotations

import base64
import errno
import io
import itertools
import os
import re
import shutil
import socket
import time
import zlib
from collections.abc import Iterator
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from boto3.s3.transfer import TransferConfig
from botocore.response import StreamingBody
from botocore.stub import Stubber
from making import put, tree
from s3_stores import client

from imnetlib import cloud
from imnetlib.course import aws

MIB = 1 << 20
# In parts of the smallest size that S3 takes.
IN_PARTS = TransferConfig(multipart_threshold=5 * MIB, multipart_chunksize=5 * MIB)
NUMBERS = itertools.count()
# What one of the files holds, and as many other bytes.
IDX = b"0\t0\n"
OTHER = b"1\t1\n"


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
    """Three files: one that is sent in two parts, one in a subfolder, an empty one."""
    shards = tmp_path / "shards"
    put(shards, {"a.rec": os.urandom(5 * MIB + 3), "more/b c.idx": IDX, "z": b""})
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


@pytest.fixture
def unsendable(s3: Any) -> Iterator[set[str]]:
    """Names of objects that S3 refuses from here on."""
    names: set[str] = set()

    def refuse(params: Any, **_: Any) -> None:
        if params["url_path"].rpartition("/")[2] in names:
            raise RuntimeError("refused")

    s3.meta.events.register("before-call.s3.PutObject", refuse)
    yield names
    s3.meta.events.unregister("before-call.s3.PutObject", refuse)


def one_later(s3: Any, bucket: str) -> None:
    """Put the manifest one second into the future of the objects: the dates of S3 are whole."""
    time.sleep(1.05 - time.time() % 1)


def forbid(monkeypatch: pytest.MonkeyPatch, operation: str, *names: str) -> None:
    """Let the system refuse files and folders of these names, as it does not to root."""
    real = getattr(os, operation)

    def refused(path: Any = ".", *arguments: Any, **options: Any) -> Any:
        if isinstance(path, str | os.PathLike) and Path(path).name in names:
            raise PermissionError(errno.EACCES, "Permission denied", str(path))
        return real(path, *arguments, **options)

    monkeypatch.setattr(os, operation, refused)


class TestBackup:
    @pytest.mark.parametrize("transfer", [None, IN_PARTS])
    def test_round_trip(self, s3, bucket, folder, tmp_path, operations, transfer):
        report = cloud.back_up(folder, s3, bucket, "imagenet/v1", transfer)
        size = 5 * MIB + 3 + 4
        assert report == cloud.BackupReport(files=3, bytes=size, moved=3, bytes_moved=size)
        assert operations.count("UploadPart") == (2 if transfer else 0)
        found = cloud.verify_backup(s3, bucket, "imagenet/v1")
        assert (found.files, found.wrong, found.unproved, found.failures) == (3, (), (), ())
        back = cloud.restore(s3, bucket, "imagenet/v1", tmp_path / "back", transfer)
        assert back == report
        assert tree(tmp_path / "back") == tree(folder)

    def test_the_manifest_is_a_sorted_table_that_other_tools_can_read(self, s3, bucket, folder):
        cloud.back_up(folder, s3, bucket, "p")
        text = s3.get_object(Bucket=bucket, Key=f"p/{cloud.MANIFEST}")["Body"].read().decode()
        lines = []
        for name, data in sorted(tree(folder).items()):
            etag = s3.head_object(Bucket=bucket, Key=f"p/{name}")["ETag"].strip('"')
            lines.append(f"{zlib.crc32(data):08x}\t{len(data)}\t{name}\t{name}\t{etag}")
        assert text == "\n".join(["crc32\tbytes\tname\tkey\tetag", *lines, ""])

    @pytest.mark.parametrize("transfer", [None, IN_PARTS])
    def test_a_second_backup_asks_for_a_listing_and_sends_nothing(
        self, s3, bucket, folder, operations, transfer
    ):
        first = cloud.back_up(folder, s3, bucket, "p", transfer)
        operations.clear()
        again = cloud.back_up(folder, s3, bucket, "p", transfer)
        assert again == cloud.BackupReport(first.files, first.bytes, moved=0, bytes_moved=0)
        assert operations == ["ListObjectsV2", "GetObject", "PutObject"]

    def test_a_manifest_of_three_columns_is_read_and_nothing_sent_again(
        self, s3, stored, folder, tmp_path, operations
    ):
        entries = cloud.read_manifest(s3, stored, "p")
        text = "".join(f"{entry.crc32}\t{entry.size}\t{entry.name}\n" for entry in entries)
        body = f"crc32\tbytes\tname\n{text}".encode()
        s3.put_object(Bucket=stored, Key=f"p/{cloud.MANIFEST}", Body=body)
        assert [entry.key for entry in cloud.read_manifest(s3, stored, "p")] == sorted(tree(folder))
        cloud.restore(s3, stored, "p", tmp_path / "back")
        assert tree(tmp_path / "back") == tree(folder)
        operations.clear()
        assert cloud.back_up(folder, s3, stored, "p", IN_PARTS).moved == 0
        assert operations.count("HeadObject") == 3
        assert cloud.read_manifest(s3, stored, "p") == entries

    def test_a_changed_file_of_the_same_size_and_time_goes_beside_the_old(self, s3, stored, folder):
        before = (folder / "a.rec").stat()
        old = (folder / "a.rec").read_bytes()
        content = bytearray(old)
        content[777] ^= 1
        (folder / "a.rec").write_bytes(content)
        os.utime(folder / "a.rec", ns=(before.st_atime_ns, before.st_mtime_ns))
        report = cloud.back_up(folder, s3, stored, "p")
        assert report.moved == 1
        (note,) = report.notes
        assert note == (
            f"1 objects of earlier backups and 0 unfinished uploads take {len(old):,} bytes: "
            f"imnet prune-backup s3://{stored}/p"
        )
        (entry,) = [e for e in cloud.read_manifest(s3, stored, "p") if e.name == "a.rec"]
        assert entry.key == f"a.rec~{zlib.crc32(content):08x}"
        assert s3.get_object(Bucket=stored, Key="p/a.rec")["Body"].read() == old

    def test_the_key_of_a_changed_file_is_never_that_of_another_file(self, s3, bucket, tmp_path):
        sent = tmp_path / "sent"
        taken = f"a~{zlib.crc32(b'new'):08x}"
        put(sent, {"a": b"old", taken: b"another"})
        cloud.back_up(sent, s3, bucket, "p")
        put(sent, {"a": b"new"})
        assert cloud.back_up(sent, s3, bucket, "p").moved == 1
        cloud.restore(s3, bucket, "p", tmp_path / "back")
        assert tree(tmp_path / "back") == {"a": b"new", taken: b"another"}

    def test_changed_again_and_again_only_two_objects_take_turns(self, s3, bucket, tmp_path):
        put(tmp_path / "sent", {"a": b"0"})
        cloud.back_up(tmp_path / "sent", s3, bucket, "p")
        keys = []
        for content in (b"1", b"2", b"3"):
            put(tmp_path / "sent", {"a": content})
            cloud.back_up(tmp_path / "sent", s3, bucket, "p")
            keys += [entry.key for entry in cloud.read_manifest(s3, bucket, "p")]
        assert keys == [f"a~{zlib.crc32(b'1'):08x}", "a", f"a~{zlib.crc32(b'3'):08x}"]

    def test_an_object_that_was_replaced_is_repaired_in_its_place(self, s3, stored, folder):
        s3.put_object(Bucket=stored, Key="p/more/b c.idx", Body=OTHER)
        assert cloud.back_up(folder, s3, stored, "p", IN_PARTS).moved == 1
        body = s3.get_object(Bucket=stored, Key="p/more/b c.idx")["Body"].read()
        assert body == IDX

    def test_an_unfinished_first_backup_says_so_and_goes_on(
        self, s3, bucket, folder, tmp_path, unsendable, operations
    ):
        unsendable.add("z")
        report = cloud.back_up(folder, s3, bucket, "p")
        assert report.failures == (f"{folder / 'z'}: RuntimeError: refused",)
        assert report.notes == (
            "the backup is not finished, and nothing can be restored before it is",
        )
        assert (report.files, report.moved) == (3, 2)
        message = rf"{bucket}/p/{cloud.MANIFEST} is missing: .* never finished: run it again"
        for call in (cloud.verify_backup, cloud.read_manifest):
            with pytest.raises(cloud.BackupError, match=message):
                call(s3, bucket, "p")
        with pytest.raises(cloud.BackupError, match=message):
            cloud.restore(s3, bucket, "p", tmp_path / "back")
        unsendable.clear()
        operations.clear()
        assert cloud.back_up(folder, s3, bucket, "p").moved == 1
        # The file that was missing, and the manifest.
        assert operations.count("PutObject") == 2

    def test_a_restoration_amid_a_second_backup_gives_the_first_state(
        self, s3, stored, folder, tmp_path, unsendable
    ):
        first = tree(folder)
        one_later(s3, stored)
        put(folder, {"a.rec": b"new", "more/b c.idx": b"new", "new": b"new", "z": b"new"})
        unsendable.add("new")
        report = cloud.back_up(folder, s3, stored, "p")
        assert report.moved == 3
        assert re.fullmatch(
            r"the backup is not finished: until then that of 20\d\d-.* UTC is restored",
            report.notes[0],
        )
        back = cloud.restore(s3, stored, "p", tmp_path / "back")
        assert tree(tmp_path / "back") == first
        assert back.failures == ()
        assert back.notes[1] == (
            "a later one is not finished, and its 3 new objects are left aside: "
            "run imnet backup again to finish it"
        )
        assert cloud.verify_backup(s3, stored, "p").notes == back.notes
        unsendable.clear()
        assert cloud.back_up(folder, s3, stored, "p").moved == 1
        cloud.restore(s3, stored, "p", tmp_path / "back")
        assert tree(tmp_path / "back") == tree(folder)

    def test_an_object_of_another_tool_is_taken_if_its_checksum_is_right(self, s3, bucket, folder):
        """One in parts has a checksum of checksums, one with a SHA-256 none: both are sent."""
        s3.upload_file(str(folder / "a.rec"), bucket, "p/a.rec", Config=IN_PARTS)
        s3.put_object(Bucket=bucket, Key="p/z", ChecksumAlgorithm="SHA256")
        put_right = {"ChecksumAlgorithm": "CRC32", "Body": IDX}
        s3.put_object(Bucket=bucket, Key="p/more/b c.idx", **put_right)
        assert cloud.back_up(folder, s3, bucket, "p", IN_PARTS).moved == 2
        assert cloud.verify_backup(s3, bucket, "p").wrong == ()

    @pytest.mark.parametrize(
        "change",
        [
            lambda path: path.write_bytes(path.read_bytes() + b"more"),
            lambda path: os.truncate(path, 5),
            lambda path: path.unlink(),
            lambda path: os.utime(path),
        ],
        ids=["grows", "shrinks", "vanishes", "is touched"],
    )
    @pytest.mark.parametrize("name", ["a.rec", "more/b c.idx"])
    def test_a_file_that_changes_meanwhile_is_named_at_once(self, s3, bucket, folder, name, change):
        def change_once(params: Any, **_: Any) -> None:
            if params["url_path"].endswith(name.replace(" ", "%20")) and not done:
                done.append(True)
                change(folder / name)

        done: list[bool] = []
        s3.meta.events.register("before-call.s3", change_once)
        began = time.monotonic()
        report = cloud.back_up(folder, s3, bucket, "p", IN_PARTS)
        s3.meta.events.unregister("before-call.s3", change_once)
        message = "changed while it was sent: let its writer finish, then run this again"
        assert report.failures == (f"{folder / name}: {message}",)
        assert report.moved == 2
        # A request with too few bytes would be waited for until the time limit.
        assert time.monotonic() - began < 15
        with pytest.raises(cloud.BackupError, match="never finished"):
            cloud.read_manifest(s3, bucket, "p")

    def test_hidden_files_are_counted_or_taken_and_linked_files_go_as_files(
        self, s3, bucket, folder
    ):
        put(folder, {".a.rec.host~1~00.tmp": b"half", ".ipynb_checkpoints/x": b"x"})
        (folder / "link").symlink_to(folder / "a.rec")
        report = cloud.back_up(folder, s3, bucket, "p")
        assert report.files == 4
        assert report.notes == ("2 hidden files are left out: hidden=True, --hidden, takes them",)
        names = {entry.name for entry in cloud.read_manifest(s3, bucket, "p")}
        assert names == {"a.rec", "link", "more/b c.idx", "z"}
        report = cloud.back_up(folder, s3, bucket, "p", hidden=True)
        assert (report.files, report.moved, report.notes) == (6, 2, ())

    def test_a_hidden_folder_that_cannot_be_read_is_left_out_with_the_others(
        self, s3, bucket, folder, monkeypatch
    ):
        put(folder, {".Trash-0/x": b"x", "more/.cache/y": b"y", ".seen/z": b"z"})
        forbid(monkeypatch, "scandir", ".Trash-0", ".cache")
        report = cloud.back_up(folder, s3, bucket, "p")
        assert (report.files, report.failures) == (3, ())
        assert report.notes == ("3 hidden files are left out: hidden=True, --hidden, takes them",)
        message = r"(?s)these 2 away:.*Trash-0' cannot be read: Permission denied\n"
        with pytest.raises(ValueError, match=message):
            cloud.back_up(folder, s3, bucket, "p", hidden=True)

    def test_what_cannot_be_backed_up_is_named_all_at_once_and_nothing_sent(
        self, s3, bucket, folder, tmp_path, operations
    ):
        (folder / "gone").symlink_to(folder / "nowhere")
        (folder / "elsewhere").symlink_to(tmp_path)
        (folder / "new\nline").touch()
        (folder / os.fsdecode(b"latin-\xe9")).touch()
        (folder / cloud.MANIFEST).touch()
        os.mkfifo(folder / "fifo")
        with socket.socket(socket.AF_UNIX) as unix:
            unix.bind(str(folder / "socket"))
        (folder / ("long/" * 205)).mkdir(parents=True)
        (folder / ("long/" * 205) / "x").touch()
        with pytest.raises(ValueError) as caught:
            cloud.back_up(folder, s3, bucket, "p")
        first, *lines = str(caught.value).splitlines()
        whole = "can be backed up, so nothing is; move these 8 away:"
        assert first == f"not all below {folder} {whole}"
        told = {
            line.partition("' ")[0].rpartition("/")[2]: line.partition("' ")[2] for line in lines
        }
        assert told == {
            "MANIFEST.tsv": "has the manifest's own name",
            "elsewhere": "is a link to a folder",
            "fifo": "is a FIFO",
            "gone": "is a broken link: No such file or directory",
            "latin-\\udce9": "has the character '\\udce9' in its name",
            "new\\nline": "has the character '\\n' in its name",
            "socket": "is a socket",
            "x": "would have a key of more than 1015 bytes",
        }
        assert operations == []

    def test_an_empty_folder_a_missing_one_and_a_file_are_refused(self, s3, bucket, tmp_path):
        (tmp_path / "empty").mkdir()
        (tmp_path / "file").touch()
        with pytest.raises(ValueError, match=r"empty holds no files to back up$"):
            cloud.back_up(tmp_path / "empty", s3, bucket, "p")
        with pytest.raises(FileNotFoundError, match="gone"):
            cloud.back_up(tmp_path / "gone", s3, bucket, "p")
        with pytest.raises(NotADirectoryError, match="file"):
            cloud.back_up(tmp_path / "file", s3, bucket, "p")

    @pytest.mark.parametrize(
        ("prefix", "kind", "message"),
        [
            ("a/../b", ValueError, r"has a part \. or \.\., which S3 does not resolve$"),
            (".", ValueError, r"has a part \. or \.\.,"),
            ("a/./b", ValueError, r"has a part \. or \.\.,"),
            ("a\nb", ValueError, r"^the prefix 'a\\nb' has the character '\\n'$"),
            ("s3://b/p", ValueError, "'s3://b/p' is an address: leave s3://BUCKET/ out$"),
            (
                Path("p"),
                TypeError,
                r"^the prefix is text, without the bucket, not .*\(PosixPath\)$",
            ),
            (None, TypeError, "^the prefix is text, without the bucket, not None"),
        ],
    )
    def test_what_is_no_prefix_is_refused(
        self, s3, bucket, folder, tmp_path, prefix, kind, message
    ):
        for use in (partial(cloud.back_up, folder), cloud.verify_backup, cloud.prune_backup):
            with pytest.raises(kind, match=message):
                use(s3, bucket, prefix)

    @pytest.mark.parametrize("client", [Path("folder"), None, "ec2"])
    def test_what_is_no_client_of_s3_is_refused(self, s3, bucket, folder, client):
        if client == "ec2":
            client = aws.local_client("ec2", s3.meta.endpoint_url, "us-east-1")
        with pytest.raises((TypeError, ValueError), match=r"^s3 is a client of boto3, as "):
            cloud.back_up(folder, client, bucket, "p")

    def test_two_backups_one_below_the_other_spoil_nothing_of_each_other(
        self, s3, bucket, tmp_path
    ):
        """The second one's names are those of the first one's objects, once with the same bytes."""
        outer = tmp_path / "outer"
        inner = tmp_path / "inner"
        put(outer, {"sub/a": b"outer", "sub/same": b"same", "b": b"b"})
        put(inner, {"a": b"inner", "same": b"same"})
        places = {"p": outer, "p/sub": inner}
        for content in (b"1", b"2", b"3"):
            for prefix, folder in places.items():
                report = cloud.back_up(folder, s3, bucket, prefix)
                assert report.failures == ()
            one_later(s3, bucket)
            for prefix in places:
                cloud.prune_backup(s3, bucket, prefix, delete=True)
                assert cloud.verify_backup(s3, bucket, prefix, read=True).wrong == ()
            put(outer, {"sub/same": content, "sub/a": b"outer" + content})
            put(inner, {"a": b"inner" + content})
        for prefix, folder in places.items():
            cloud.back_up(folder, s3, bucket, prefix)
        for prefix, folder in places.items():
            cloud.restore(s3, bucket, prefix, tmp_path / "back" / prefix)
            back = tree(tmp_path / "back" / prefix)
            assert {name: back[name] for name in tree(folder)} == tree(folder)

    def test_what_another_tool_put_there_is_not_overwritten_and_serves_where_it_is_the_same(
        self, s3, bucket, folder
    ):
        for name, body in (("z", b"foreign"), ("more/b c.idx", IDX)):
            s3.put_object(Bucket=bucket, Key=f"p/{name}", Body=body, ChecksumAlgorithm="CRC32")
        assert cloud.back_up(folder, s3, bucket, "p").moved == 2
        assert s3.get_object(Bucket=bucket, Key="p/z")["Body"].read() == b"foreign"
        keys = {entry.name: entry.key for entry in cloud.read_manifest(s3, bucket, "p")}
        assert keys == {"a.rec": "a.rec", "more/b c.idx": "more/b c.idx", "z": "z~00000000"}

    def test_what_is_of_a_backup_below_is_neither_counted_nor_deleted(self, s3, bucket, tmp_path):
        put(tmp_path / "sent", {"a": b"1"})
        for content in (b"2", b"3"):
            cloud.back_up(tmp_path / "sent", s3, bucket, "p/sub")
            put(tmp_path / "sent", {"a": content})
        s3.create_multipart_upload(Bucket=bucket, Key="p/sub/half")
        report = cloud.back_up(tmp_path / "sent", s3, bucket, "p")
        assert report.notes == ()
        assert cloud.prune_backup(s3, bucket, "p").uploads == ()
        assert cloud.prune_backup(s3, bucket, "p/sub").uploads == ("half",)

    def test_no_bucket(self, s3, folder, tmp_path):
        message = r"^s3://no-such-bucket/p: there is no such bucket"
        with pytest.raises(cloud.BackupError, match=message):
            cloud.back_up(folder, s3, "no-such-bucket", "p")
        with pytest.raises(cloud.BackupError, match=message):
            cloud.restore(s3, "no-such-bucket", "p", tmp_path / "back")
        assert not (tmp_path / "back").exists()

    def test_a_server_that_is_not_there(self, folder):
        nobody = aws.local_client("s3", "http://127.0.0.1:9", "us-east-1")
        with pytest.raises(cloud.BackupError, match=r"^s3://bucket/p: Could not connect"):
            cloud.back_up(folder, nobody, "bucket", "p")

    @pytest.mark.parametrize(
        "name",
        [
            *("é ☃.rec", "a+b&c=d%20#?.rec", 'it\'s "x"', "back\\slash", "-", "~", "a..b"),
            *(
                "no\u00a0break",
                "narrow\u202fbreak",
                "line\u2028end",
                "next\x85line",
                "\x7f",
                "x" * 255,
            ),
        ],
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

    def test_more_objects_than_a_listing_holds(self, s3, bucket, folder, operations):
        def in_pages_of_two(params: Any, **_: Any) -> None:
            params["MaxKeys"] = 2

        cloud.back_up(folder, s3, bucket, "p")
        operations.clear()
        s3.meta.events.register("provide-client-params.s3.ListObjectsV2", in_pages_of_two)
        again = cloud.back_up(folder, s3, bucket, "p")
        s3.meta.events.unregister("provide-client-params.s3.ListObjectsV2", in_pages_of_two)
        assert again.moved == 0
        assert operations == ["ListObjectsV2", "ListObjectsV2", "GetObject", "PutObject"]


class TestRestore:
    def test_another_object_of_the_same_size_is_caught_and_the_others_restored(
        self, s3, stored, folder, tmp_path
    ):
        without = {"Body": OTHER, "ChecksumAlgorithm": "SHA256"}
        s3.put_object(Bucket=stored, Key="p/more/b c.idx", **without)
        right = f"{zlib.crc32(IDX):08x}"
        wrong = f"{zlib.crc32(OTHER):08x}"
        problem = f"more/b c.idx: has CRC32 {wrong}, not {right}"
        # It has no checksum: only reading tells.
        assert cloud.verify_backup(s3, stored, "p").unproved == (
            "more/b c.idx: cannot be proved here without reading it (nothing speaks for it)",
        )
        assert cloud.verify_backup(s3, stored, "p", read=True).wrong == (problem,)
        assert cloud.restore(s3, stored, "p", tmp_path / "back").failures == (problem,)
        others = tree(folder)
        del others["more/b c.idx"]
        assert tree(tmp_path / "back") == others

    def test_a_checksum_of_the_whole_object_tells_without_reading(self, s3, stored):
        s3.put_object(Bucket=stored, Key="p/z", Body=b"", ChecksumAlgorithm="CRC32")
        replaced = {"Body": OTHER, "ChecksumAlgorithm": "CRC32"}
        s3.put_object(Bucket=stored, Key="p/more/b c.idx", **replaced)
        found = cloud.verify_backup(s3, stored, "p")
        right = f"{zlib.crc32(IDX):08x}"
        wrong = f"{zlib.crc32(OTHER):08x}"
        assert found.wrong == (f"more/b c.idx: has CRC32 {wrong}, not {right}",)
        assert found.unproved == ()

    def test_wrong_bytes_under_the_right_checksum_never_get_the_name(
        self, s3, stored, folder, tmp_path
    ):
        """Moto believes any checksum, as a broken store might; boto3 compares none of a part."""
        content = bytearray((folder / "a.rec").read_bytes())
        crc32 = base64.b64encode(zlib.crc32(content).to_bytes(4, "big")).decode()
        content[-1] ^= 1
        checksum = {"ChecksumAlgorithm": "CRC32", "ChecksumCRC32": crc32}
        s3.put_object(Bucket=stored, Key="p/a.rec", Body=bytes(content), **checksum)
        found = cloud.verify_backup(s3, stored, "p")
        assert (found.wrong, found.unproved) == ((), ())
        assert len(cloud.verify_backup(s3, stored, "p", read=True).wrong) == 1
        # boto3 fetches it without an error.
        s3.download_file(stored, "p/a.rec", str(tmp_path / "unproved"), Config=IN_PARTS)
        (failure,) = cloud.restore(s3, stored, "p", tmp_path / "back", IN_PARTS).failures
        assert failure.startswith("a.rec: has CRC32 ")
        # No temporary file is left.
        assert sorted(tree(tmp_path / "back")) == ["more/b c.idx", "z"]

    def test_a_missing_object_and_one_of_another_size_are_named_before_a_download(
        self, s3, stored, tmp_path, operations
    ):
        s3.delete_object(Bucket=stored, Key="p/z")
        s3.put_object(Bucket=stored, Key="p/more/b c.idx", Body=b"1")
        problems = ("more/b c.idx: has 1 bytes, not 4", "z: is missing in S3")
        assert cloud.verify_backup(s3, stored, "p").wrong == problems
        operations.clear()
        report = cloud.restore(s3, stored, "p", tmp_path)
        assert report.failures == problems
        assert (report.files, report.moved) == (3, 1)
        assert cloud.verify_backup(s3, stored, "p", read=True).wrong == problems

    @pytest.mark.timeout(60)
    @pytest.mark.parametrize("validation", ["when_supported", "when_required"])
    def test_more_parts_than_wait_in_line_come_from_many_objects_at_once(
        self, s3, bucket, tmp_path, monkeypatch, validation
    ):
        put(tmp_path / "sent", {f"{number}.rec": os.urandom(MIB) for number in range(4)})
        cloud.back_up(tmp_path / "sent", s3, bucket, "p")
        url = s3.meta.endpoint_url
        careful = client(url, response_checksum_validation=validation)
        parts = TransferConfig(
            max_concurrency=2, multipart_threshold=MIB, multipart_chunksize=MIB // 32
        )
        parts.max_request_queue_size = 3
        monkeypatch.setattr("boto3.s3.transfer.TransferConfig", lambda **_: parts)
        assert cloud.verify_backup(careful, bucket, "p", read=True).wrong == ()
        assert cloud.restore(careful, bucket, "p", tmp_path / "back").moved == 4
        assert tree(tmp_path / "back") == tree(tmp_path / "sent")

    def test_many_missing_objects_do_not_stop_the_rest(self, s3, bucket, tmp_path):
        put(tmp_path / "sent", {f"a{number:03}": b"" for number in range(120)} | {"z": b"z"})
        cloud.back_up(tmp_path / "sent", s3, bucket, "p")
        for number in range(120):
            s3.delete_object(Bucket=bucket, Key=f"p/a{number:03}")
        report = cloud.restore(s3, bucket, "p", tmp_path / "back")
        assert (len(report.failures), report.moved) == (120, 1)

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
        # The manifest, and the two.
        assert operations.count("GetObject") == 3
        assert operations.count("HeadObject") == 0
        assert tree(back) == tree(folder)

    def test_a_link_in_the_place_of_a_file_stays_where_it_is_right_and_is_else_replaced(
        self, s3, bucket, folder, tmp_path
    ):
        put(tmp_path / "elsewhere", {"right": b"right", "changed": b"before"})
        for name in ("right", "changed"):
            (folder / name).symlink_to(tmp_path / "elsewhere" / name)
        cloud.back_up(folder, s3, bucket, "p")
        put(tmp_path / "elsewhere", {"changed": b"after!"})
        report = cloud.restore(s3, bucket, "p", folder)
        assert (report.files, report.moved, report.failures) == (5, 1, ())
        assert (folder / "right").is_symlink()
        assert (folder / "changed").read_bytes() == b"before"
        assert (tmp_path / "elsewhere" / "changed").read_bytes() == b"after!"

    @pytest.mark.parametrize(
        "name", ["../evil", "/tmp/evil", "a/../../evil", "..", "a/..", "", "link/evil"]
    )
    def test_a_manifest_cannot_lead_out_of_the_folder(self, s3, bucket, tmp_path, name):
        back = tmp_path / "in" / "back"
        back.mkdir(parents=True)
        (back / "link").symlink_to(tmp_path)
        s3.put_object(Bucket=bucket, Key=f"p/{name}", Body=b"evil")
        manifest = f"crc32\tbytes\tname\n{zlib.crc32(b'evil'):08x}\t4\t{name}\n"
        s3.put_object(Bucket=bucket, Key=f"p/{cloud.MANIFEST}", Body=manifest.encode())
        way = f" by the link {back}/link" if name == "link/evil" else ""
        message = rf"leads out of {back}{way}: nothing was fetched"
        with pytest.raises(cloud.BackupError, match=message):
            cloud.restore(s3, bucket, "p", back)
        assert sorted(path.name for path in tmp_path.rglob("*")) == ["back", "in", "link"]

    @pytest.mark.parametrize(
        "data",
        [
            b"",
            b"<html>",
            b"crc32\tbytes\tname\n00000000\t0\n",
            b"crc32\tbytes\tname\n00000000\tmany\tz\n",
            b"crc32\tbytes\tname\tkey\tetag\n00000000\t0\tz\tz\t0",
            b"crc32\tbytes\tname\tkey\tetag\n00000000\t0\tz\n",
            b"crc32\tbytes\tname\n00000000\t0\t\xff\n",
        ],
    )
    def test_what_is_no_manifest_is_neither_read_nor_overwritten(
        self, s3, bucket, folder, tmp_path, data
    ):
        s3.put_object(Bucket=bucket, Key=f"p/{cloud.MANIFEST}", Body=data)
        message = rf"p/{cloud.MANIFEST} is no manifest: choose another prefix, or delete it"
        with pytest.raises(cloud.BackupError, match=message):
            cloud.restore(s3, bucket, "p", tmp_path / "back")
        with pytest.raises(cloud.BackupError, match=message):
            cloud.back_up(folder, s3, bucket, "p")
        assert s3.get_object(Bucket=bucket, Key=f"p/{cloud.MANIFEST}")["Body"].read() == data

    def test_too_little_room_is_seen_before_anything_is_fetched(
        self, s3, stored, tmp_path, monkeypatch, operations
    ):
        monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=10))
        with pytest.raises(OSError, match="10 bytes free and 5,242,887 are needed: make room"):
            cloud.restore(s3, stored, "p", tmp_path / "back")
        # That is the manifest.
        assert operations.count("GetObject") == 1

    def test_a_disk_that_fills_up_meanwhile_ends_it_with_one_sentence(
        self, s3, stored, tmp_path, monkeypatch
    ):
        def full(*_: object) -> None:
            raise OSError(errno.ENOSPC, "No space left on device")

        monkeypatch.setattr(os, "fsync", full)
        message = r"the disk of .*back.* is full: make room and run this again"
        with pytest.raises(OSError, match=message):
            cloud.restore(s3, stored, "p", tmp_path / "back", IN_PARTS)
        assert tree(tmp_path / "back") == {}

    def test_a_folder_that_cannot_be_written_to_is_named_before_anything_is_fetched(
        self, s3, stored, tmp_path, monkeypatch, operations
    ):
        monkeypatch.setattr(os, "access", lambda path, mode: False)
        with pytest.raises(PermissionError, match=r"back cannot be written to: choose another"):
            cloud.restore(s3, stored, "p", tmp_path / "back")
        assert operations.count("GetObject") == 1

    def test_what_may_not_be_looked_at_leaves_the_others(
        self, s3, stored, folder, tmp_path, monkeypatch
    ):
        back = tmp_path / "back"
        put(back, {"more/b c.idx": IDX})
        forbid(monkeypatch, "stat", "b c.idx")
        report = cloud.restore(s3, stored, "p", back)
        # From Python 3.14 on what may not be looked at is no file, and replaced.
        assert {*report.failures} <= {f"more/b c.idx: Permission denied: '{back}/more/b c.idx'"}
        assert (back / "a.rec").read_bytes() == (folder / "a.rec").read_bytes()

    def test_what_is_in_the_way_of_one_file_leaves_the_others(self, s3, stored, folder, tmp_path):
        back = tmp_path / "back"
        (back / "z").mkdir(parents=True)
        (back / "more").touch()
        report = cloud.restore(s3, stored, "p", back)
        assert report.failures == (
            f"more/b c.idx: {back / 'more'} is a file where a folder belongs: move it away",
            f"z: {back / 'z'} is a folder: move it away",
        )
        assert (back / "a.rec").read_bytes() == (folder / "a.rec").read_bytes()


class TestPrune:
    @pytest.fixture
    def changed(self, s3: Any, stored: str, folder: Path) -> str:
        """A bucket whose manifest no longer names one of its objects."""
        put(folder, {"z": b"new"})
        cloud.back_up(folder, s3, stored, "p", IN_PARTS)
        return stored

    def test_objects_of_earlier_backups_are_listed_and_then_deleted(self, s3, changed, folder):
        found = cloud.prune_backup(s3, changed, "p")
        assert found == cloud.PruneReport(("z",), (), 0, deleted=False)
        assert cloud.prune_backup(s3, changed, "p", delete=True).objects == ("z",)
        assert cloud.prune_backup(s3, changed, "p").objects == ()
        assert cloud.verify_backup(s3, changed, "p").wrong == ()

    def test_a_backup_that_only_drops_files_says_that_their_objects_stay(
        self, s3, stored, folder, operations
    ):
        (folder / "a.rec").unlink()
        (note,) = cloud.back_up(folder, s3, stored, "p").notes
        assert note.startswith("1 objects of earlier backups and 0 unfinished uploads take 5,242,8")
        # Told once: without a further request where nothing has changed.
        operations.clear()
        assert cloud.back_up(folder, s3, stored, "p").notes == ()
        assert operations == ["ListObjectsV2", "GetObject", "PutObject"]

    def test_nothing_else_is_touched(self, s3, changed, folder):
        """An object of another tool, backups to places below this one, another prefix."""
        s3.put_object(Bucket=changed, Key="p/notes.txt", Body=b"mine")
        for prefix in ("p/sub", "p2", ""):
            cloud.back_up(folder, s3, changed, prefix)
        before = {entry["Key"] for entry in s3.list_objects_v2(Bucket=changed)["Contents"]}
        one_later(s3, changed)
        # The manifest is newer than all of them.
        cloud.back_up(folder, s3, changed, "p")
        found = cloud.prune_backup(s3, changed, "p", delete=True)
        assert found.objects == ("z",)
        assert found.notes == ("5 other objects are of no backup to this prefix and stay",)
        assert cloud.prune_backup(s3, changed, "", delete=True).objects == ()
        after = {entry["Key"] for entry in s3.list_objects_v2(Bucket=changed)["Contents"]}
        assert before - after == {"p/z"}

    def test_objects_of_an_unfinished_backup_stay(self, s3, changed, folder, unsendable):
        one_later(s3, changed)
        put(folder, {"more/b c.idx": b"newer", "z": b"newest"})
        unsendable.add(f"z~{zlib.crc32(b'newest'):08x}")
        unsendable.add("z")
        assert cloud.back_up(folder, s3, changed, "p").moved == 1
        found = cloud.prune_backup(s3, changed, "p", delete=True)
        assert found.objects == ("z",)
        (note,) = found.notes
        assert note == "1 objects are newer than the manifest and stay: a backup needs them"

    def test_unfinished_uploads_are_told_and_aborted_but_those_of_another_tool(
        self, s3, stored, folder
    ):
        part = {"Bucket": stored, "Key": "p/a.rec", "PartNumber": 1, "Body": b"half"}
        begun = s3.create_multipart_upload(Bucket=stored, Key="p/a.rec")
        s3.upload_part(UploadId=begun["UploadId"], **part)
        s3.create_multipart_upload(Bucket=stored, Key="p2/a.rec")
        put(folder, {"z": b"new"})
        (note,) = cloud.back_up(folder, s3, stored, "p", IN_PARTS).notes
        assert note.startswith("1 objects of earlier backups and 1 unfinished uploads take 4 bytes")
        found = cloud.prune_backup(s3, stored, "p", delete=True)
        assert (found.objects, found.uploads, found.bytes) == (("z",), ("a.rec",), 4)
        left = s3.list_multipart_uploads(Bucket=stored)["Uploads"]
        assert [upload["Key"] for upload in left] == ["p2/a.rec"]

    def test_where_no_backup_was_finished_only_uploads_go(self, s3, bucket, folder, unsendable):
        unsendable.add("z")
        cloud.back_up(folder, s3, bucket, "p")
        found = cloud.prune_backup(s3, bucket, "p", delete=True)
        assert found.objects == ()
        assert found.notes == (
            "no backup was ever finished here, so its objects stay: run it again",
        )


def test_a_checksum_of_checksums_is_none_of_the_object(s3: Any):
    """S3's own answer about an object that another tool sent in parts; moto leaves the -3 away."""
    manifest = b"crc32\tbytes\tname\n00000000\t9\ta\n"
    now = datetime(2026, 11, 26, tzinfo=UTC)
    body = StreamingBody(io.BytesIO(manifest), len(manifest))
    with Stubber(s3) as stub:
        stub.add_response("get_object", {"Body": body, "LastModified": now})
        stub.add_response("list_objects_v2", {"IsTruncated": False})
        answer = {
            "ContentLength": 9,
            "ETag": '"0-3"',
            "ChecksumCRC32": "AAAAAA==-3",
            "ChecksumType": "COMPOSITE",
        }
        stub.add_response("head_object", answer)
        found = cloud.verify_backup(s3, "bucket", "p")
    assert found.wrong == ()
    assert found.unproved == (
        "a: cannot be proved here without reading it (nothing speaks for it)",
    )
    assert found.notes == ("this backup is of 2026-11-26 00:00 UTC",)
