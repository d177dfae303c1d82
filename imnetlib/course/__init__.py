"""What the notebooks need around the library: a root made ready, local servers, recorded results.

Nothing but notebooks, tests and ``imnet`` imports it: an engineer who takes one helper of imnetlib
never meets this package.
"""

from imnetlib.course.aws import Cloud, open_cloud
from imnetlib.course.exercises import check
from imnetlib.course.report import record, table, verdicts
from imnetlib.course.root import Root, open_root, publication, site
from imnetlib.course.steps import predict, prepare, shard_folder, shards, trained

__all__ = [
    "Cloud", "Root", "check", "open_cloud", "open_root", "predict", "prepare", "publication",
    "record", "shard_folder", "shards", "site", "table", "trained", "verdicts",
]  # fmt: skip
