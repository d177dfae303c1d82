"""``imnet VERB``: the library's long jobs from a terminal, one thin function per verb.

Exit status: 0 done; 1 failed, with one sentence that says why; 2 asked for wrongly; 3 done, but
something had to be left out, and the report names it. Modules are imported inside the verbs, so
that ``imnet --help`` is quick.
"""

from __future__ import annotations

import click

from imnetlib.cli import archives, course, records, storage
from imnetlib.cli.common import OneSentence


@click.group(cls=OneSentence)
@click.version_option(package_name="imnetlib")
def main() -> None:
    """Train on ImageNet at its real size: the course's chapters, and each long job by itself.

    A job that was stopped goes on when the same command is run again. Exit status: 0 done, 1
    failed, 2 asked for wrongly, 3 done but for something that had to be left out and is named.
    """


for _verb in (
    course.run,
    course.doctor_,
    course.sample_,
    archives.download_,
    archives.verify_archives_,
    archives.index_,
    archives.organize_,
    records.list_,
    records.pack_,
    records.verify_,
    records.merge_index,
    records.salvage_,
    storage.probe_,
    storage.backup_,
    storage.restore_,
):
    main.add_command(_verb)
