"""A loader stopped anywhere goes on as if it had not been, with any number of readers."""

import itertools
import json
import pickle
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from loading import IDS, ORDERS, SIZES, TRAIN, N, pixels_by_id
from making import write_shard

from imnetlib import recordio
from imnetlib.loader import Batch, Blocks, Loader
from imnetlib.order import order_of


@pytest.fixture(scope="module")
def merged_index(shards: list[Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("merged") / "all.idx"
    recordio.write_index(path, *recordio.merge_indexes(shards))
    return path


@pytest.mark.parametrize("stop", [0, 1, 3, 4])
def test_resumed_as_if_never_stopped(shards: list[Path], stop: int):
    uninterrupted = Loader(shards, 8, TRAIN, seed=4)
    expected = [batch for _ in range(2) for batch in uninterrupted]
    first = Loader(shards, 8, TRAIN, seed=4)
    iterator = iter(first)
    before = [next(iterator) for _ in range(stop)]
    state = json.loads(json.dumps(first.state_dict()))
    second = Loader(shards, 8, TRAIN, seed=4)
    second.load_state_dict(state)
    found = before + [batch for _ in range(2) for batch in second]
    assert [batch.ids.tolist() for batch in found] == [batch.ids.tolist() for batch in expected]
    assert all(np.array_equal(a.images, b.images) for a, b in zip(found, expected, strict=True))


@pytest.mark.parametrize(
    ("readers_before", "readers_after", "batch_after"), [(1, 3, 4), (2, 1, 4), (3, 2, 5)]
)
def test_resumed_by_another_number_of_readers(
    shards: list[Path], readers_before: int, readers_after: int, batch_after: int
):
    whole = pixels_by_id(Loader(shards, 4, TRAIN, seed=4))
    before = []
    states = []
    for r in range(readers_before):
        loader = Loader(shards, 4, TRAIN, seed=4, shard_index=r, shard_count=readers_before)
        iterator = iter(loader)
        before += [next(iterator), next(iterator)]
        iterator.close()
        states.append(loader.state_dict())
    assert all(state == states[0] for state in states)
    after = []
    for r in range(readers_after):
        loader = Loader(
            shards, batch_after, TRAIN, seed=4, shard_index=r, shard_count=readers_after
        )
        loader.load_state_dict(states[0])
        after += list(loader)
    assert pixels_by_id(before + after) == whole


# Readers, batch size, threads and prefetched batches of each, and the batches before it stops.
STAGES = st.tuples(
    st.integers(1, 6), st.integers(1, 20), st.integers(1, 3), st.integers(1, 3), st.integers(0, 4)
)


@given(
    shuffle=st.sampled_from(ORDERS),
    stages=st.lists(STAGES, max_size=4),
    last=STAGES,
    merged=st.booleans(),
)
@settings(max_examples=40, deadline=None)
def test_stopped_and_resumed_any_number_of_times_every_record_comes_once(
    shards: list[Path],
    merged_index: Path,
    shuffle: bool | Blocks,
    stages: list[tuple[int, ...]],
    last: tuple[int, ...],
    merged: bool,
):
    """By any numbers of readers and threads, in batches of any size, in the order of one reader."""
    options = {"shuffle": shuffle, "seed": 4}
    whole = pixels_by_id(Loader(shards, 4, TRAIN, threads=1, **options))
    ids = np.array(IDS)[order_of(SIZES, shuffle, 4, 0)].tolist()
    if merged:
        options["index"] = merged_index
    found: list[Batch] = []
    state = None
    for number, (readers, batch_size, threads, prefetch, steps) in enumerate([*stages, last]):
        options |= {"shard_count": readers, "threads": threads, "prefetch": prefetch}
        to_the_end = number == len(stages)
        taken = []
        states = []
        for reader in range(readers):
            with Loader(shards, batch_size, TRAIN, shard_index=reader, **options) as loader:
                if state is not None:
                    loader.load_state_dict(json.loads(json.dumps(state)))
                taken.append(list(itertools.islice(loader, None if to_the_end else steps)))
                states.append(loader.state_dict())
        assert all(other == states[0] for other in states)
        state = states[0]
        # The readers take turns.
        found += itertools.chain.from_iterable(zip(*taken, strict=True))
        if state["epoch"] == 1:
            break
    assert (state["epoch"], state["position"]) == (1, 0)
    assert [key for b in found for key in b.ids[: len(b.ids) - b.padding].tolist()] == ids
    assert pixels_by_id(found) == whole


@pytest.mark.parametrize(
    "wrong",
    [
        *({"position": position} for position in (-8, "8", 1.0, True)),
        *({"epoch": epoch} for epoch in (-1, None, np.bool_(True))),
    ],
)
def test_a_position_that_is_none_is_refused(shards: list[Path], wrong: dict[str, object]):
    loader = Loader(shards, 4, TRAIN, seed=np.int64(3))
    state = json.loads(json.dumps(loader.state_dict()))
    with pytest.raises(ValueError, match="epoch and position are whole numbers from 0 on"):
        loader.load_state_dict(state | wrong)
    assert loader.state_dict() == state


def test_a_position_among_other_ids_is_refused(tmp_path: Path, images: dict[int, bytes]):
    data = list(images.values())
    one, other = (
        Loader([write_shard(tmp_path / f"{first}.rec", range(first, first + N), data)], 4, TRAIN)
        for first in (0, 1)
    )
    with pytest.raises(ValueError, match=r"another order of records: records_crc32 \d+, here \d+"):
        other.load_state_dict(one.state_dict())


def test_a_position_among_other_records_is_refused(shards: list[Path]):
    state = Loader(shards, 4, TRAIN, seed=4).state_dict()
    with pytest.raises(ValueError, match="seed 4, here 5"):
        Loader(shards, 4, TRAIN, seed=5).load_state_dict(state)
    with pytest.raises(ValueError, match="records 37, here 31"):
        Loader(shards[:2], 4, TRAIN, seed=4).load_state_dict(state)


def test_a_position_in_another_order_is_refused(shards: list[Path]):
    state = Loader(shards, 4, TRAIN, shuffle=Blocks(3, 2)).state_dict()
    with pytest.raises(ValueError, match=r"shuffle Blocks\(records=3, window=2\), here True"):
        Loader(shards, 4, TRAIN).load_state_dict(state)


@pytest.mark.parametrize("state", [{}, {"epoch": 0}])
def test_something_else_than_a_saved_position_is_refused(shards: list[Path], state: dict[str, int]):
    with pytest.raises(
        ValueError,
        match=r"not a saved position of a loader: it lacks "
        r".*position, records, records_crc32, seed, shuffle",
    ):
        Loader(shards, 4, TRAIN).load_state_dict(state)


@pytest.mark.parametrize("state", [None, 5, "epoch", [("epoch", 0)]])
def test_what_is_no_dict_is_refused(shards: list[Path], state: object):
    with pytest.raises(TypeError, match="a saved position is a dict, as state_dict gives it, not"):
        Loader(shards, 4, TRAIN).load_state_dict(state)


def test_an_epoch_can_be_begun_by_its_number(shards: list[Path]):
    loader = Loader(shards, 8, TRAIN)
    epochs = [[b.ids.tolist() for b in loader] for _ in range(3)]
    loader.start_epoch(1)
    next(iter(loader))
    loader.start_epoch(1)
    assert [b.ids.tolist() for b in loader] == epochs[1]


def test_the_end_of_an_epoch_is_a_position(shards: list[Path]):
    loader = Loader(shards, 4, TRAIN, seed=4)
    loader.load_state_dict(loader.state_dict() | {"position": 40})
    assert list(loader) == []
    assert loader.epoch == 1


def test_a_loop_left_at_its_last_batch_was_a_whole_epoch(shards: list[Path]):
    loader = Loader(shards, 8, TRAIN)
    for _ in range(3):
        assert len(list(zip(range(len(loader)), loader, strict=False))) == len(loader) == 5
    assert (loader.epoch, loader.position) == (3, 0)


def test_a_new_loop_ends_an_older_one(shards: list[Path]):
    loader = Loader(shards, 8, TRAIN, seed=6)
    older = iter(loader)
    first = next(older).ids.tolist()
    rest = [batch.ids.tolist() for batch in loader]
    assert list(older) == []
    loader.start_epoch(0)
    assert [batch.ids.tolist() for batch in loader] == [first, *rest]
    older = iter(loader)
    next(older)
    loader.load_state_dict(loader.state_dict() | {"position": 16})
    assert list(older) == []
    assert loader.position == 16


def test_a_pickled_loader_goes_on_and_carries_no_pixels(shards: list[Path]):
    loader = Loader(shards, 8, TRAIN, seed=2)
    batches = iter(loader)
    next(batches)
    data = pickle.dumps(loader)
    assert len(data) < 8 * 28 * 28 * 3
    rest = [batch.ids.tolist() for batch in batches]
    assert [batch.ids.tolist() for batch in pickle.loads(data)] == rest
