"""MXNet's files of arrays without MXNet: its own writer and reader are the oracle."""

from __future__ import annotations

import struct
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from publishing import save_as_of_2015

from imnetlib.engines import read_params, write_params
from imnetlib.engines.mxnet import mx

TYPES = ("float32", "float64", "float16", "uint8", "int32", "int8", "int64")
SOME = {
    "arg:fc1_weight": np.arange(6, dtype=np.float32).reshape(2, 3),
    "aux:Größe": np.array([7, -1], np.int64),
}


def written(path: Path, named: dict[str, np.ndarray]) -> Path:
    with path.open("wb") as out:
        write_params(out, named)
    return path


def same(found: dict, expected: dict) -> bool:
    assert list(found) == list(expected)
    return all(
        (found[name].dtype, found[name].shape, found[name].tobytes())
        == (array.dtype, array.shape, array.tobytes())
        for name, array in expected.items()
    )


@settings(max_examples=50)
@given(
    st.dictionaries(
        st.text(st.characters(codec="utf-8", min_codepoint=33), min_size=1, max_size=9),
        st.sampled_from(TYPES).flatmap(
            lambda kind: arrays.arrays(kind, arrays.array_shapes(max_dims=4, max_side=4))
        ),
        max_size=4,
    )
)
def test_what_is_written_is_read_by_us_and_by_mxnet(tmp_path_factory, named: dict):
    path = written(tmp_path_factory.mktemp("params") / "a.params", named)
    assert same(read_params(path), named)
    theirs = mx.nd.load(str(path)) if named else {}
    assert same({name: array.asnumpy() for name, array in theirs.items()}, named)


@pytest.mark.parametrize("kind", TYPES)
def test_what_mxnet_writes_is_read(tmp_path: Path, kind: str):
    path = tmp_path / "a.params"
    named = {"arg:a": np.arange(24).reshape(2, 3, 4).astype(kind), "aux:b": np.ones(1, kind)}
    mx.nd.save(str(path), {name: mx.nd.array(a, dtype=kind) for name, a in named.items()})
    assert same(read_params(path), named)


def test_the_format_of_2015_is_read(tmp_path: Path):
    named = {"arg:a": np.arange(6, dtype=np.float32).reshape(2, 3)}
    path = tmp_path / "Inception-0009.params"
    save_as_of_2015(path, {name: mx.nd.array(array) for name, array in named.items()})
    assert same(read_params(path), named)


def test_arrays_that_are_not_in_one_piece_are_written(tmp_path: Path):
    turned = np.arange(6, dtype=np.float32).reshape(2, 3).T
    assert same(read_params(written(tmp_path / "a", {"x": turned})), {"x": turned.copy()})


def test_a_type_that_mxnet_does_not_know_is_refused(tmp_path: Path):
    with pytest.raises(TypeError, match=r"x is of type complex64, which a \.params file can't"):
        written(tmp_path / "a", {"x": np.zeros(1, np.complex64)})


@pytest.mark.parametrize("length", range(0, 185, 7))
def test_a_file_cut_anywhere_is_named(tmp_path: Path, length: int):
    whole = written(tmp_path / "a", SOME).read_bytes()
    assert length < len(whole)
    path = tmp_path / "cut.params"
    path.write_bytes(whole[:length])
    with pytest.raises(ValueError, match=r"cut\.params is no sound file of arrays: "):
        read_params(path)


# All but the reserved number and the device.
@pytest.mark.parametrize("place", [0, 4, 16, 20, 24, 28, 32, 36, 40, 44, 48, 60, 64, 88])
def test_a_damaged_header_is_named_or_gives_another_array(tmp_path: Path, place: int):
    content = bytearray(written(tmp_path / "a", SOME).read_bytes())
    content[place : place + 4] = b"\xff\xff\xff\x7f"
    path = tmp_path / "damaged.params"
    path.write_bytes(content)
    try:
        found = read_params(path)
    except ValueError as error:
        found = {"error": np.array(str(error).index("damaged.params"))}
    assert found.keys() != SOME.keys() or not same(found, SOME)


def test_a_sparse_array_is_refused(tmp_path: Path):
    path = tmp_path / "a.params"
    path.write_bytes(struct.pack("<3QIi", 0x112, 0, 1, 0xF993FAC9, 1))
    with pytest.raises(ValueError, match="it holds a sparse array"):
        read_params(path)
