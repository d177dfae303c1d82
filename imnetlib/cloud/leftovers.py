"""What earlier backups have left below a prefix: objects, and uploads that were never finished."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from typing import Any

from imnetlib.cloud.errors import BackupError, ObjectError
from imnetlib.cloud.manifest import MANIFEST, ManifestEntry
from imnetlib.cloud.objects import Listed
from imnetlib.cloud.store import Store, open_store, utc

# A changed file's key; see ``back_up``.
_CHANGED = re.compile(r"~[0-9a-f]{8}$")
# Objects that are looked at to tell whether a later backup has begun.
_MOST_ASKED = 50


@dataclass(frozen=True, slots=True)
class PruneReport:
    """What earlier backups have left below a prefix.

    Args:
        objects: The keys of objects that the manifest no longer names.
        uploads: The keys of uploads that were never finished, whose parts are kept and paid for.
        bytes: What both take.
        deleted: Whether they were deleted.
        failures: A line for each that could not be looked at or deleted.
        notes: Sentences about what stays.
    """

    objects: tuple[str, ...]
    uploads: tuple[str, ...]
    bytes: int
    deleted: bool
    failures: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class _Upload:
    """The parts of an upload that was neither completed nor aborted; without an id, an object."""

    key: str
    id: str
    size: int


def prune_backup(s3: Any, bucket: str, prefix: str, *, delete: bool = False) -> PruneReport:
    """Find what earlier backups have left below a prefix, and delete it if told so (chapter 5).

    That is the objects which the manifest does not name and whose metadata says that a backup to
    this very prefix made them, and the parts of uploads that were never finished. All others stay,
    and so do objects that are newer than the manifest: a backup that was stopped goes on from them.
    Run it while no backup runs.

    The credentials need s3:ListBucketMultipartUploads and s3:ListMultipartUploadParts for it, to
    delete s3:DeleteObject and s3:AbortMultipartUpload. BackupError when S3 refuses.
    """
    with open_store(s3, bucket, prefix) as store:
        listed = store.listing()
        objects, failures, notes = _earlier(store, listed)
        with store.complete_answers():
            uploads = _uploads(store, listed)
        if delete:
            doomed = [_Upload(key, "", listed[key].size) for key in objects]
            for item, error in store.each(partial(_delete, store), [*doomed, *uploads]):
                if error:
                    failures.append(f"{item.key}: {error}")
    size = sum(listed[key].size for key in objects) + sum(upload.size for upload in uploads)
    keys = tuple(upload.key for upload in uploads)
    return PruneReport(tuple(objects), keys, size, delete, tuple(failures), tuple(notes))


def describe_leftovers(
    store: Store,
    listed: Mapping[str, Listed],
    entries: Iterable[ManifestEntry],
    before: Iterable[ManifestEntry],
) -> list[str]:
    """A sentence about what takes room beside a backup; none where nothing does."""
    others = _others(listed)
    changed = [key for key in listed if _CHANGED.search(key) and not key.startswith(others)]
    gone = {entry.key for entry in before} | set(changed)
    earlier = [listed[key] for key in gone - {entry.key for entry in entries} if key in listed]
    try:
        with store.complete_answers():
            uploads = _uploads(store, listed)
    except BackupError:
        # The key may not ask, or the store does not tell.
        uploads = []
    if not earlier and not uploads:
        return []
    size = sum(found.size for found in earlier) + sum(upload.size for upload in uploads)
    return [
        f"{len(earlier):,} objects of earlier backups and {len(uploads):,} unfinished uploads take "
        f"{size:,} bytes: imnet prune-backup s3://{store.place}"
    ]


def look_around(
    store: Store, entries: Iterable[ManifestEntry], written: datetime
) -> tuple[dict[str, Listed], list[str]]:
    """A listing, and sentences of when a backup is and whether a later one is unfinished.

    The listing is empty where S3 refuses it: a backup can be restored without.
    """
    sentences = [f"this backup is of {utc(written)}"]
    try:
        listed = store.listing()
    except BackupError as error:
        return {}, [*sentences, f"whether a later one is unfinished is not known: {error}"]
    named = {entry.key for entry in entries} | {MANIFEST}
    others = _others(listed)
    new = [key for key in listed if listed[key].modified > written and key not in named]
    newer = [key for key in new if not key.startswith(others)]
    if any(found is True for _, found in store.each(partial(_is_ours, store), newer[:_MOST_ASKED])):
        sentences.append(
            f"a later one is not finished, and its {len(newer):,} new objects are left aside: "
            "run imnet backup again to finish it"
        )
    return listed, sentences


def _earlier(store: Store, listed: Mapping[str, Listed]) -> tuple[list[str], list[str], list[str]]:
    """The keys of objects of earlier backups, failures, and notes."""
    if MANIFEST not in listed:
        return [], [], ["no backup was ever finished here, so its objects stay: run it again"]
    entries, written = store.manifest()
    others = listed.keys() - {entry.key for entry in entries} - {MANIFEST}
    old = [key for key in sorted(others) if listed[key].modified <= written]
    ours = []
    failures = []
    for key, is_ours in store.each(partial(_is_ours, store), old):
        if isinstance(is_ours, ObjectError):
            failures.append(f"{key}: {is_ours}")
        elif is_ours:
            ours.append(key)
    notes = []
    newer = len(others) - len(old)
    if newer:
        notes.append(f"{newer:,} objects are newer than the manifest and stay: a backup needs them")
    if len(ours) + len(failures) < len(old):
        foreign = len(old) - len(ours) - len(failures)
        notes.append(f"{foreign:,} other objects are of no backup to this prefix and stay")
    return sorted(ours), failures, notes


def _is_ours(store: Store, key: str) -> bool:
    head = store.head(key)
    return head is not None and head.is_of(key)


def _others(listed: Iterable[str]) -> tuple[str, ...]:
    """The folders of other backups below the prefix: each has a manifest."""
    return tuple(key.removesuffix(MANIFEST) for key in listed if key.endswith(f"/{MANIFEST}"))


def _uploads(store: Store, listed: Iterable[str]) -> list[_Upload]:
    """The unfinished uploads to the prefix, but those that another tool has begun."""
    start = store.key("")
    others = _others(listed)
    found: list[_Upload] = []
    more: dict[str, str] = {}
    while True:
        page = store.ask("list_multipart_uploads", Prefix=start, **more)
        for upload in page.get("Uploads", []):
            # Not every store tells them.
            kind = {upload.get("ChecksumAlgorithm"), upload.get("ChecksumType")} - {None}
            key = upload["Key"].removeprefix(start)
            if kind <= {"CRC32", "FULL_OBJECT"} and not key.startswith(others):
                size = _size_of_parts(store, upload["Key"], upload["UploadId"])
                found.append(_Upload(key, upload["UploadId"], size))
        if not page.get("IsTruncated"):
            return found
        more = {"KeyMarker": page["NextKeyMarker"], "UploadIdMarker": page["NextUploadIdMarker"]}


def _size_of_parts(store: Store, key: str, upload_id: str) -> int:
    size = 0
    more: dict[str, int] = {}
    while True:
        page = store.ask("list_parts", Key=key, UploadId=upload_id, **more)
        size += sum(int(part["Size"]) for part in page.get("Parts", []))
        if not page.get("IsTruncated"):
            return size
        more = {"PartNumberMarker": page["NextPartNumberMarker"]}


def _delete(store: Store, item: _Upload) -> None:
    where = {"Bucket": store.bucket, "Key": store.key(item.key)}
    if item.id:
        store.s3.abort_multipart_upload(**where, UploadId=item.id)
    else:
        store.s3.delete_object(**where)
