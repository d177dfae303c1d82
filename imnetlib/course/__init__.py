"""What the notebooks need around the library: a root folder made ready, local servers, recorded results.

Nothing else imports it: an engineer who takes one helper of imnetlib never meets this package.
"""

from imnetlib.course.exercises import check
from imnetlib.course.report import record, table, verdicts
from imnetlib.course.root import Root, open_root, prepare, publication, site, tar_index

__all__ = [
    "Root",
    "check",
    "open_root",
    "prepare",
    "publication",
    "record",
    "site",
    "table",
    "tar_index",
    "verdicts",
]
