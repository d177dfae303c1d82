"""A backup in S3, and machines that start from a snapshot of it: S3, EBS, EC2 (chapter 5)."""

from imnetlib.cloud.backup import BackupReport, back_up
from imnetlib.cloud.deploy import (
    attach_copy,
    create_volume,
    find_snapshot,
    launch,
    machine_place,
    rehearse,
    snapshot_volume,
    source_volume,
    tidy_up,
    to_take_down,
)
from imnetlib.cloud.ec2_requests import (
    RATES,
    Machine,
    copy_request,
    filling_request,
    launch_request,
    snapshot_request,
    volume_request,
)
from imnetlib.cloud.errors import BackupError
from imnetlib.cloud.filling import fill_volume, filled_bytes
from imnetlib.cloud.inventory import Resource, list_resources
from imnetlib.cloud.leftovers import PruneReport, prune_backup
from imnetlib.cloud.manifest import MANIFEST, ManifestEntry
from imnetlib.cloud.planning import (
    Filling,
    Step,
    attach_steps,
    filling_steps,
    is_refusal,
    launch_steps,
    require_allowed,
    snapshot_steps,
    whole_way,
)
from imnetlib.cloud.pricing import Cost, Price, backup_cost, prices, request_costs, total_cost
from imnetlib.cloud.refusals import DeployError, one_sentence
from imnetlib.cloud.restoration import read_manifest, restore
from imnetlib.cloud.scripts import fill_script, mount_script
from imnetlib.cloud.verification import VerifyReport, verify_backup

__all__ = [
    "MANIFEST", "RATES", "BackupError", "BackupReport", "Cost", "DeployError", "Filling", "Machine",
    "ManifestEntry", "Price", "PruneReport", "Resource", "Step", "VerifyReport", "attach_copy",
    "attach_steps", "back_up", "backup_cost", "copy_request", "create_volume", "fill_script",
    "fill_volume", "filled_bytes", "filling_request", "filling_steps", "find_snapshot",
    "is_refusal", "launch", "launch_request", "launch_steps", "list_resources", "machine_place",
    "mount_script", "one_sentence", "prices", "prune_backup", "read_manifest", "rehearse",
    "request_costs", "require_allowed", "restore", "snapshot_request", "snapshot_steps",
    "snapshot_volume", "source_volume", "tidy_up", "to_take_down", "total_cost", "verify_backup",
    "volume_request", "whole_way",
]  # fmt: skip
