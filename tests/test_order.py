"""The order of an epoch: a permutation, fair, shared by all readers, in blocks if need be."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from imnetlib.order import (
    Blocks,
    batch_starts,
    neighbours_together,
    order_of,
    random_numbers,
    shuffled_positions,
)


@given(
    records=st.integers(1, 300),
    batch_size=st.integers(1, 70),
    readers=st.integers(1, 9),
    start=st.integers(0, 320),
)
def test_readers_share_the_positions_of_an_epoch(
    records: int, batch_size: int, readers: int, start: int
):
    taken = [batch_starts(records, batch_size, start, reader, readers) for reader in range(readers)]
    assert len({len(starts) for starts in taken}) == 1
    positions = sorted(first + i for starts in taken for first in starts for i in range(batch_size))
    assert positions == list(range(start, start + len(positions)))
    assert len(positions) >= records - start
    assert len(positions) - max(0, records - start) < batch_size * readers


@given(n=st.integers(1, 500), seed=st.integers(0, 2**31), epoch=st.integers(0, 1000))
def test_the_order_of_an_epoch_is_a_permutation(n: int, seed: int, epoch: int):
    order = order_of([n], True, seed, epoch)
    assert sorted(order.tolist()) == list(range(n))
    if n > 50:
        assert not np.array_equal(order, order_of([n], True, seed, epoch + 1))
        assert not np.array_equal(order, order_of([n], True, seed + 1, epoch))


def test_the_shuffle_is_fair():
    """Over 400 epochs every record comes to every place as often as by chance, within 5 sigma."""
    n = 64
    epochs = 400
    landed = np.array([order_of([n], True, 7, epoch) for epoch in range(epochs)])
    counts = np.array([np.bincount(landed[:, place], minlength=n) for place in range(n)])
    chi_square = ((counts - epochs / n) ** 2 / (epochs / n)).sum()
    freedom = (n - 1) ** 2
    assert abs(chi_square - freedom) < 5 * np.sqrt(2 * freedom)


def test_random_numbers_are_uniform_and_belong_to_the_record():
    ids = np.arange(50_000)
    numbers = random_numbers(3, 5, ids, 4)
    assert 0 <= numbers.min() < numbers.max() < 1
    for column in numbers.T:
        counts = np.bincount((column * 100).astype(int), minlength=100)
        assert abs(((counts - 500) ** 2 / 500).sum() - 99) < 5 * np.sqrt(2 * 99)
    assert np.abs(np.corrcoef(numbers.T) - np.eye(4)).max() < 0.025
    assert np.array_equal(random_numbers(3, 5, ids[[7, 4]], 4), numbers[[7, 4]])
    assert not np.isin(random_numbers(3, 6, ids, 4), numbers).any()
    assert not np.isin(random_numbers(4, 5, ids, 4), numbers).any()


@given(
    sizes=st.lists(st.integers(0, 60), min_size=1, max_size=5).filter(any),
    blocks=st.builds(Blocks, st.integers(1, 20), st.integers(1, 6)),
    seed=st.integers(0, 2**31),
    epoch=st.integers(0, 99),
)
def test_a_block_shuffle_arranges_whole_blocks_and_mixes_within_windows(
    sizes: list[int], blocks: Blocks, seed: int, epoch: int
):
    order = order_of(np.array(sizes), blocks, seed, epoch)
    records = sum(sizes)
    assert sorted(order.tolist()) == list(range(records))
    before = np.cumsum([0, *sizes]).tolist()
    cut = [
        range(first, min(first + blocks.records, before[shard + 1]))
        for shard, size in enumerate(sizes)
        for first in range(before[shard], before[shard] + size, blocks.records)
    ]
    arranged = [
        record for i in shuffled_positions(len(cut), seed << 32 | epoch) for record in cut[i]
    ]
    for first in range(0, records, blocks.records_mixed):
        window = slice(first, first + blocks.records_mixed)
        assert sorted(order[window]) == sorted(arranged[window])
    if records > 50 and blocks.records_mixed >= 50:
        assert order.tolist() != arranged


def test_a_block_shuffle_is_fair():
    """Over 600 epochs every record comes to every place as often as by chance, within 5 sigma."""
    sizes = np.array([24, 16, 24])
    epochs = 600
    landed = np.array([order_of(sizes, Blocks(8, 2), 7, epoch) for epoch in range(epochs)])
    counts = np.array([np.bincount(place, minlength=64) for place in landed.T])
    chi_square = ((counts - epochs / 64) ** 2 / (epochs / 64)).sum()
    assert abs(chi_square - 63**2) < 5 * np.sqrt(2 * 63**2)


@given(
    order=st.integers(2, 40).flatmap(lambda n: st.permutations(range(n))),
    batch_size=st.integers(2, 12),
)
def test_neighbours_in_a_batch_are_counted_as_by_hand(order: list[int], batch_size: int):
    batches = [set(order[first : first + batch_size]) for first in range(0, len(order), batch_size)]
    met = sum(
        {record, record + 1} <= batch for batch in batches for record in range(len(order) - 1)
    )
    pairs = sum(len(batch) * (len(batch) - 1) for batch in batches) / (
        len(order) * (len(order) - 1)
    )
    expected = met / (len(order) - 1) / pairs
    assert neighbours_together(np.array(order), batch_size) == pytest.approx(expected)


def test_how_random_the_orders_are():
    """A full shuffle is at chance; a block shuffle nears it as its window grows."""
    sizes = np.array([30_000, 20_000])
    stored = neighbours_together(np.arange(50_000), 250)
    narrow, wide = (
        neighbours_together(order_of(sizes, Blocks(50, window), 1, 0), 250) for window in (10, 200)
    )
    assert stored == pytest.approx(200, rel=0.01)
    assert 50 < narrow < 150
    assert 3 < wide < 8
    assert 0.8 < neighbours_together(order_of([50_000], True, 1, 0), 250) < 1.2
    with pytest.raises(ValueError, match="neighbours need 2 records"):
        neighbours_together(np.arange(1), 250)


@pytest.mark.parametrize("wrong", [(0, 1), (1, 0)])
def test_blocks_that_make_no_sense(wrong: tuple[int, int]):
    with pytest.raises(ValueError, match="a block has 1 record or more, a window 1 block or more"):
        Blocks(*wrong)


def test_numbers_of_numpy_are_as_good():
    blocks = Blocks(np.int64(3), np.uint8(2))
    assert repr(blocks) == "Blocks(records=3, window=2)"
    for shuffle in (True, blocks):
        own = order_of([40, 9], shuffle, 2**40, 5)
        assert np.array_equal(order_of([40, 9], shuffle, np.int64(2**40), np.int64(5)), own)
    ids = np.arange(4)
    own = random_numbers(7, 5, ids, 2)
    assert np.array_equal(random_numbers(np.int64(7), np.int64(5), ids, 2), own)


@pytest.mark.parametrize("wrong", [1.0, "1", None, True])
def test_what_is_no_whole_number_is_refused(wrong: object):
    for told, blocks in (("records", {"records": wrong}), ("window", {"window": wrong})):
        with pytest.raises(TypeError, match=f"{told} is a whole number, not "):
            Blocks(**blocks)
    with pytest.raises(TypeError, match="seed is a whole number, not "):
        order_of([4], True, wrong, 0)
    with pytest.raises(TypeError, match="shuffle is True, False or Blocks"):
        order_of([4], "no", 0, 0)
