"""The group of all verbs. Each imports what it needs when it runs, so ``imnet --help`` is quick."""

from __future__ import annotations

import click

from imnetlib.cli import (
    archives,
    course,
    deploying,
    explaining,
    packing,
    predictions,
    records,
    storage,
)
from imnetlib.cli.common import OneSentenceErrors


@click.group(cls=OneSentenceErrors, context_settings={"show_default": True})
@click.version_option(package_name="imnetlib")
def main() -> None:
    """Train on ImageNet at its real size: the course's chapters, and its long jobs one by one.

    Run the same command again after a stop, and the job goes on from there. Exit status: 0 done, 1
    failed or found wrong, 2 wrong usage, 3 done, but something failed or is missing: the output
    says what (other files than images, and what is left out by choice, are told with 0); 128 + n
    stopped by signal n: 130 by Ctrl-C, 143 by SIGTERM, 129 by SIGHUP.
    """


for _verb in (
    *(course.run, course.refresh, course.doctor, course.sample),
    *(archives.download, archives.verify_archives, archives.index, archives.organize),
    *(packing.list_, packing.pack),
    *(records.verify, records.merge_index, records.salvage),
    *(predictions.evaluate, explaining.explain),
    *(storage.probe, storage.backup, storage.restore),
    deploying.deploy,
    *(storage.verify_backup, storage.prune_backup),
):
    main.add_command(_verb)
