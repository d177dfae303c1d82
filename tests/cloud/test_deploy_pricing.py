"""What requests and resources cost, by hand from the table; nothing is guessed."""

from __future__ import annotations

import csv
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from botocore.stub import Stubber
from deploying import GIB, launch_request

from imnetlib import cloud
from imnetlib.course import aws

REGION = "us-east-1"


def test_the_table_has_a_date_and_a_source_for_each_price(checkout: Path):
    with (checkout / "data/aws_prices.tsv").open(encoding="utf-8", newline="") as table:
        rows = list(csv.DictReader(table, delimiter="\t"))
    assert len({(row["region"], row["item"]) for row in rows}) == len(rows)
    for row in rows:
        assert float(row["dollars"]) > 0
        assert row["date"][:2] == "20"
        assert len(row["source"]) > 20
    assert {row["unit"] for row in rows} == {"hour", "GiB-month", "MiB/s-month", "GB-month"}
    kept = {item: price.dollars for item, price in cloud.prices(REGION).items()}
    assert (kept["gp3"], kept["sc1"], kept["t2.large"]) == (0.08, 0.015, 0.0928)


def test_the_articles_machine_and_disk():
    request = cloud.volume_request("n", 150 * 10**9, "z", volume_type="sc1", size=1000)
    (disk,) = cloud.request_costs("create_volume", request, REGION)
    assert (disk.what, disk.monthly) == ("1 x 1,000 GiB sc1", pytest.approx(15.0))
    machine = cloud.Machine("ami-1", "t2.large")
    filling = cloud.filling_request("n", "vol-1", "z", "#!/bin/bash\n", machine)
    (filler,) = cloud.request_costs("run_instances", filling, REGION)
    assert (filler.dollars, filler.monthly) == (0.0928, pytest.approx(67.744))


def test_machines_with_a_faster_volume_each():
    request = launch_request("n", count=3, rate=300, throughput=325)
    machines, disks, filled = cloud.request_costs("run_instances", request, REGION, 100, 50 * GIB)
    assert (machines.what, machines.dollars) == ("3 x g5.xlarge", pytest.approx(3 * 1.006))
    assert disks.what == "3 x 100 GiB gp3 at 325 MiB/s"
    assert disks.monthly == pytest.approx(3 * (100 * 0.08 + 200 * 0.04))
    # Its price is in no source that we have.
    assert filled == cloud.Cost("3 x initialization at 300 MiB/s", None, "once")
    assert cloud.total_cost([machines, disks, filled], "once") == (0.0, [filled.what])


def test_a_snapshot_and_a_backup():
    request = cloud.snapshot_request("n", "vol-1")
    (snapshot,) = cloud.request_costs("create_snapshot", request, REGION, 0, 150 * GIB)
    assert (snapshot.what, snapshot.monthly) == ("snapshot of 150.0 GiB", pytest.approx(7.5))
    assert cloud.backup_cost(REGION, 150 * 10**9).monthly == pytest.approx(3.45)
    assert cloud.request_costs("attach_volume", {}, REGION) == []


def test_another_region_is_unknown():
    request = cloud.volume_request("n", 1, "z")
    (cost,) = cloud.request_costs("create_volume", request, "eu-north-9")
    assert (cost.dollars, cost.monthly) == (None, None)
    assert cloud.prices("eu-north-9") == {}
    assert cloud.total_cost([cost], "hour") == (0.0, ["1 x 2 GiB gp3"])


def test_what_has_a_size_that_is_not_known_has_no_price():
    machines, *disks = cloud.request_costs("run_instances", launch_request("n"), REGION)
    assert machines.dollars is not None
    nothing = cloud.Cost("2 x initialization at 300 MiB/s", None, "once")
    assert disks == [cloud.Cost("2 x gp3", None), nothing]
    request = cloud.snapshot_request("n", "vol-1")
    (snapshot,) = cloud.request_costs("create_snapshot", request, REGION)
    assert snapshot == cloud.Cost("a snapshot", None)


class TestSoFar:
    START = datetime(2026, 1, 1, tzinfo=UTC)

    def found(self, state: str, **changes: object) -> cloud.Resource:
        ec2 = aws.local_client("ec2", "http://127.0.0.1:9", REGION)
        tags = [{"Key": "imnetlib", "Value": "n"}]
        machine = {"InstanceId": "i-1", "InstanceType": "g5.xlarge", "State": {"Name": state}}
        machine |= {"LaunchTime": self.START, "Tags": tags} | changes
        with Stubber(ec2) as stub:
            reservations = [{"Instances": [machine]}]
            stub.add_response("describe_instances", {"Reservations": reservations})
            (found,) = cloud.list_resources(ec2, "n", "instance")
        return found

    @pytest.mark.parametrize(
        ("state", "reason", "hours"),
        [
            ("running", "", 10.0),
            ("terminated", "User initiated (2026-01-01 02:30:00 GMT)", 2.5),
            ("stopped", "User initiated (2026-01-01 04:00:00 GMT)", 4.0),
            # Such as Server.SpotInstanceTermination.
            ("terminated", "Server.InternalError", None),
        ],
    )
    def test_a_machine_costs_until_it_ends(self, state: str, reason: str, hours: float | None):
        machine = self.found(state, StateTransitionReason=reason)
        spent = machine.so_far(self.START + timedelta(hours=10))
        assert spent == (None if hours is None else pytest.approx(hours * 1.006))
        assert machine.is_charged == (state == "running")

    def test_an_unknown_machine_costs_nobody_knows_what(self):
        machine = self.found("running", InstanceType="x99.large")
        assert machine.so_far(self.START + timedelta(hours=1)) is None
