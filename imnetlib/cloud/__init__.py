"""A backup in S3, and machines that start from a snapshot of it: S3, EBS, EC2 (chapter 5)."""

from imnetlib.cloud.backup import (
    MANIFEST,
    BackupError,
    BackupReport,
    ManifestEntry,
    back_up,
    read_manifest,
    restore,
    verify_backup,
)
from imnetlib.cloud.deploy import (
    RATES,
    create_volume,
    launch,
    launch_request,
    mount_script,
    rehearse,
    snapshot_volume,
    tidy_up,
    volume_request,
)

__all__ = [
    "MANIFEST", "RATES", "BackupError", "BackupReport", "ManifestEntry", "back_up",
    "create_volume", "launch", "launch_request", "mount_script", "read_manifest", "rehearse",
    "restore", "snapshot_volume", "tidy_up", "verify_backup", "volume_request",
]  # fmt: skip
