"""Chapters 0 to 6: each runs alone on the sample and shows what it must."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest


def shows_start(values: dict, figures: set[str]) -> None:
    assert (values["classes"], values["train"], values["validation"]) == (36, 2520, 1800)
    assert 150 < values["megabytes"] <= 220
    assert values["failed_checks"] == 0
    assert "00_sample" in figures


def shows_download(values: dict, figures: set[str]) -> None:
    # nothing twice
    assert values["fetched_after_break"] == 8_000_000
    assert values["breaks"] == 1
    assert 0 < values["resumed_from"] <= 5_000_000
    assert values["corruption_caught"] == 1
    assert values["whole_archives"] == 3
    assert values["indexed_images"] == 2520 + 1800
    assert values["on_the_volume"] == pytest.approx(618.4e9, rel=0.001)
    assert {"01_hours", "01_disk", "01_broken_download"} <= figures


def shows_validation(values: dict, figures: set[str]) -> None:
    assert values["train_images"] == 2520
    assert values["validation_images"] == 1800
    assert values["classes"] == 36
    assert values["moved_again"] == values["wrong_counts"] == 0
    assert values["moved_back"] == 1800
    # three classes
    assert values["from_kaggle"] == [210, 150, 210, 150]
    assert {"02_wrong_labels", "02_strange_files", "02_images_per_class"} <= figures
    assert "02_tar_of_tars" in figures
    # the well-known bug: hardly better than chance
    assert values["right_by_tar_order"] < 0.1
    assert values["right_by_id"] < 0.2
    # those planted, but the two with broken EXIF, whose pixels are fine
    assert values["strange_files"] == 11


def shows_throughput(values: dict, figures: set[str]) -> None:
    assert values["random_hdd_hours"] == pytest.approx(677.4, abs=0.05)
    assert values["random_ssd_hours"] == pytest.approx(7.28, abs=0.005)
    assert values["hdd_seek_hours"] == pytest.approx(37.5, abs=0.1)
    assert values["packed_image_bytes"] == pytest.approx(17_609, abs=1)
    assert values["measured_sequential"] > 0
    assert {"03_hours_per_epoch", "03_bottleneck", "03_image_size"} <= figures


def shows_packing(values: dict, figures: set[str]) -> None:
    # one of 2,520 is cut short, and named
    assert values["train_records"] == 2519
    assert values["validation_records"] == 1800
    assert values["failures"] == 1
    # a kill leaves no trace in the slice; and one reader stopped
    assert values["same_again"] is True
    assert values["each_once"] is True
    assert {"04_record", "04_image_record", "04_record_in_parts", "04_epoch_order"} <= figures
    assert values["images_read"] == 2519
    assert values["records_in_damaged_shard"] in (999, 1000)
    # the two that were hit
    assert values["salvaged"] == values["records_in_damaged_shard"] - 2


def shows_backup(values: dict, figures: set[str]) -> None:
    # five shards of three files each, and the classes
    assert values["files"] >= 16
    assert values["restored_same"] == values["files"]
    assert values["restored_damaged"] == values["sent_again"] == 0
    # of the five indexes one was sent anew, and another one overwritten
    assert values["pruned_objects"] == values["wrong_objects_caught"] == 1
    assert values["restored_beside_it"] == 4
    # the first volume, one for each machine, and an extra one
    assert values["machines"] == 2
    assert values["volumes"] == 4
    # those of the machines go with them
    assert values["removed_volumes"] == 2
    assert values["seconds_for_150_gb"] == pytest.approx(476.8, abs=0.1)
    assert "05_until_loaded" in figures


def shows_memory(values: dict, figures: set[str]) -> None:
    assert values["parameters"] == [11_295_240, 33_619_969]
    assert values["last_layer"] == pytest.approx(0.67, abs=0.005)
    assert values["filters_by_one_and_a_half"] == 18
    savings = ("neither", "in place", "sharing", "both", "mirror", "by offsets", "at least")
    planned = [[int(values[net][way]) for way in savings] for net in ("ordinary", "wider")]
    assert planned[0] == [4057, 2982, 1610, 1438, 1363, 1293, 1292]
    assert planned[1] == [5461, 4000, 2219, 1972, 1851, 1747, 1746]
    assert values["segments"] == [917, 1334]
    # MXNet's own plans
    assert values["held_against_mxnet"] == [24, 24]
    for frontier, hand in zip(values["frontier"], values["by_hand"][::3], strict=True):
        costs = [cost for cost, _ in frontier]
        assert costs == sorted(costs, reverse=True)
        assert min(cost for cost, peak in frontier if peak <= hand[1]) < hand[0] / 3
    largest = {"neither": 18, "in place": 25, "sharing": 45, "both": 50, "mirror": 53}
    largest |= {"segments": 74, "by offsets": 56, "10 % longer": 154}
    assert values["largest"] == largest
    assert len(values["measured"]) == 5
    assert 0.9 < values["grown"] / values["promised"] < 2
    assert {"06_network", "06_parameters", "06_where", "06_toy", "06_plans"} <= figures
    assert {"06_block", "06_frontier", "06_timeline", "06_batches"} <= figures


SHOWS: dict[str, Callable[[dict, set[str]], None]] = {
    "00_start_here": shows_start,
    "01_download": shows_download,
    "02_validation": shows_validation,
    "03_io_throughput": shows_throughput,
    "04_recordio_packing": shows_packing,
    "05_backup_and_deploy": shows_backup,
    "06_memory": shows_memory,
}


@pytest.mark.parametrize("name", SHOWS)
def test_the_chapter_alone_shows_what_it_must(name: str, run_chapter: Callable[[str], Any]):
    ran = run_chapter(name)
    SHOWS[name](ran.values, ran.figures)
    assert ran.values["showed"]
