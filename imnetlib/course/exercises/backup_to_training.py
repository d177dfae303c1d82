"""The exercises of chapters 5 to 7."""

from __future__ import annotations

import functools
import hashlib
import math
from collections.abc import Iterator, Mapping, Sequence

import numpy as np

from imnetlib import engines
from imnetlib import throughput as t
from imnetlib.arguments import Integers
from imnetlib.catalog import ILSVRC2012, IMAGENET21K
from imnetlib.course.exercises.kinds import Case, Choice, Exercise, Function, Number, Slip

# What a step of a chain reads, and the bytes of what it writes.
Step = tuple[Sequence[str], Mapping[str, int]]


def etag(data: bytes, part: int) -> str:
    """The ETag of an object that is sent in parts (5.1)."""
    pieces = [data[start : start + part] for start in range(0, len(data), part)]
    sums = b"".join(hashlib.md5(piece).digest() for piece in pieces)
    return f"{hashlib.md5(sums).hexdigest()}-{len(pieces)}"


def _objects() -> Iterator[Case]:
    data = bytes(range(256)) * 4
    yield Case((data, 1024), "1,024 bytes in parts of 1,024")
    yield Case((data, 512), "1,024 bytes in parts of 512")
    yield Case((data, 1000), "1,024 bytes in parts of 1,000")
    yield Case((data[:1], 5), "a single byte in parts of 5")


def _of_hex_digits(data: bytes, part: int) -> str:
    pieces = [data[start : start + part] for start in range(0, len(data), part)]
    sums = "".join(hashlib.md5(piece).hexdigest() for piece in pieces)
    return f"{hashlib.md5(sums.encode()).hexdigest()}-{len(pieces)}"


def _of_the_whole(data: bytes, part: int) -> str:
    return f"{hashlib.md5(data).hexdigest()}-{-(-len(data) // part)}"


def _dollars(machine_hours: float, volume_hours: float) -> float:
    """Machines at 1 dollar an hour, ten volumes and a snapshot of 50 GiB (5.2)."""
    return machine_hours + 10 * 50 * 0.08 * volume_hours / 730 + 50 * 0.05


LOADS = {
    "150 GB at 300 MiB/s": (150 * t.GB, 300), "23 GB at 100 MiB/s": (23 * t.GB, 100),
    "23 GB at 300 MiB/s": (23 * t.GB, 300),
}  # fmt: skip


def _loaded_in_time() -> str:
    seconds = {way: t.seconds_sequential(n, rate * t.MIB) for way, (n, rate) in LOADS.items()}
    return min(way for way, taken in seconds.items() if taken <= 120)


def actions(files: Mapping[str, int], named: Mapping[str, int]) -> list[str]:
    """What a backup sends, in order: what the manifest names is never overwritten (5.4)."""
    sent = []
    for name, checksum in files.items():
        if name not in named:
            sent.append(name)
        elif named[name] != checksum:
            sent.append(f"{name}~{checksum}")
    return [*sent, "manifest"]


def _backups() -> Iterator[Case]:
    files = {"a.rec": 11, "b.rec": 22}
    yield Case((files, {}))
    yield Case((files, {"a.rec": 11}))
    yield Case((files, {"a.rec": 99, "b.rec": 22}))
    yield Case((files, files))


def peak(steps: Sequence[Step]) -> int:
    """The most bytes in use at one step (6.2)."""
    last = {name: number for number, (reads, _) in enumerate(steps) for name in reads}
    most = 0
    held: dict[str, int] = {}
    for number, (_, writes) in enumerate(steps):
        held |= writes
        most = max(most, sum(held.values()))
        held = {name: size for name, size in held.items() if last.get(name, -1) > number}
    return most


def _peak_with_unread(steps: Sequence[Step]) -> int:
    """As ``peak``, but a result that no step reads is held to the end."""
    unread = {name for _, writes in steps for name in writes}
    unread -= {name for reads, _ in steps for name in reads}
    return peak([*steps, (tuple(unread), {})])


def last_use(steps: Sequence[Step]) -> dict[str, int]:
    """Result → the number of the last step that reads it, or of the one that writes it (6.3)."""
    last: dict[str, int] = {}
    for number, (reads, writes) in enumerate(steps):
        last |= dict.fromkeys(writes, number)
        last |= dict.fromkeys(reads, number)
    return last


def _chains() -> Iterator[Case]:
    yield Case(([((), {"a": 4})],))
    yield Case(([((), {"a": 4}), (("a",), {"b": 2}), (("b",), {"c": 1})],))
    kept = [((), {"a": 4}), (("a",), {"b": 2}), (("b",), {"c": 1}), (("a", "c"), {"d": 3})]
    yield Case((kept,))
    yield Case(([((), {"a": 1, "unread": 9}), (("a",), {"b": 5}), (("b",), {"c": 5})],))
    yield Case(([],))


@functools.cache
def largest_batch(reserve: float, gib: int) -> int:
    """The largest multiple of 16 on a card, by MXNet's plan for the note's network (6.4)."""
    layers = engines.layers(engines.network("inception-21k", IMAGENET21K.classes))
    image = sum(engines.plan(engines.training_steps(layers, 32, 224)).buffers) / 32
    room = int((1 - reserve) * gib * t.GIB)
    return engines.largest_batch(layers, 224, room, lambda n: int(image * n)) // 16 * 16


def remaining(records: int, seed: int, epoch: int, position: int) -> Integers:
    """The ids of an epoch that are still to come (7.3)."""
    order: Integers = np.random.default_rng((seed, epoch)).permutation(records)
    return order[position:]


def _positions() -> Iterator[Case]:
    yield Case((10, 0, 0, 0), "10 records, seed 0, epoch 0, from position 0 on")
    yield Case((10, 0, 0, 6), "10 records, seed 0, epoch 0, from position 6 on")
    yield Case((10, 0, 1, 3), "10 records, seed 0, epoch 1, from position 3 on")
    yield Case((10, 7, 1, 0), "10 records, seed 7, epoch 1, from position 0 on")
    yield Case((1000, 1, 5, 1000), "1,000 records, seed 1, epoch 5, all seen")


def _shuffled_anew(records: int, seed: int, epoch: int, position: int) -> Integers:
    rest: Integers = np.random.default_rng((seed, epoch)).permutation(np.arange(position, records))
    return rest


def _same_every_epoch(records: int, seed: int, epoch: int, position: int) -> Integers:
    return remaining(records, seed, 0, position)


def rate(epoch: int, step: int, steps: int, epochs: int, warmup: int) -> float:
    """The learning rate with a highest of 1: up for ``warmup`` epochs, then a half cosine (7.4)."""
    done = epoch + step / steps
    if done < warmup:
        return done / warmup
    return (1 + math.cos(math.pi * (done - warmup) / (epochs - warmup))) / 2


# Epoch, step and warm-up.
_MOMENTS = ((0, 0, 2), (1, 50, 2), (0, 50, 2), (2, 0, 2), (9, 50, 2), (3, 0, 0), (0, 0, 0))


def _moments() -> Iterator[Case]:
    for epoch, step, warmup in _MOMENTS:
        shown = f"epoch {epoch}, step {step} of 100, 10 epochs, warm-up of {warmup}"
        yield Case((epoch, step, 100, 10, warmup), shown)


def _rate_of_all_epochs(epoch: int, step: int, steps: int, epochs: int, warmup: int) -> float:
    """As ``rate``, but the cosine has all epochs and not those that the warm-up leaves."""
    return rate(epoch, step, steps, epochs + warmup, warmup)


_RECIPE = engines.Recipe(batch_size=256, learning_rate=0.1, devices=1)

EXERCISES: dict[str, Exercise] = {
    "5.1": Function(
        etag,
        _objects,
        "the MD5 of the parts' MD5 sums, as bytes one after the other, a dash, and how many; the "
        "last part may be short",
        (
            Slip(_of_hex_digits, "The sums are joined as bytes, digest(), not as their digits"),
            Slip(_of_the_whole, "That is the sum of the whole object, not that of the sums"),
        ),
        "Other parts, another ETag: it is no checksum of the data.",
    ),
    "5.2": Number(
        "six hours of ten machines, six of 730 hours of ten volumes, a month of one snapshot",
        unit="dollars",
        slips=(
            Slip(lambda: _dollars(60, 730), "The volumes are gone after six hours"),
            Slip(lambda: _dollars(6, 6), "There are ten machines"),
            Slip(lambda: _dollars(60, 6) - 2.5, "The snapshot is missing"),
            Slip(lambda: _dollars(7300, 730), "That is what it costs if nobody cleans up"),
        ),
        why="Nearly all of it is the machines: take those down first.",
    ),
    "5.3": Choice(
        tuple(LOADS),
        _loaded_in_time,
        "It takes a little more than a minute; of the others one takes three minutes and a half, "
        "one eight.",
        "divide the bytes by the rate; 1 MiB is 2**20 bytes",
        {
            "150 GB at 300 MiB/s": "It takes several minutes: there is too much to load",
            "23 GB at 100 MiB/s": "It takes several minutes: a higher rate can be ordered",
        },
    ),
    "5.4": Function(
        actions,
        _backups,
        "what does somebody find who comes after a kill? And is a file of that name the same file?",
        (
            Slip(
                lambda files, named: ["manifest", *(name for name in files if name not in named)],
                "What does somebody find who comes after a kill?",
            ),
            Slip(
                lambda files, named: [
                    *(name for name in files if named.get(name) != files[name]),
                    "manifest",
                ],
                "Until the new manifest is there, the old one names what is overwritten here",
            ),
        ),
        why="Whoever finds a manifest finds all that it names, with the bytes of that time.",
    ),
    "6.1": Number(
        "a backward pass takes twice as long as a forward pass, and one forward pass more is made",
        unit="%",
        within=0.02,
        slips=(
            Slip(
                lambda: 50,
                "That is one forward pass divided by a backward pass; divide it by the step",
            ),
            Slip(lambda: 100, "A step is more than its forward pass"),
            Slip(lambda: 25, "That is its share of the longer step; hold it to the old one"),
        ),
    ),
    "6.2": Function(
        peak,
        _chains,
        "a result is held from the step that writes it to the last one that reads it",
        (
            Slip(
                lambda steps: sum(sum(writes.values()) for _, writes in steps),
                "That is the sum of all results: none is ever let go",
            ),
            Slip(
                lambda steps: max([sum(writes.values()) for _, writes in steps], default=0),
                "That is the most that one step writes; what it reads is there as well",
            ),
            Slip(_peak_with_unread, "A result that no step reads is held in its own step only"),
        ),
    ),
    "6.3": Function(
        last_use,
        _chains,
        "each result has the number of one step, of the last that reads it or of its own: which "
        "one is it where several read it?",
        why="A buffer that is free too early is overwritten while it is still needed.",
    ),
    "6.4": Number(
        "what the card leaves free and the parameters come off first; then MiB by MiB an image",
        answer=lambda: largest_batch(0.1, 12),
        count=True,
        slips=(
            Slip(
                lambda: largest_batch(0.0, 12),
                "The parameters or the share that stays free are not taken off",
            ),
            Slip(lambda: 168, "That is no multiple of 16"),
            Slip(lambda: 167, "That is no multiple of 16"),
        ),
    ),
    "7.1": Number(
        "images by images a step, and the rest is a step, too",
        count=True,
        slips=(Slip(lambda: ILSVRC2012.train // 256, "The rest is left out: it is a step, too"),),
    ),
    "7.2": Number(
        "the sum of 1, 0.9, 0.9**2 and so on",
        within=0.01,
        slips=(
            Slip(lambda: 1.9, "That is the second step; they go on growing"),
            Slip(lambda: 9, "The gradient of the step itself is missing"),
        ),
        why="Momentum of 0.9 makes steps ten times as long where the gradients agree.",
    ),
    "7.3": Function(
        remaining,
        _positions,
        "make the order of the whole epoch, and leave out what has been seen",
        (
            Slip(_shuffled_anew, "What is left is shuffled anew: it is not the same epoch"),
            Slip(_same_every_epoch, "Every epoch has the same order"),
            Slip(
                lambda records, seed, epoch, position: remaining(records, epoch, seed, position),
                "The generator is to be made of (seed, epoch), in this order",
            ),
        ),
    ),
    "7.4": Function(
        rate,
        _moments,
        "print the rate over all steps of all epochs: where should the warm-up end?",
        (
            Slip(
                lambda epoch, step, steps, epochs, warmup: rate(epoch, 0, steps, epochs, warmup),
                "It stays the same for a whole epoch: the step counts, too",
            ),
            Slip(_rate_of_all_epochs, "The cosine has only the epochs that the warm-up leaves"),
        ),
        why="The step counts from 0 in each epoch, so the share of the training needs both.",
    ),
    "7.5": Number(
        "k times the pictures a step, k times the rate: Recipe.scaled_to",
        answer=lambda: _RECIPE.scaled_to(2_048).learning_rate,
        slips=(
            Slip(lambda: 0.1, "With that rate the steps get fewer, but no longer"),
            Slip(lambda: 0.1 * math.sqrt(8), "That is the square root of the rule"),
            Slip(lambda: 0.1 / 8, "A larger batch takes a larger step, not a smaller one"),
        ),
        why="Eight times the pictures, eight times the rate; and a few epochs of warm-up.",
    ),
}
