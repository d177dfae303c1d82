"""Every verb that writes, killed before each of its steps: the same command ends it.

Where another test kills a job at random moments while bytes flow, here none of the moments between
two files, two names or two requests is left out by ``make test-long``, of three one is taken by
``make test``.
"""

from __future__ import annotations

import csv
import gzip
import itertools
import shutil
import signal
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from killing import run_killed
from making import imnet, jpeg, put, tar_of, tree, write_shard

from imnetlib import cloud, organize, pack, recordio
from imnetlib.course import aws

WNIDS = ("n00000001", "n00000002", "n00000003")
FLAT = {organize.validation_name(n): jpeg(seed=n) for n in range(1, 7)}
TRAIN = {f"{wnid}/{wnid}_{n}.JPEG": jpeg(seed=n) for n, wnid in enumerate(WNIDS * 2)}
LEFT_OUT = 3


def put_archives(work: Path) -> None:
    classes = {}
    for wnid in WNIDS:
        files = {n.partition("/")[2]: data for n, data in TRAIN.items() if n.startswith(wnid)}
        classes[f"{wnid}.tar"] = tar_of(files)
    put(work, {"train.tar": tar_of(classes), "val.tar": tar_of(FLAT)})
    put(work, {"train.tar.gz": gzip.compress(tar_of(classes), mtime=0)})


def put_photos(work: Path) -> None:
    put(work / "photos", TRAIN | {"n00000002/bad.JPEG": b"no image"})


def put_list(work: Path) -> None:
    put_photos(work)
    pack.write_lst(pack.list_folder(work / "photos"), work / "set.lst")


def put_shards(work: Path) -> None:
    work.mkdir()
    for part in range(2):
        ids = range(part * 5, part * 5 + 5)
        write_shard(work / f"{part}.rec", ids, [jpeg(seed=key) for key in ids])


def put_damaged_shard(work: Path) -> None:
    put_shards(work)
    data = bytearray((work / "0.rec").read_bytes())
    data[recordio.scan(work / "0.rec")[2] + 1] ^= 1
    (work / "0.rec").write_bytes(data)


def put_shard_without_index(work: Path) -> None:
    put_shards(work)
    (work / "0.idx").unlink()


def put_kaggle(work: Path) -> None:
    images = work / organize.KAGGLE_IMAGES
    put(images / "train", TRAIN)
    put(images / "val", FLAT)
    put_labels(work)
    mapping = "".join(f"{wnid} a\n" for wnid in WNIDS)
    put(work, {organize.KAGGLE_CLASSES: mapping.encode()})


def put_labels(work: Path) -> None:
    with (work / organize.KAGGLE_LABELS).open("w", newline="") as table:
        rows = csv.writer(table)
        rows.writerow(["ImageId", "PredictionString"])
        for number, name in enumerate(FLAT):
            rows.writerow([Path(name).stem, f"{WNIDS[number % 3]} 1 2 3 4"])


def put_flat(work: Path) -> None:
    put(work / "val", FLAT)
    put_labels(work)


def put_sorted(work: Path) -> None:
    put(work / "val", FLAT)
    organize.sort_validation(work / "val", WNIDS * 2)


def put_classes(work: Path) -> None:
    put(work / "train", TRAIN)


@dataclass(frozen=True)
class Verb:
    """The words of a call, with {} for its folder; what lies there before; its exit status.

    ``again``: the status of a call that finds everything there.
    """

    words: str
    before: Callable[[Path], None]
    status: int = 0
    again: int = 0


VERBS = {
    "index a tar": Verb("index {}/train.tar", put_archives),
    "index a tar.gz": Verb("index {}/train.tar.gz", put_archives),
    "index records": Verb("index {}/0.rec", put_shard_without_index, again=2),
    "list": Verb("list {0}/photos {0}/set.lst --seed 1", put_photos),
    "list and split": Verb("list {0}/photos {0}/set.lst --train-ratio 0.5", put_photos),
    "pack": Verb("pack {0}/set.lst {0}/photos {0}/out --shards 2", put_list, LEFT_OUT, LEFT_OUT),
    "merge-index": Verb("merge-index {0}/all.idx {0}/0.rec {0}/1.rec", put_shards),
    "organize train": Verb("organize train {0}/train.tar {0}/train", put_archives),
    "organize validation": Verb(
        f"organize validation {{0}}/val {{0}}/{organize.KAGGLE_LABELS} {{0}}/val", put_flat
    ),
    "organize validation --link": Verb(
        f"organize validation {{0}}/val {{0}}/{organize.KAGGLE_LABELS} {{0}}/new --link", put_flat
    ),
    "organize kaggle": Verb("organize kaggle {0} {0}/root", put_kaggle),
    "organize check": Verb("organize check {0}/train --report {0}/report.txt", put_classes),
}


@pytest.fixture(params=[3, pytest.param(1, marks=pytest.mark.slow)])
def stride(request: pytest.FixtureRequest) -> int:
    """From one step at which a verb is killed to the next."""
    return request.param


def require_whole(work: Path, start: dict[str, bytes], end: dict[str, bytes]) -> None:
    """Fail where a file that has its final name is neither as before nor as at the end."""
    for path, data in tree(work).items():
        assert "/." in f"/{path}" or data in (start.get(path), end.get(path)), path


def kills(words: str, work: Path, before: Callable[[Path], None], stride: int) -> Iterator[int]:
    """Each step before which the verb was killed, with what it left in ``work``, until it is done.

    The folder has the same name each time, as what is written may name it.
    """
    for step in itertools.count(1, stride):
        shutil.rmtree(work, ignore_errors=True)
        before(work)
        if run_killed(words.format(work).split(), step, work) != -signal.SIGKILL:
            return
        yield step


@pytest.mark.parametrize("name", VERBS)
def test_killed_before_any_step_the_same_command_ends_it(tmp_path: Path, name: str, stride: int):
    verb = VERBS[name]
    work = tmp_path / "work"
    words = verb.words.format(work).split()
    verb.before(work)
    start = tree(work)
    assert run_killed(words, 0, work) == verb.status
    end = tree(work)
    steps = 0
    for step in kills(verb.words, work, verb.before, stride):
        steps = step
        require_whole(work, start, end)
        done = tree(work) == end
        assert run_killed(words, 0, work) == (verb.again if done else verb.status), step
        assert tree(work) == end, step
    assert steps >= 3


def test_a_killed_salvage_is_finished_by_the_next(tmp_path: Path, stride: int):
    work = tmp_path / "work"
    command = "salvage {0}/0.rec {0}/out.rec"
    words = command.format(work).split()
    put_damaged_shard(work)
    start = tree(work)
    assert run_killed(words, 0, work) == LEFT_OUT
    end = tree(work)
    assert recordio.verify(work / "out.rec", work / "out.idx").problems == ()
    for _ in kills(command, work, put_damaged_shard, stride):
        require_whole(work, start, end)
        if (work / "out.rec").exists():
            assert tree(work) == end
            assert "out.rec exists and is not overwritten" in imnet(*words).output
        else:
            assert run_killed(words, 0, work) == LEFT_OUT
        assert tree(work) == end


def test_a_killed_probe_leaves_nothing(tmp_path: Path):
    work = tmp_path / "work"
    for _ in kills("probe {} --seconds 0.01", work, put_classes, stride=1):
        assert set(tree(work)) == {f"train/{name}" for name in TRAIN}


@pytest.fixture(scope="module")
def s3() -> Iterator[tuple[Any, dict[str, str]]]:
    """A client of an imitation of S3, and the environment in which a verb finds it."""
    with aws.local_endpoint() as url:
        keys = {"AWS_ACCESS_KEY_ID": "made-up", "AWS_SECRET_ACCESS_KEY": "made-up"}
        client = aws.local_client("s3", url, "us-east-1")
        yield client, {"AWS_ENDPOINT_URL": url, "AWS_DEFAULT_REGION": "us-east-1", **keys}


def test_a_backup_killed_before_any_request_is_none_or_whole_and_the_next_ends_it(
    tmp_path: Path, s3: tuple[Any, dict[str, str]], stride: int
):
    client, environment = s3
    folder = tmp_path / "shards"
    put(folder, {"a.rec": b"first", "more/b.rec": b"second"})
    for step in itertools.count(1, stride):
        bucket = f"backup-{stride}-{step}"
        client.create_bucket(Bucket=bucket)
        words = ["backup", folder, f"s3://{bucket}/v1"]
        status = run_killed(words, step, folder, **environment)
        try:
            assert cloud.verify_backup(client, bucket, "v1").wrong == ()
        except cloud.BackupError as error:
            assert "never finished" in str(error)  # noqa: PT017
        if status == 0:
            break
        assert status == -signal.SIGKILL
        assert run_killed(words, 0, folder, **environment) == 0
        assert cloud.verify_backup(client, bucket, "v1").wrong == ()
    # Two listings, the manifest, and both files.
    assert step > 5


def test_a_restoration_killed_before_any_step_holds_whole_files_and_the_next_ends_it(
    tmp_path: Path, s3: tuple[Any, dict[str, str]], stride: int
):
    client, environment = s3
    sent = tmp_path / "shards"
    put(sent, {"a.rec": b"first", "more/b.rec": b"second"})
    bucket = f"restore-{stride}"
    client.create_bucket(Bucket=bucket)
    cloud.back_up(sent, client, bucket, "v1")
    end = tree(sent)
    for step in itertools.count(1, stride):
        back = tmp_path / str(step)
        words = ["restore", f"s3://{bucket}/v1", back]
        status = run_killed(words, step, back, **environment)
        require_whole(back, {}, end)
        if status == 0:
            break
        assert status == -signal.SIGKILL
        assert run_killed(words, 0, back, **environment) == 0
        assert tree(back) == end
    assert step > 5 * 2
