"""torchvision, also where its build is for another torch."""

from __future__ import annotations

import sys
from typing import Any
from unittest import mock


def use_torchvision() -> Any:
    """torchvision, even where its compiled operators do not fit torch: crops do without them."""
    try:
        import torchvision
    except RuntimeError:
        for name in [name for name in sys.modules if name.split(".")[0] == "torchvision"]:
            del sys.modules[name]
        with mock.patch("torch.library.register_fake", return_value=lambda function: function):
            import torchvision
    import torchvision.transforms.v2

    return torchvision
