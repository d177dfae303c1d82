"""The NumPy of 2021 that MXNet 1.9.1 was written for, kept up for MXNet alone.

NumPy has taken names away since. While MXNet is imported its modules get a stand-in for ``numpy``
that answers to those names and passes everything else on; nobody else sees it. NumPy 2.3 took away
a method of arrays as well, which MXNet's records use.
"""

from __future__ import annotations

import builtins
import inspect
import types
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np


def _gone(*arguments: Any, **options: Any) -> None:
    raise AttributeError("NumPy no longer has this function: numpy-financial has it")


# Old name → what it is called now, or what it was. MXNet lists the financial ones, and calls none.
_OLD_NAMES: Mapping[str, Any] = {
    "bool": bool,
    "Inf": np.inf,
    "PINF": np.inf,
    "NINF": -np.inf,
    "NAN": np.nan,
    "NaN": np.nan,
    "PZERO": 0.0,
    "NZERO": -0.0,
    "alltrue": np.all,
    "sometrue": np.any,
    "product": np.prod,
    "round_": np.round,
    "trapz": getattr(np, "trapezoid" if hasattr(np, "trapezoid") else "trapz"),
    "in1d": lambda values, among, **options: np.isin(np.ravel(values), among, **options),
    "msort": lambda values: np.sort(values, axis=0),
    **dict.fromkeys(("mirr", "npv", "pmt", "ppmt", "pv", "rate"), _gone),
}


class _StandIn(types.ModuleType):
    """Answers to the old names, and passes the others on to NumPy."""

    def __init__(self) -> None:
        super().__init__(np.__name__, np.__doc__)
        vars(self).update(_OLD_NAMES)

    def __getattr__(self, name: str) -> Any:
        return getattr(np, name)


@contextmanager
def old_numpy_for_mxnet() -> Iterator[None]:
    """Let MXNet be imported beside any NumPy from 1.26 on; other modules import NumPy itself."""
    stand_in = _StandIn()
    plain_import = builtins.__import__

    def importing(
        name: str,
        globals: Mapping[str, object] | None = None,
        locals: Mapping[str, object] | None = None,
        fromlist: Sequence[str] | None = (),
        level: int = 0,
    ) -> types.ModuleType:
        module = plain_import(name, globals, locals, fromlist, level)
        importer = str((globals or {}).get("__name__", ""))
        is_mxnet = importer == "mxnet" or importer.startswith("mxnet.")
        return stand_in if module is np and is_mxnet else module

    builtins.__import__ = importing
    try:
        with warnings.catch_warnings():
            # Of MXNet's own sources, where pip has not compiled them already, and of distutils.
            warnings.simplefilter("ignore", SyntaxWarning)
            warnings.simplefilter("ignore", DeprecationWarning)
            yield
    finally:
        builtins.__import__ = plain_import


def rename_tostring(recordio: types.ModuleType) -> None:
    """Let MXNet's ``recordio`` call ``tobytes`` where it calls ``tostring``, its old name."""
    for function in (recordio.pack, recordio.pack_img):
        source = inspect.getsource(function).replace(".tostring()", ".tobytes()")
        exec(compile(source, str(recordio.__file__), "exec"), vars(recordio))
