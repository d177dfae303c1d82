"""What the course's two sources claim, recomputed: which figures agree, which differ, and why (all
chapters).

``data/claims.tsv`` holds the claims; here stands one function for each, and nothing else decides a
verdict. Numbers in the texts are computed too. Units: MB = 10^6 bytes, MiB = 2^20, and so on.
"""

from __future__ import annotations

import csv
import functools
import importlib.util
import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Literal

from imnetlib import throughput as t
from imnetlib.catalog import ILSVRC2012, IMAGENET21K, data_file, validation_wnids, wnids_21k
from imnetlib.cloud import RATES

Outcome = Literal["agrees", "differs", "cannot be computed here"]

HDD, SSD = t.DEVICES[:2]
# the note's random 4K reads; it writes MB/s, its 677 h come out with MiB/s
HDD_4K = 0.43
SSD_4K = 40.0
# the note's size of the packed full set
PACKED = 250 * t.GB
# the note's training: images/s and duration
RATE = 170
DAYS = 8.5
# the article's size of the 1,000-class set
DOWNLOAD = 150 * t.GB
SC1 = next(device for device in t.DEVICES if "sc1" in device.name)
# the archive of the 1,000-class training images, rounded
TRAIN = 148 * t.GB
# the sources round to one or two digits
TOLERANCE = 0.05


@dataclass(frozen=True, slots=True)
class Claim:
    """A row of ``claims.tsv``: ``quoted`` as printed, ``value`` in ``unit`` where it is one number."""

    id: str
    source: str
    chapter: int
    quoted: str
    value: float | None
    unit: str
    claim: str


@dataclass(frozen=True, slots=True)
class Verdict:
    """A claim beside what arithmetic says; ``ratio`` is computed / claimed, None where one of them
    is missing.

    Where a claim is a bound ("more than 1 TB"), it agrees as soon as it holds, however far away.
    """

    id: str
    claimed: float | None
    computed: float | None
    unit: str
    ratio: float | None
    verdict: Outcome
    why: str


@functools.cache
def claims() -> dict[str, Claim]:
    """All claims by id, in the order of the table."""
    with data_file("claims.tsv").open(encoding="utf-8", newline="") as table:
        rows = csv.DictReader(table, delimiter="\t", quoting=csv.QUOTE_NONE)
        return {row["id"]: _claim(row) for row in rows}


def _claim(row: dict[str, str]) -> Claim:
    value = float(row["value"]) if row["value"] else None
    chapter = int(row["chapter"])
    return Claim(row["id"], row["source"], chapter, row["quoted"], value, row["unit"], row["claim"])


def _value(claim_id: str) -> float:
    value = claims()[claim_id].value
    # the table's part of the bargain, and a test's
    assert value is not None
    return value


def recompute(ids: Iterable[str] | None = None, chapter: int | None = None) -> list[Verdict]:
    """The verdicts on the claims with these ids, or of this chapter, or on all; KeyError for an
    unknown id.
    """
    wanted = list(claims() if ids is None else ids)
    unknown = [i for i in wanted if i not in claims()]
    if unknown:
        raise KeyError(f"no claim {', '.join(unknown)}; there are {', '.join(claims())}")
    found = [claims()[i] for i in wanted]
    return [RECOMPUTED[c.id](c) for c in found if chapter in (None, c.chapter)]


def _compare(claim: Claim, computed: float, why: str, agrees: bool | None = None) -> Verdict:
    """Equal within the tolerance, unless the claim is a bound: then ``agrees`` says whether it
    holds.
    """
    ratio = computed / _value(claim.id)
    holds = abs(ratio - 1) <= TOLERANCE if agrees is None else agrees
    outcome: Outcome = "agrees" if holds else "differs"
    return Verdict(claim.id, claim.value, computed, claim.unit, ratio, outcome, why)


def _open(claim: Claim, why: str) -> Verdict:
    return Verdict(claim.id, claim.value, None, claim.unit, None, "cannot be computed here", why)


def _random_hdd(claim: Claim) -> Verdict:
    hours = t.seconds_sequential(t.TIB, HDD_4K * t.MIB) / t.HOUR
    decimal = t.seconds_sequential(t.TB, HDD_4K * t.MB) / t.HOUR
    why = f"Right in binary units (1 TiB at 0.43 MiB/s; in decimal ones {decimal:.0f} h)."
    return _compare(claim, hours, f"{why} It charges a seek for every 4 KiB.")


def _random_ssd(claim: Claim) -> Verdict:
    hours = t.seconds_sequential(t.TIB, SSD_4K * t.MIB) / t.HOUR
    decimal = t.seconds_random(t.TB, SSD.iops) / t.HOUR
    why = f"{hours:.2f} h in the units that give the hard disk's 677 h."
    more = f"From 10,000 reads/s and 10^12 bytes it would be {decimal:.2f} h."
    return _compare(claim, hours, f"{why} {more} The printed figure looks like 677 / 100.")


def _seek_per_file(claim: Claim) -> Verdict:
    files = IMAGENET21K.train
    seeks = files / HDD.iops / t.HOUR
    transfer = t.seconds_sequential(t.TB, HDD.sequential) / t.HOUR
    hours, ssd = (t.hours_per_epoch(disk, files, t.TB)["a seek per file"] for disk in (HDD, SSD))
    why = f"A file costs one seek, then it is read in order: {seeks:.1f} h of seeks, {transfer:.1f} h of transfer."
    return _compare(claim, hours, f"{why} On the SSD it is {ssd:.1f} h altogether.")


def _packed_rate(claim: Claim) -> Verdict:
    size = t.bytes_per_image(PACKED, IMAGENET21K.train)
    rate = _value(claim.id)
    bound = t.images_per_second(HDD.sequential, size)
    why = f"An image has {size / 1_000:.1f} KB, so {rate:,.0f} a second are {rate * size / t.MB:.0f} MB/s"
    share = f"{rate / bound:.0%} of what the disk reads in order ({bound:,.0f} images/s)."
    return _compare(claim, bound, f"{why}: {share}", agrees=bound >= rate)


def _raw_size(claim: Claim) -> Verdict:
    terabytes = IMAGENET21K.train * 256 * 256 * 3 / t.TB
    why = f"{terabytes:.2f} TB at 256 × 256 pixels of three bytes."
    return _compare(claim, terabytes, why, agrees=terabytes > _value(claim.id))


def _train_time(claim: Claim) -> Verdict:
    passes = t.epochs(RATE, DAYS * t.DAY, IMAGENET21K.train)
    return _compare(claim, passes, f"{RATE * DAYS * t.DAY / 1e6:.1f} M images pass in 8.5 days.")


def _fewer_rounds(claim: Claim) -> Verdict:
    images = _value(claim.id) * IMAGENET21K.train
    passes = images / ILSVRC2012.train
    why = (
        f"Fewer rounds, but not fewer images: {images / 1e6:.1f} M, as many as {passes:.1f} passes"
    )
    return _compare(claim, passes, f"{why} over the 1,000-class set.")


def _memory(claim: Claim) -> Verdict:
    if importlib.util.find_spec("mxnet") is None:
        return _open(
            claim, "It takes MXNet's plans, and MXNet has wheels for Linux on x86-64 only."
        )
    from imnetlib import engines
    from imnetlib.engines.mxnet import memory, network

    net = network.symbol(engines.network("inception-21k", IMAGENET21K.classes))
    steps = memory.steps(net, 32, 224)
    nothing, in_place, both = (
        sum(engines.plan(steps, in_place=own, sharing=shared).buffers) / t.MIB
        for own, shared in ((False, False), (True, False), (True, True))
    )
    why = f"With both, the results for 32 images take {both:,.0f} MiB beside {nothing:,.0f}: more than half is saved."
    half = f"Half it is for sharing beside in-place alone: {both / in_place:.2f} of {in_place:,.0f} MiB."
    return _compare(claim, both / nothing, f"{why} {half}")


def _accuracy(claim: Claim) -> Verdict:
    images = ILSVRC2012.validation
    half = 1.96 * math.sqrt(0.683 * 0.317 / images)
    lost = (
        sum(wnid not in set(wnids_21k()) for wnid in set(validation_wnids()))
        * images
        // ILSVRC2012.classes
    )
    why = f"It needs the published weights and ImageNet; {images:,} images fix it to ±{100 * half:.1f} points."
    return _open(claim, f"{why} For {lost} of them, one class, the full set has no output.")


def _download(claim: Claim) -> Verdict:
    rate = DOWNLOAD / (_value(claim.id) * t.DAY)
    return _open(
        claim, f"It is {rate / t.MB:.2f} MB/s on average. Put in the rate of your own line."
    )


def _train_packing_rate() -> float:
    """The article's images/s for the training set."""
    return ILSVRC2012.train / (_value("pack-train") * t.HOUR)


def _pack_val(claim: Claim) -> Verdict:
    minutes = ILSVRC2012.validation / _train_packing_rate() / 60
    claimed = ILSVRC2012.validation / (_value(claim.id) * 60)
    why = f"{minutes:.1f} minutes at the rate of the training set on the same machine."
    faster = f"Two minutes would be {claimed:.0f} images/s, {claimed / _train_packing_rate():.1f} times as many."
    return _compare(claim, minutes, f"{why} {faster}")


def _pack_train(claim: Claim) -> Verdict:
    rate = _train_packing_rate()
    return _open(
        claim,
        f"It is {rate:.0f} images/s, {rate / 4:.0f} a vCPU. The progress bars of chapter 4 show yours.",
    )


def _resize(claim: Claim) -> Verdict:
    why = f"No settings are given; a short edge of 480, customary then, enlarges a 500 × 375 photo {480 / 375} times."
    return _open(claim, f"{why} Chapter 4 measures sizes and quality.")


def _crop(claim: Claim) -> Verdict:
    return _compare(claim, 224, "A slip of the pen: the models take squares, 224 × 224.")


def _deploy(claim: Claim) -> Verdict:
    fast, slow = (t.seconds_sequential(DOWNLOAD, rate * t.MIB) for rate in reversed(RATES))
    there = _value(claim.id) * RATES[-1] * t.MIB / t.GB
    why = f"There in seconds, but each block still comes from S3: 150 GB take {fast / 60:.0f} to {slow / 60:.0f}"
    rates = f"minutes at the {RATES[1]} to {RATES[0]} MiB/s that one can order."
    enough = f"Taking ten seconds for a few, {there:.1f} GB would be there in time."
    return _compare(claim, fast, f"{why} {rates} {enough}")


def _rate_4k(claim: Claim, iops: float, more: str) -> Verdict:
    rate = iops * t.PAGE
    why = f"{iops:,.0f} × 4,096 bytes are {rate / t.MIB:.2f} MiB/s; in decimal units {rate / t.MB:.2f} MB/s."
    return _compare(claim, rate / t.MIB, f"{why} {more}")


def _hdd_4k(claim: Claim) -> Verdict:
    return _rate_4k(claim, HDD.iops, "So the note's MB are MiB.")


def _ssd_4k(claim: Claim) -> Verdict:
    return _rate_4k(
        claim, SSD.iops, "The 40 lie between. One read at a time: an SSD does more at once."
    )


def _in_order(claim: Claim) -> Verdict:
    hours = [t.seconds_sequential(t.TB, disk.sequential) / t.HOUR for disk in (HDD, SSD)]
    why = "Rates of two products; the note itself says that they may be wrong. The probe measures your disk."
    return _open(claim, f"{why} By them 1 TB takes {hours[0]:.1f} h and {hours[1]:.1f} h.")


def _much_faster(claim: Claim) -> Verdict:
    hdd, ssd = (disk.sequential / (disk.iops * t.PAGE) for disk in (HDD, SSD))
    why = f"{ssd:.0f} times on the SSD, {hdd:.0f} times on the hard disk, one random 4K read at a time."
    return _compare(claim, ssd, f"{why} Taking ten times for much.", agrees=ssd > _value(claim.id))


def _packing_bound(claim: Claim) -> Verdict:
    size = t.bytes_per_image(t.TB, IMAGENET21K.train)
    hdd, ssd = (t.images_per_second(disk.sequential, size, disk.iops) for disk in (HDD, SSD))
    cores = _train_packing_rate()
    why = f"A seek a file, the hard disk gives {hdd:.0f} images/s; the article's 4 vCPU pack {cores:.0f}."
    more = f"The SSD gives {ssd:,.0f}: there the cores are the brake, up to {ssd / cores * 4:.0f} vCPU."
    return _compare(claim, hdd / cores, f"{why} {more}", agrees=hdd < cores)


def _longer_cycle(claim: Claim) -> Verdict:
    full, small = (images / RATE / t.HOUR for images in (IMAGENET21K.train, ILSVRC2012.train))
    why = f"At 170 images/s one pass takes {full:.1f} h; over the 1,000-class set {small:.1f} h."
    return _compare(claim, full / small, why, agrees=full > small)


def _cheapest_disk(claim: Claim) -> Verdict:
    rate = DOWNLOAD / (_value("download") * t.DAY)
    packing = _train_packing_rate() * t.bytes_per_image(TRAIN, ILSVRC2012.train)
    base = f"1 TiB of sc1 has {SC1.sequential / t.MB:.1f} MB/s in the long run."
    why = f"The download writes {rate / t.MB:.2f} MB/s; {base}"
    more = f"To pack from it at the article's rate takes {packing / t.MB:.0f} MB/s: more than that."
    return _compare(claim, rate / SC1.sequential, f"{why} {more}", agrees=rate < SC1.sequential)


def _gpu_stall(claim: Claim) -> Verdict:
    size = t.bytes_per_image(TRAIN, ILSVRC2012.train)
    hdd, ssd = (t.images_per_second(disk.sequential, size, disk.iops) for disk in (HDD, SSD))
    why = f"From the note's hard disk, a seek a file, {hdd:.0f} images/s; its four GPUs of 2015 train {RATE}."
    return _compare(
        claim, hdd / RATE, f"{why} Its SSD gives {ssd:,.0f}: enough for them.", agrees=hdd < RATE
    )


def _threads(claim: Claim) -> Verdict:
    why = "Decoding gains up to the number of cores, waiting for a disk up to what it does at once."
    return _open(claim, f"{why} Chapter 4 measures the one, the probe the other.")


def _backup_time(claim: Claim) -> Verdict:
    s3 = t.DEVICES[-1].sequential
    send, read = (t.seconds_sequential(DOWNLOAD, rate) / t.HOUR for rate in (s3, SC1.sequential))
    why = f"No figure is given. At {s3 / t.MB:.0f} MB/s, one connection to S3, 150 GB take {send:.1f} h;"
    return _open(claim, f"{why} to read them from 1 TiB of sc1 takes {read:.1f} h in the long run.")


def _fine_tuning(claim: Claim) -> Verdict:
    images = 50_000
    passes = 5
    minutes = passes * images / RATE / 60
    why = f"No figure is given. Say {passes} passes over {images:,} images: {minutes:.0f} minutes at 170 images/s."
    return _open(claim, f"{why} The small set saves as much as the few passes.")


_DISKS = (
    _hdd_4k,
    _ssd_4k,
    _in_order,
    _much_faster,
    _random_hdd,
    _random_ssd,
    _seek_per_file,
    _packed_rate,
)
_TRAINING = (_train_time, _fewer_rounds, _longer_cycle, _gpu_stall, _fine_tuning)
_PREPARING = (
    _download,
    _cheapest_disk,
    _packing_bound,
    _pack_val,
    _pack_train,
    _threads,
    _backup_time,
    _deploy,
)
_SIZE_AND_QUALITY = (_raw_size, _memory, _accuracy, _resize, _crop)


def _by_id(
    functions: Iterable[Callable[[Claim], Verdict]],
) -> dict[str, Callable[[Claim], Verdict]]:
    return {f.__name__[1:].replace("_", "-"): f for f in functions}


# the ids of what chapter 3 judges
TIME_AND_RATE = tuple(_by_id((*_DISKS, *_TRAINING, *_PREPARING)))
RECOMPUTED = _by_id((*_DISKS, *_TRAINING, *_PREPARING, *_SIZE_AND_QUALITY))
