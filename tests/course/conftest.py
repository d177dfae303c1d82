"""What the course's tests need that may not be installed."""

from __future__ import annotations

import importlib.util

# PyTorch is no part of the lock.
collect_ignore = [] if importlib.util.find_spec("torch") else ["test_processes.py"]
