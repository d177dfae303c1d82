"""The place of a backup in S3: requests, transfers in parallel, and a store that falls silent."""

from __future__ import annotations

import base64
import zlib
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from contextlib import contextmanager, suppress
from datetime import datetime
from itertools import islice
from pathlib import Path
from typing import Any, TypeVar

from imnetlib.arguments import require, require_type
from imnetlib.cloud.errors import (
    NO_S3,
    BackupError,
    ObjectError,
    is_fatal,
    is_missing,
    is_of_one,
    reason,
)
from imnetlib.cloud.manifest import (
    MANIFEST,
    ManifestEntry,
    decode_manifest,
    encode_manifest,
    require_prefix,
)
from imnetlib.cloud.objects import CRC32, DEPTH, Head, Listed, head_of, metadata
from imnetlib.cloud.watching import Files, Life, RangesFirst, Teller, send_at_once

Item = TypeVar("Item")
Result = TypeVar("Result")

# Seconds without an answer or a byte after which nothing more is expected of a store.
SILENCE = 60.0
# Refusals and broken connections after which a job gives up that has had no success.
ALL_FAIL = 100
# Bytes up to which an object is held in memory.
_SMALL = 8 << 20


class Store:
    """A bucket and a prefix, seen through a client of boto3; ``open_store`` makes one."""

    def __init__(self, s3: Any, bucket: str, prefix: str, transfer: Any) -> None:
        self.s3 = s3
        self.bucket = bucket
        self.prefix = prefix.strip("/")
        self.place = f"{bucket}/{self.prefix}".rstrip("/")
        self._transfer = transfer
        self.workers = transfer.max_request_concurrency
        self.life = Life()
        self.files = Files(self.life)
        self.pool = ThreadPoolExecutor(self.workers)
        self.manager: Any = None

    def key(self, below: str) -> str:
        """The key in the bucket of one below the prefix."""
        return f"{self.prefix}/{below}" if self.prefix else below

    def error(self, error: Exception) -> BackupError:
        """The same error, with the place and in words."""
        return BackupError(f"s3://{self.place}: {reason(error, self.place)}")

    def ask(self, operation: str, **arguments: Any) -> Any:
        """One request to the bucket; BackupError for whatever goes wrong with it."""
        try:
            return getattr(self.s3, operation)(Bucket=self.bucket, **arguments)
        # Behind a proxy an answer may be anything, and then the error is too.
        except Exception as error:
            raise self.error(error) from error

    @contextmanager
    def complete_answers(self) -> Iterator[None]:
        """BackupError where an answer lacks what all of S3's have."""
        try:
            yield
        except KeyError as error:
            raise self.error(error) from error

    def listing(self) -> dict[str, Listed]:
        """Each object below the prefix by its key below it, of 1,000 with a request."""
        start = self.key("")
        listed: dict[str, Listed] = {}
        more: dict[str, str] = {}
        while True:
            page = self.ask("list_objects_v2", Prefix=start, **more)
            with self.complete_answers():
                for found in page.get("Contents", []):
                    etag = found.get("ETag", "").strip('"')
                    below = found["Key"].removeprefix(start)
                    listed[below] = Listed(found["Size"], etag, found["LastModified"])
                if not page["IsTruncated"]:
                    return listed
                more = {"ContinuationToken": page["NextContinuationToken"]}

    def manifest(self) -> tuple[list[ManifestEntry], datetime]:
        """The manifest's lines, and when it was written; BackupError if there is none."""
        where = f"{self.bucket}/{self.key(MANIFEST)}"
        try:
            answer = self.s3.get_object(Bucket=self.bucket, Key=self.key(MANIFEST))
            data = answer["Body"].read()
            written = answer["LastModified"]
            noted = metadata(answer).get(CRC32, "")
        except Exception as error:
            if not is_missing(error):
                raise self.error(error) from error
            way_out = "run it again, and it goes on; or the prefix is wrong"
            raise BackupError(
                f"{where} is missing: the first backup was never finished: {way_out}"
            ) from error
        if noted not in ("", f"{zlib.crc32(data):08x}"):
            raise BackupError(f"{where} came with other bytes than were written: try again")
        try:
            return decode_manifest(data), written
        except ValueError:
            way_out = "choose another prefix, or delete it and run the backup again"
            raise BackupError(f"{where} is no manifest: {way_out}") from None

    def write_manifest(self, entries: Iterable[ManifestEntry]) -> None:
        """Replace the manifest by one request."""
        data = encode_manifest(entries)
        noted = {CRC32: f"{zlib.crc32(data):08x}"}
        answer = self.ask("put_object", Key=self.key(MANIFEST), Body=data, Metadata=noted)
        if "ETag" not in answer:
            raise BackupError(f"s3://{self.place}: {NO_S3}, so there is no new manifest")

    def head(self, key: str) -> Head | None:
        """An object's checksums, None for a missing one; raises the client's other errors."""
        where = {"Bucket": self.bucket, "Key": self.key(key)}
        try:
            head = self.s3.head_object(**where, ChecksumMode="ENABLED")
        except Exception as error:
            if is_missing(error):
                return None
            raise
        return head_of(head)

    def send(self, entry: ManifestEntry, path: Path, progress: Callable[[int], object]) -> None:
        """Send a file whole; S3 refuses it if another CRC32 arrives."""
        crc32 = base64.b64encode(bytes.fromhex(entry.crc32)).decode()
        noted = {CRC32: entry.crc32, DEPTH: str(entry.name.count("/"))}
        # S3 takes the value alone; moto needs the name of the algorithm as well.
        extra = {"ChecksumAlgorithm": "CRC32", "ChecksumCRC32": crc32, "Metadata": noted}
        key = self.key(entry.key)
        if self._is_small(entry):
            with self.files.open(str(path), "rb") as body:
                self.s3.put_object(Bucket=self.bucket, Key=key, Body=body, **extra)
            progress(entry.size)
            return
        tell = [Teller(self.life, progress, entry.size)]
        self.manager.upload(str(path), self.bucket, key, extra, subscribers=tell).result()

    def fetch(
        self,
        entry: ManifestEntry,
        listed: Listed | None,
        out: Any,
        progress: Callable[[int], object],
    ) -> None:
        """Write an object's bytes to ``out``, a file or what has its ``write``; proves nothing.

        All parts of a large one are of the object that was ``listed``.
        """
        key = self.key(entry.key)
        if self._is_small(entry):
            out.write(self._read(key))
            progress(entry.size)
            return
        tell = [Teller(self.life, progress, entry.size, listed.etag if listed else "")]
        self.manager.download(self.bucket, key, out, subscribers=tell).result()

    def _is_small(self, entry: ManifestEntry) -> bool:
        """Whether one request of this thread does, which spares s3transfer's own threads."""
        limit: int = min(self._transfer.multipart_threshold, _SMALL)
        return entry.size < limit

    def _read(self, key: str) -> bytes:
        for _ in range(self._transfer.num_download_attempts - 1):
            body = self.s3.get_object(Bucket=self.bucket, Key=key)["Body"]
            # The connection broke in the midst, in whatever way.
            with suppress(Exception):
                return bytes(body.read())
        return bytes(self.s3.get_object(Bucket=self.bucket, Key=key)["Body"].read())

    def each(
        self, work: Callable[[Item], Result], items: Iterable[Item]
    ) -> Iterator[tuple[Item, Result | ObjectError]]:
        """``work(item)`` in threads, in the order in which they end; errors in place of results.

        A fatal error is raised as a BackupError, and so are the silence of the store, and refusals
        where nothing else comes.
        """
        items = iter(items)
        pending: dict[Future[Result], Item] = {}
        failures = 0
        succeeded = False

        def run(item: Item) -> Result:
            self.life.require_going_on()
            return work(item)

        try:
            while True:
                for item in islice(items, 2 * self.workers - len(pending)):
                    pending[self.pool.submit(run, item)] = item
                if not pending:
                    return
                done, _ = wait(pending, timeout=1, return_when=FIRST_COMPLETED)
                if self.life.silence() > SILENCE:
                    raise BackupError(
                        f"s3://{self.place}: no answer for {SILENCE:.0f} seconds; run this again "
                        "when the store can be reached"
                    )
                for future in done:
                    outcome = self._outcome(future)
                    yield pending.pop(future), outcome
                    error = future.exception()
                    succeeded = succeeded or error is None
                    failures += error is not None and not is_of_one(error)
                    if failures == ALL_FAIL and not succeeded:
                        raise BackupError(f"s3://{self.place}: nothing succeeds: {outcome}")
        finally:
            for future in pending:
                future.cancel()

    def _outcome(self, future: Future[Result]) -> Result | ObjectError:
        error = future.exception()
        if error is None:
            return future.result()
        if isinstance(error, ObjectError):
            return error
        if not isinstance(error, Exception):
            raise error
        if is_fatal(error):
            raise error if isinstance(error, OSError) else self.error(error)
        return ObjectError(reason(error, self.place))


def utc(moment: datetime) -> str:
    """A time of S3, for a sentence."""
    return f"{moment:%Y-%m-%d %H:%M} UTC"


@contextmanager
def open_store(s3: Any, bucket: str, prefix: str, transfer: Any = None) -> Iterator[Store]:
    """A store with one transfer manager, s3transfer's, for all its files and their parts.

    Without ``transfer``, boto3's TransferConfig, as many requests are under way as the client has
    connections.
    """
    from boto3.s3.transfer import TransferConfig
    from botocore.client import BaseClient
    from s3transfer.manager import TransferManager
    from s3transfer.utils import OSUtils

    rule = "s3 is a client of boto3, as boto3.client('s3') makes one"
    require_type(s3, BaseClient, rule)
    require(hasattr(s3, "list_objects_v2"), rule, s3)
    require_type(bucket, str, "the bucket is its name")
    require_prefix(prefix)
    if transfer is None:
        connections = s3.meta.config.max_pool_connections
        # The queue of what is to be written holds pieces of 256 KiB.
        transfer = TransferConfig(
            max_concurrency=connections, max_io_queue=100, num_download_attempts=3
        )
    store = Store(s3, bucket, prefix, transfer)
    system = OSUtils()
    system.open = store.files.open
    store.manager = TransferManager(RangesFirst(s3), transfer, system)
    events = {
        "before-send.s3": store.life.asked,
        "before-send.s3.PutObject": send_at_once,
        "response-received.s3": store.life.answered,
    }
    for event, handler in events.items():
        s3.meta.events.register(event, handler)
    try:
        # What fails is first kept from going on, then waited for.
        with store.pool, store.manager, store.life:
            yield store
    finally:
        for event, handler in events.items():
            s3.meta.events.unregister(event, handler)
