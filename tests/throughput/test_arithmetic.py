"""The I/O arithmetic against sums done by hand."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from imnetlib import throughput as t
from imnetlib.throughput import GB, HOUR, MB, MIB, TB, TIB

positive = st.floats(1, 1e15)


def test_the_notes_hours():
    assert t.seconds_sequential(TIB, 0.43 * MIB) / HOUR == pytest.approx(677.37, abs=0.01)
    assert t.seconds_sequential(TIB, 40 * MIB) / HOUR == pytest.approx(7.28, abs=0.01)
    assert t.seconds_random(TIB, 110) / HOUR == pytest.approx(2**40 / 4_096 / 110 / 3_600)


def test_a_seek_per_file():
    assert t.seconds_seek_per_file(14_197_087, 0, 110, 170 * MB) / HOUR == pytest.approx(
        35.9, abs=0.05
    )
    assert t.seconds_seek_per_file(14_197_087, TB, 10_000, 550 * MB) / HOUR == pytest.approx(
        0.90, abs=0.005
    )


def test_images():
    size = t.bytes_per_image(250 * GB, 14_197_087)
    assert size == pytest.approx(17_609, abs=1)
    assert t.images_per_second(170 * MB, size) == pytest.approx(9_654, abs=1)
    assert t.epochs(170, 8.5 * t.DAY, 14_197_087) == pytest.approx(8.79, abs=0.01)


def test_random_pieces_are_whole():
    assert t.seconds_random(1, iops=1) == 1
    assert t.seconds_random(4_096, iops=1) == 1
    assert t.seconds_random(4_097, iops=1) == 2
    assert t.seconds_random(4_097, iops=1, piece=8_192) == 1


@given(files=st.integers(0, 10**9), size=positive, iops=positive, rate=positive)
def test_seeks_only_add_time(files: int, size: float, iops: float, rate: float):
    transfer = t.seconds_sequential(size, rate)
    assert t.seconds_seek_per_file(files, size, iops, rate) == pytest.approx(
        transfer + files / iops
    )


@given(rate=positive, images=st.integers(1, 10**9))
def test_epochs_undo_the_time_of_an_epoch(rate: float, images: int):
    assert t.epochs(rate, images / rate, images) == pytest.approx(1)


NAN = float("nan")
INF = float("inf")
NAMES: dict[Callable[..., object], str] = {
    t.seconds_sequential: "n_bytes+ bytes_per_second",
    t.seconds_random: "n_bytes+ iops piece",
    t.seconds_seek_per_file: "files+ n_bytes+ iops bytes_per_second",
    t.bytes_per_image: "n_bytes+ images",
    t.images_per_second: "bytes_per_second image_bytes iops",
    t.epochs: "rate+ seconds+ images",
    t.to_feed: "gpu_rate image_bytes decode_rate",
    t.stage_rates: "bytes_per_second image_bytes decode_rate cores gpu_rate iops",
}
ARGUMENTS = [(function, name) for function, names in NAMES.items() for name in names.split()]


@pytest.mark.parametrize("bad", [0, -1, NAN, INF, -INF])
@pytest.mark.parametrize(
    ("function", "argument"), ARGUMENTS, ids=[f"{f.__name__}-{name}" for f, name in ARGUMENTS]
)
def test_a_wrong_argument_is_named(function: Callable[..., object], argument: str, bad: float):
    """A + marks an amount, which may be 0; the others are rates or counts."""
    wrong = argument.rstrip("+")
    arguments = {name.rstrip("+"): 2 for name in NAMES[function].split()}
    may_be_zero = wrong != argument
    if may_be_zero and bad == 0:
        assert function(**arguments | {wrong: bad}) is not None
        return
    least = "0 or more" if may_be_zero else "more than 0"
    with pytest.raises(ValueError, match=f"^{wrong} must be {least} and finite, not {bad}$"):
        function(**arguments | {wrong: bad})


@pytest.mark.parametrize("bad", [0, -1, NAN, INF])
def test_stages_with_wrong_rates_are_named(bad: float):
    for function in (t.bottleneck, t.say_bottleneck):
        with pytest.raises(ValueError, match=f"decode must be more than 0 and finite, not {bad}"):
            function({"disk": 1.0, "decode": bad})
        with pytest.raises(ValueError, match="rates must name at least one stage"):
            function({})


def test_the_slowest_stage_decides():
    rates = t.stage_rates(170 * MB, 17_600, decode_rate=2_800, cores=2, gpu_rate=170)
    assert rates == {"disk": pytest.approx(9_659, abs=1), "decode": 5_600, "gpu": 170}
    assert t.bottleneck(rates) == "gpu"
    assert t.bottleneck(t.stage_rates(170 * MB, 17_600, 2_800, 2, gpu_rate=20_000)) == "decode"
    assert t.bottleneck(t.stage_rates(1 * MB, 17_600, 2_800, 2, gpu_rate=20_000)) == "disk"
    assert t.bottleneck(t.stage_rates(170 * MB, 17_600, 2_800, 2, gpu_rate=170, iops=110)) == "disk"


def test_the_slowest_stage_in_words():
    rates = {"disk": 1_545.4, "decode": 11_200, "gpu": 2_500}
    assert t.say_bottleneck(rates) == "disk: 1,545 images/s; busy: decode 14%, gpu 62%"
    assert t.say_bottleneck({"gpu": 170}) == "gpu: 170 images/s"


def test_images_as_files():
    """The note's hard disk: 9.1 ms of seek and 0.65 ms of transfer for a file of 110 KB."""
    assert t.images_per_second(170 * MB, 110_000, iops=110) == pytest.approx(102.7, abs=0.05)
    assert t.images_per_second(170 * MB, 110_000) == pytest.approx(1_545.5, abs=0.05)


def test_what_feeds_a_gpu():
    assert t.to_feed(2_500, 110_000, 1_400) == t.Feed(
        bytes_per_second=275 * MB, seeks=2_500, cores=2
    )
    assert t.to_feed(2_800, 110_000, 1_400).cores == 2


@given(gpu=positive, size=positive, decode=positive)
def test_a_fed_gpu_waits_for_nothing(gpu: float, size: float, decode: float):
    feed = t.to_feed(gpu, size, decode)
    rates = t.stage_rates(feed.bytes_per_second, size, decode, feed.cores, gpu)
    assert min(rates.values()) == pytest.approx(gpu)


@given(rate=positive, size=positive, iops=positive)
def test_files_of_one_size_take_the_time_of_a_seek_each(rate: float, size: float, iops: float):
    together = t.seconds_seek_per_file(1_000, 1_000 * size, iops, rate)
    assert t.images_per_second(rate, size, iops) == pytest.approx(1_000 / together)


def test_devices():
    hdd, ssd = t.DEVICES[:2]
    assert (hdd.sequential, hdd.iops) == (170_000_000, 110)
    assert (ssd.sequential, ssd.iops) == (550_000_000, 10_000)
    assert len({device.name for device in t.DEVICES}) == len(t.DEVICES)
    for device in t.DEVICES:
        assert device.source.startswith("quoted: ")
        hours = t.hours_per_epoch(device, files=14_197_087, n_bytes=TB)
        assert hours["a seek per file"] > hours["packed, in order"]
    assert t.hours_per_epoch(hdd, 14_197_087, TB)["a seek per file"] == pytest.approx(
        37.5, abs=0.05
    )
