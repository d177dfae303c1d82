"""What each claim of the course's two sources comes to, and why: one function a claim, by its id.

Numbers in the texts are computed too. Units: MB = 10^6 bytes, MiB = 2^20, and so on.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import NamedTuple

from imnetlib import engines, throughput
from imnetlib.catalog import ILSVRC2012, IMAGENET21K, validation_wnids, wnids_21k
from imnetlib.cloud import RATES
from imnetlib.throughput import DAY, DEVICES, GB, HOUR, MB, MIB, PAGE, TB, TIB

# The note: its two disks, and their random 4K reads (it writes MB/s, its 677 h come from MiB/s).
HDD, SSD = DEVICES[:2]
HDD_4K = 0.43 * MIB
SSD_4K = 40 * MIB
# The note: the packed full set, and the images/s and the days of its training.
PACKED_BYTES = 250 * GB
TRAINING_RATE = 170
TRAINING_DAYS = 8.5
# The article: the 1,000-class set, the archive of its training images (rounded), and the volume.
SET_BYTES = 150 * GB
TRAIN_BYTES = 148 * GB
SC1 = next(device for device in DEVICES if "sc1" in device.name)
S3 = DEVICES[-1]


class Finding(NamedTuple):
    """What a claim comes to (None: cannot be computed here), why, and whether a bound holds."""

    computed: float | None
    why: str
    holds: bool | None = None


# Claim id → the number that the source prints.
Claimed = Mapping[str, float]
Judge = Callable[[Claimed], Finding]


def _hours(n_bytes: float, bytes_per_second: float) -> float:
    return throughput.seconds_sequential(n_bytes, bytes_per_second) / HOUR


def _download_rate(claimed: Claimed) -> float:
    """The article's bytes/s of the download."""
    return SET_BYTES / (claimed["download"] * DAY)


def _packing_rate(claimed: Claimed) -> float:
    """The article's images/s of packing the training set."""
    return ILSVRC2012.train / (claimed["pack-train"] * HOUR)


def _file_rates(n_bytes: float, images: int) -> list[float]:
    """Images/s from the note's hard disk and its SSD, with a seek for each file."""
    size = throughput.bytes_per_image(n_bytes, images)
    return [throughput.images_per_second(d.sequential, size, d.iops) for d in (HDD, SSD)]


def _random_hdd(claimed: Claimed) -> Finding:
    decimal = _hours(TB, HDD_4K / MIB * MB)
    why = (
        f"Right in binary units: 1 TiB at 0.43 MiB/s. In decimal ones it is {decimal:.0f} h."
        " It charges a seek for every 4 KiB."
    )
    return Finding(_hours(TIB, HDD_4K), why)


def _random_ssd(claimed: Claimed) -> Finding:
    hours = _hours(TIB, SSD_4K)
    decimal = throughput.seconds_random(TB, SSD.iops) / HOUR
    why = (
        f"{hours:.2f} h in the units that give the hard disk's 677 h; from 10,000 reads/s and "
        f"10^12 bytes {decimal:.2f} h. The printed figure looks like 677 / 100."
    )
    return Finding(hours, why)


def _seek_per_file(claimed: Claimed) -> Finding:
    files = IMAGENET21K.train
    hdd, ssd = (throughput.hours_per_epoch(d, files, TB)["a seek per file"] for d in (HDD, SSD))
    seeks = files / HDD.iops / HOUR
    why = (
        f"A file costs one seek, then it is read in order: {seeks:.1f} h of seeks, "
        f"{_hours(TB, HDD.sequential):.1f} h of transfer. On the SSD both take {ssd:.1f} h."
    )
    return Finding(hdd, why)


def _packed_rate(claimed: Claimed) -> Finding:
    size = throughput.bytes_per_image(PACKED_BYTES, IMAGENET21K.train)
    rate = claimed["packed-rate"]
    bound = throughput.images_per_second(HDD.sequential, size)
    why = (
        f"An image has {size / 1_000:.1f} KB, so {rate:,.0f} a second are {rate * size / MB:.0f} "
        f"MB/s: {rate / bound:.0%} of what the disk reads in order ({bound:,.0f} images/s)."
    )
    return Finding(bound, why, bound >= rate)


def _raw_size(claimed: Claimed) -> Finding:
    terabytes = IMAGENET21K.train * 256 * 256 * 3 / TB
    why = f"{terabytes:.2f} TB at 256 × 256 pixels of three bytes."
    return Finding(terabytes, why, terabytes > claimed["raw-size"])


def _train_time(claimed: Claimed) -> Finding:
    seconds = TRAINING_DAYS * DAY
    passes = throughput.epochs(TRAINING_RATE, seconds, IMAGENET21K.train)
    return Finding(passes, f"{TRAINING_RATE * seconds / 1e6:.1f} M images pass in 8.5 days.")


def _fewer_rounds(claimed: Claimed) -> Finding:
    images = claimed["fewer-rounds"] * IMAGENET21K.train
    passes = images / ILSVRC2012.train
    why = (
        f"Nine rounds are {images / 1e6:.1f} M images, as many as {passes:.1f} passes over the "
        "1,000-class set: fewer rounds, not fewer images."
    )
    return Finding(None, why)


def _memory(claimed: Claimed) -> Finding:
    layers = engines.layers(engines.network("inception-21k", IMAGENET21K.classes))
    steps = engines.training_steps(layers, 32, 224)
    neither, in_place, both = (
        sum(engines.plan(steps, in_place=in_place, sharing=sharing).buffers) / MIB
        for in_place, sharing in ((False, False), (True, False), (True, True))
    )
    why = (
        f"With both, the results for 32 images take {both:,.0f} MiB instead of {neither:,.0f}: more"
    )
    half = f"than half is saved. Sharing halves what in-place leaves: {both / in_place:.2f} of"
    return Finding(both / neither, f"{why} {half} {in_place:,.0f} MiB.")


def _accuracy(claimed: Claimed) -> Finding:
    images = ILSVRC2012.validation
    points = 100 * 1.96 * math.sqrt(0.683 * 0.317 / images)
    missing = set(validation_wnids()) - set(wnids_21k())
    lost = len(missing) * images // ILSVRC2012.classes
    why = (
        f"It needs the published weights and ImageNet; {images:,} images fix it to ±{points:.1f}"
        " points. For "
        f"{lost}"
        " of them, one class, the full set has no output."
    )
    return Finding(None, why)


def _download(claimed: Claimed) -> Finding:
    rate = _download_rate(claimed) / MB
    return Finding(None, f"It is {rate:.2f} MB/s on average. Put in the rate of your own line.")


def _pack_val(claimed: Claimed) -> Finding:
    rate = _packing_rate(claimed)
    minutes = ILSVRC2012.validation / rate / 60
    printed = ILSVRC2012.validation / (claimed["pack-val"] * 60)
    why = (
        f"{minutes:.1f} minutes at the rate of the training set on the same machine. Two minutes "
        f"would be {printed:.0f} images/s, {printed / rate:.1f} times as many."
    )
    return Finding(minutes, why)


def _pack_train(claimed: Claimed) -> Finding:
    rate = _packing_rate(claimed)
    why = (
        f"That would be {rate:.0f} images/s, {rate / 4:.0f} a vCPU."
        " This chapter measures the rate of your machine."
    )
    return Finding(None, why)


def _resize(claimed: Claimed) -> Finding:
    why = (
        "No settings are given; a short edge of 480, customary then, enlarges a 500 × 375 photo"
        f" {480 / 375} times. This chapter measures sizes and quality."
    )
    return Finding(None, why)


def _crop(claimed: Claimed) -> Finding:
    return Finding(224, "A slip of the pen: the models take squares, 224 × 224.")


def _deploy(claimed: Claimed) -> Finding:
    slow, fast = (throughput.seconds_sequential(SET_BYTES, rate * MIB) for rate in RATES)
    arrived = claimed["deploy"] * RATES[-1] * MIB / GB
    why = (
        f"It is there in seconds, but each block still comes from S3: 150 GB take {fast / 60:.0f} "
        f"to {slow / 60:.0f} minutes at the {RATES[1]} to {RATES[0]} MiB/s that can be ordered."
        f" If a few seconds are ten, {arrived:.1f} GB arrive in them."
    )
    return Finding(fast, why)


def _rate_4k(iops: float, comment: str) -> Finding:
    rate = iops * PAGE
    why = (
        f"{iops:,.0f} × 4,096 bytes are {rate / MIB:.2f} MiB/s, or {rate / MB:.2f} MB/s. {comment}"
    )
    return Finding(rate / MIB, why)


def _hdd_4k(claimed: Claimed) -> Finding:
    return _rate_4k(HDD.iops, "So the note's MB are MiB.")


def _ssd_4k(claimed: Claimed) -> Finding:
    more = "The 40 lie between. One read at a time: an SSD does more at once."
    return _rate_4k(SSD.iops, more)


def _in_order(claimed: Claimed) -> Finding:
    hdd, ssd = (_hours(TB, disk.sequential) for disk in (HDD, SSD))
    why = (
        "The rates of two products, which may be wrong, as the note itself says. The probe measures"
        f" your disk. By them 1 TB takes {hdd:.1f} h and {ssd:.1f} h."
    )
    return Finding(None, why)


def _much_faster(claimed: Claimed) -> Finding:
    hdd, ssd = (disk.sequential / (disk.iops * PAGE) for disk in (HDD, SSD))
    why = (
        f"{ssd:.0f} times on the SSD, {hdd:.0f} times on the hard disk, one random 4K read at a"
        " time. Much is taken as ten times."
    )
    return Finding(ssd, why, ssd > claimed["much-faster"])


def _packing_bound(claimed: Claimed) -> Finding:
    hdd, ssd = _file_rates(TB, IMAGENET21K.train)
    cores = _packing_rate(claimed)
    why = (
        f"With a seek a file the hard disk gives {hdd:.0f} images/s; the article's 4 vCPU pack "
        f"{cores:.0f}. The SSD gives {ssd:,.0f}: there the cores are the limit, up to"
        f" {ssd / cores * 4:.0f} vCPU."
    )
    return Finding(hdd / cores, why, hdd < cores)


def _longer_cycle(claimed: Claimed) -> Finding:
    full, small = (data.train / TRAINING_RATE / HOUR for data in (IMAGENET21K, ILSVRC2012))
    why = f"At 170 images/s one pass takes {full:.1f} h; over the 1,000-class set {small:.1f} h."
    return Finding(full / small, why, full > small)


def _cheapest_disk(claimed: Claimed) -> Finding:
    rate = _download_rate(claimed)
    volume = SC1.sequential
    packing = _packing_rate(claimed) * throughput.bytes_per_image(TRAIN_BYTES, ILSVRC2012.train)
    why = f"The download writes {rate / MB:.2f} MB/s; 1 TiB of sc1 sustains {volume / MB:.1f} MB/s."
    more = f"Packing from it at the article's rate takes more: {packing / MB:.0f} MB/s."
    return Finding(rate / volume, f"{why} {more}", rate < volume)


def _gpu_stall(claimed: Claimed) -> Finding:
    hdd, ssd = _file_rates(TRAIN_BYTES, ILSVRC2012.train)
    why = (
        f"With a seek a file the note's hard disk gives {hdd:.0f} images/s; its four GPUs of 2015 "
        f"train {TRAINING_RATE}. Its SSD gives {ssd:,.0f}: enough for them."
    )
    return Finding(hdd / TRAINING_RATE, why, hdd < TRAINING_RATE)


def _threads(claimed: Claimed) -> Finding:
    why = (
        "Decoding gains up to the number of cores: chapter 4 packs with one thread, and with as"
        " many as you say. Waiting for a disk gains up to what it does at once: see chapter 3's"
        " probe."
    )
    return Finding(None, why)


def _backup_time(claimed: Claimed) -> Finding:
    send, read = (_hours(SET_BYTES, device.sequential) for device in (S3, SC1))
    why = (
        f"No figure is given. At {S3.sequential / MB:.0f} MB/s, one connection to S3, 150 GB take"
        f" {send:.1f} h; to read them from 1 TiB of sc1 takes {read:.1f} h."
    )
    return Finding(None, why)


def _fine_tuning(claimed: Claimed) -> Finding:
    passes = 5
    images = 50_000
    minutes = passes * images / TRAINING_RATE / 60
    why = (
        f"No figure is given. Say {passes} passes over {images:,} images: {minutes:.0f} minutes at"
        " 170 images/s. The small set saves as much as the few passes."
    )
    return Finding(None, why)


def _by_id(*judges: Judge) -> dict[str, Judge]:
    """Each function under the id that its name is made of."""
    return {judge.__name__[1:].replace("_", "-"): judge for judge in judges}


JUDGES = _by_id(
    _hdd_4k, _ssd_4k, _in_order, _much_faster, _random_hdd, _random_ssd, _seek_per_file,
    _packed_rate, _raw_size, _gpu_stall, _download, _cheapest_disk, _packing_bound, _pack_val,
    _pack_train, _threads, _resize, _crop, _backup_time, _deploy, _memory, _train_time,
    _fewer_rounds, _longer_cycle, _fine_tuning, _accuracy,
)  # fmt: skip
