"""A stop as by a reader's hand, at a moment that a chapter chooses (chapter 7)."""

from __future__ import annotations

import _thread
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

_SECONDS_BETWEEN_LOOKS = 0.02


@contextmanager
def stopped_when(happened: Callable[[], bool]) -> Iterator[None]:
    """Interrupt the block, as JupyterLab's stop button does, as soon as ``happened()``.

    In the main thread only. The interruption ends here and is told in a line; a block that comes to
    its end before is told, too.
    """
    over = threading.Event()

    def watch() -> None:
        while not over.wait(_SECONDS_BETWEEN_LOOKS):
            if happened():
                _thread.interrupt_main()
                return

    watcher = threading.Thread(target=watch, daemon=True)
    watcher.start()
    try:
        yield
        over.set()
        watcher.join()
        print("came to its end before the stop")
    except KeyboardInterrupt:
        print("stopped")
    finally:
        over.set()
