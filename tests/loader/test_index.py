"""Indexes of shards: beside each or merged, in any order; and those that contradict a shard."""

import json
import re
import shutil
import warnings
from pathlib import Path

import numpy as np
import pytest
from loading import ORDERS, SIZES, TRAIN, N, pixels_by_id
from making import write_shard

from imnetlib import recordio
from imnetlib.loader import Blocks, Loader, LoadError, index


def test_a_merged_index_is_as_good_as_one_for_each_shard(shards: list[Path], tmp_path: Path):
    recordio.write_index(tmp_path / "all.idx", *recordio.merge_indexes(shards))
    for shuffle in ORDERS:
        own = Loader(shards, 8, TRAIN, shuffle=shuffle)
        merged = Loader(shards, 8, TRAIN, shuffle=shuffle, index=tmp_path / "all.idx")
        assert merged.state_dict() == own.state_dict()
        for a, b in zip(own, merged, strict=True):
            assert np.array_equal(a.ids, b.ids)
            assert np.array_equal(a.images, b.images)
    with pytest.raises(ValueError, match=r"all\.idx points to byte [\d,]+, the 2 shards have"):
        Loader(shards[:2], 8, TRAIN, index=tmp_path / "all.idx")


def test_an_index_in_another_order_makes_no_difference(tmp_path: Path, images: dict[int, bytes]):
    shard = write_shard(tmp_path / "a.rec", images, images.values())
    keys, offsets = recordio.read_index(shard.with_suffix(".idx"))
    expected = [batch.ids.tolist() for batch in Loader([shard], 8, TRAIN, seed=1)]
    recordio.write_index(shard.with_suffix(".idx"), keys[::-1], offsets[::-1])
    assert [batch.ids.tolist() for batch in Loader([shard], 8, TRAIN, seed=1)] == expected


@pytest.mark.parametrize("shuffle", ORDERS)
def test_records_longer_than_what_is_read_at_first(
    shards: list[Path], monkeypatch: pytest.MonkeyPatch, shuffle: bool | Blocks
):
    expected = pixels_by_id(Loader(shards, 8, TRAIN, shuffle=shuffle))
    monkeypatch.setattr(index, "_LONGEST_RECORD", 500)
    assert pixels_by_id(Loader(shards, 8, TRAIN, shuffle=shuffle)) == expected


def test_an_index_that_lies_is_found_out(tmp_path: Path, images: dict[int, bytes]):
    shard = write_shard(tmp_path / "a.rec", images, images.values())
    keys, offsets = recordio.read_index(shard.with_suffix(".idx"))
    recordio.write_index(shard.with_suffix(".idx"), keys, offsets + 4)
    with pytest.raises(
        LoadError, match=r"record 1108, the last: .*a\.rec: no sound record at byte"
    ):
        Loader([shard], 8, TRAIN)
    recordio.write_index(
        shard.with_suffix(".idx"), keys, [*offsets[:-2], offsets[-2] + 4, offsets[-1]]
    )
    with pytest.raises(
        LoadError, match=r"a\.rec: record 1105 at byte \d+: no sound record, found .*; do index"
    ):
        list(Loader([shard], 8, TRAIN))
    recordio.write_index(shard.with_suffix(".idx"), keys, [*offsets[:-1], offsets[0]])
    with pytest.raises(ValueError, match=r"a\.idx names the record at byte 0 twice"):
        Loader([shard], 8, TRAIN)
    recordio.write_index(shard.with_suffix(".idx"), keys, offsets + 10**6)
    with pytest.raises(ValueError, match=r"a\.idx points to byte"):
        Loader([shard], 8, TRAIN)
    recordio.write_index(shard.with_suffix(".idx"), keys[:-1], offsets[:-1])
    shard.with_suffix(".json").write_text(json.dumps({"images": N}))
    with pytest.raises(ValueError, match=r"has 36 records of .*a\.json says 37"):
        Loader([shard], 8, TRAIN)


@pytest.mark.parametrize("shuffle", ORDERS)
def test_a_shard_cut_short_after_the_index_was_written(
    tmp_path: Path, images: dict[int, bytes], shuffle: bool | Blocks
):
    shard = write_shard(tmp_path / "a.rec", images, images.values())
    shard.write_bytes(shard.read_bytes()[:-100])
    with pytest.raises(LoadError, match=r"record 1108, the last: .*a\.rec: .* the file ends at"):
        Loader([shard], 8, TRAIN)
    loader = Loader([shard], 8, TRAIN, on_error="skip", shuffle=shuffle)
    assert len(pixels_by_id(loader)) == N - 1
    _, offsets = recordio.read_index(shard.with_suffix(".idx"))
    assert list(loader.failures) == [(shard, offsets[-1])]


def test_shards_and_indexes_that_do_not_belong_together(tmp_path: Path, shards: list[Path]):
    copies = [Path(shutil.copy(shard, tmp_path)) for shard in shards]
    with pytest.raises(
        FileNotFoundError, match=rf"a shard needs its index; imnet index {copies[0]} writes it"
    ):
        Loader(copies, 8, TRAIN)
    merged = tmp_path / "two.idx"
    recordio.write_index(merged, *recordio.merge_indexes(shards[:2]))
    with pytest.raises(ValueError, match=r"two\.idx names no record of .*00002-of.*: remove it"):
        Loader(copies, 8, TRAIN, index=merged)
    keys, offsets = recordio.merge_indexes(shards)
    recordio.write_index(merged, keys[1::2], offsets[1::2])
    with warnings.catch_warnings(record=True) as warned:
        warnings.simplefilter("always")
        assert len(pixels_by_id(Loader(copies, 8, TRAIN, index=merged))) == 18
    assert re.search(
        r"00001.*ends at byte [\d,]+ of [\d,]+; what follows is left out", "".join(map(str, warned))
    )
    copies[1].with_suffix(".json").write_text(json.dumps({"images": SIZES[1]}))
    with pytest.raises(ValueError, match=r"two\.idx has 10 records of .*00001.*json says 20"):
        Loader(copies, 8, TRAIN, index=merged)
    copies[1].with_suffix(".json").write_text("{")
    with pytest.raises(ValueError, match=r"00001.*json is damaged"):
        Loader(copies, 8, TRAIN, index=merged)
