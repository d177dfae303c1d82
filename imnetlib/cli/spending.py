"""What is shown before money is spent in EC2, and of what was spent."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from imnetlib import cloud

NOTHING = "Nothing was made or changed: for that, add --yes."


def show_steps(ec2: Any, steps: Sequence[cloud.Step], beside: Sequence[cloud.Cost] = ()) -> None:
    """Each request as it would be sent, AWS's answer to its rehearsal, its price; then the sum.

    ``beside`` are costs that are there already. DeployError at the end for the first refusal.
    """
    from imnetlib import cloud

    refusals = []
    for number, step in enumerate(steps, 1):
        said = step.rehearsed(ec2)
        if cloud.is_refusal(said):
            refusals.append(said)
        click.echo(f"{number}. {step.title}: {said}")
        click.echo("\n".join(f"   {line}".rstrip() for line in step.shown().splitlines()))
        for cost in step.costs:
            click.echo(f"   {cost.what}: {_price(cost)}")
    for cost in beside:
        click.echo(f"beside: {cost.what}: {_price(cost)}")
    if not steps:
        click.echo("all of it is there or under way: nothing is left to be asked of EC2")
        return
    _show_sum(ec2, [*beside, *(cost for step in steps for cost in step.costs)])
    click.echo(NOTHING)
    if refusals:
        raise cloud.DeployError(refusals[0])


def show_resources(ec2: Any, resources: Sequence[cloud.Resource]) -> None:
    """A line for each: id, what it is for, state, age, price and cost so far; then the sum."""
    if not resources:
        click.echo("nothing")
        return
    now = datetime.now(UTC)
    for one in resources:
        hours = (now - one.since).total_seconds() / 3600
        so_far = one.so_far(now)
        spent = "unknown so far" if so_far is None else f"${so_far:,.2f} so far"
        price = f"{_price(one.cost)}, " if one.is_charged else ""
        click.echo(
            f"{one.deployment}  {one.id}  {one.role}, {one.state}, {hours:,.1f} hours; "
            f"{one.cost.what}: {price}{spent}"
        )
    _show_sum(ec2, [one.cost for one in resources if one.is_charged])


def what_is_there(ec2: Any, name: str) -> str:
    """What of a deployment is there and costs money, to be said beside an error."""
    from imnetlib import cloud

    try:
        found = [one.id for one in cloud.list_resources(ec2, name) if one.is_alive]
    except cloud.DeployError:
        return "; what was made before costs money: see imnet deploy list"
    if not found:
        return "; nothing of this deployment is there"
    return (
        f"; there, and to be paid: {', '.join(found)}: the same command goes on, "
        "imnet deploy tidy takes it down"
    )


def _price(cost: cloud.Cost) -> str:
    if cost.dollars is None:
        return "price unknown"
    if cost.monthly is None:
        return f"${cost.dollars:,.2f} once"
    return f"${cost.dollars:,.4f} an hour, ${cost.monthly:,.2f} a month"


def _show_sum(ec2: Any, costs: Sequence[cloud.Cost]) -> None:
    from imnetlib import cloud

    region = ec2.meta.region_name
    hourly, unknown = cloud.total_cost(costs, "hour")
    once, unknown_once = cloud.total_cost(costs, "once")
    known = any(cost.dollars is not None for cost in costs)
    sum_of_all = cloud.Cost("", hourly if known or not costs else None)
    line = f"together: {_price(sum_of_all)}, while all of it is there"
    if once:
        line += f"; ${once:,.2f} once"
    click.echo(line)
    missing = dict.fromkeys([*unknown, *unknown_once])
    if missing:
        click.echo(f"not in that sum, price unknown in {region}: {', '.join(missing)}")
    dates = sorted(price.date for price in cloud.prices(region).values())
    if dates:
        click.echo(
            f"(list prices of {region}, noted between {dates[0]} and {dates[-1]}; without taxes, "
            "transfer, public addresses and the disks that machines start from)"
        )
