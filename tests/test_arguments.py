"""The sentences with which wrong types and inexact numbers are refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from imnetlib.arguments import real_number, require_several, whole_number, whole_numbers


@pytest.mark.parametrize("value", [3, np.int8(3), np.uint64(3)])
def test_whole_numbers_of_any_type_become_ints(value: Any):
    assert type(whole_number("size", value)) is int
    assert whole_number("size", value) == 3


@pytest.mark.parametrize("value", [True, np.bool_(True), 3.0, "3", None, np.array([3])])
def test_what_is_no_whole_number_is_named(value: Any):
    with pytest.raises(TypeError) as refused:
        whole_number("size", value)
    kind = type(value).__name__
    assert str(refused.value) == f"size is a whole number, not {value!r} ({kind})"


def test_numbers_of_any_type_become_floats():
    for value in (2, 2.0, np.float32(2), np.int64(2)):
        assert type(real_number("rate", value)) is float
    with pytest.raises(TypeError, match=r"rate is a number, not '2' \(str\)"):
        real_number("rate", "2")  # type: ignore[arg-type]


@pytest.mark.parametrize("value", ["a.rec", b"a.rec", Path("a.rec")])
def test_one_where_several_are_wanted_is_named(value: Any):
    with pytest.raises(TypeError, match="shards are several, in a list or a tuple, not "):
        require_several("shards", value)
    require_several("shards", [value])


@pytest.mark.parametrize(
    "values",
    [
        [[1, -2]],
        np.float32([[1, -2]]),
        np.array([[2**63 - 1]], np.uint64),
        np.array([[-(2**63)]], np.float64),
        np.empty((0, 2), np.float32),
    ],
)
def test_exact_whole_numbers_become_int64(values: Any):
    whole = whole_numbers("ids", values)
    assert whole.dtype == np.int64
    assert whole.tolist() == np.asarray(values).tolist()


@pytest.mark.parametrize(
    ("values", "first"),
    [
        ([0, 1.5, 2.5], "1.5"),
        ([0, np.nan], "nan"),
        ([-np.inf], "-inf"),
        (np.array([0, 2**63], np.uint64), "9223372036854775808"),
        ([2.0**63], "9.223372036854776e+18"),
        ([2**64], "18446744073709551616"),
        (["7"], "'7'"),
    ],
)
def test_what_int64_would_change_is_named(values: Any, first: str):
    with pytest.raises(ValueError, match="ids are whole numbers of 64 bits, not ") as refused:
        whole_numbers("ids", values)
    assert str(refused.value).endswith(f", not {first}")
