"""MXNet is imported beside any NumPy, and nobody else notices."""

from __future__ import annotations

import builtins
import subprocess
import sys

import numpy as np
import pytest

from imnetlib.engines.mxnet import names


def test_old_names_are_mxnets_alone():
    """Also for what MXNet imports itself, such as scipy."""
    code = """
import builtins, sys
plain_import = builtins.__import__
from imnetlib.engines.mxnet import mx
import numpy, scipy.stats
assert builtins.__import__ is plain_import
assert sys.modules["numpy"] is numpy
assert scipy.stats._stats_py.np is numpy
assert mx.base._np is not numpy and mx.base._np.ndarray is numpy.ndarray
print("bool" in vars(numpy), mx.base._np.bool)
"""
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", code], capture_output=True, text=True
    )
    numpy_has_bool = np.lib.NumpyVersion(np.__version__) >= "2.0.0"
    assert (done.stdout, done.stderr) == (f"{numpy_has_bool} <class 'bool'>\n", "")


def test_a_failing_import_leaves_the_import_as_it_was(monkeypatch: pytest.MonkeyPatch):
    before = builtins.__import__
    with pytest.raises(ZeroDivisionError), names.old_numpy_for_mxnet():
        1 / 0  # noqa: B018
    assert builtins.__import__ is before


@pytest.mark.parametrize(
    ("old", "value"),
    [
        ("PINF", np.inf), ("NINF", -np.inf), ("Inf", np.inf), ("PZERO", 0.0), ("NZERO", -0.0),
    ],
)  # fmt: skip
def test_old_constants(old: str, value: float):
    assert str(getattr(names._StandIn(), old)) == str(value)


def test_old_functions_do_what_they_did():
    old = names._StandIn()
    values = np.array([[3, 1], [2, 0]])
    assert old.in1d(values, [1, 2]).tolist() == [False, True, True, False]
    assert old.msort(values).tolist() == [[2, 0], [3, 1]]
    assert old.trapz([1, 3]) == 2
    assert (old.product(values), old.alltrue(values), old.sometrue(values)) == (0, False, True)
    with pytest.raises(AttributeError, match="numpy-financial"):
        old.npv(0.1, [1])


def test_names_that_numpy_never_had_stay_unknown():
    with pytest.raises(AttributeError, match="no attribute 'colour'"):
        names._StandIn().colour  # noqa: B018
