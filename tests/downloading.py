"""A file to download from a server of this machine that breaks in every way a server can."""

from __future__ import annotations

import hashlib
import random
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from faults import Fault, serve
from making import tar_of

from imnetlib import download
from imnetlib.download import DownloadError, Result

DATA = random.Random(5).randbytes(700_001)
MD5 = hashlib.md5(DATA).hexdigest()
NAME = "set.tar"


def tar_of_images(count: int) -> bytes:
    """A tar of ``count`` members of 7,000 bytes."""
    return tar_of({f"{n}.JPEG": DATA[n * 7_000 : (n + 1) * 7_000] for n in range(count)})


def fetch(site: Path, target: Path, *faults: Fault, **options: object) -> Result:
    """Download the file of a server whose requests meet ``faults``."""
    with serve(site, faults) as base:
        return download.download(base + NAME, target, **options)


def two_calls(
    site: Path, target: Path, *faults: Fault, change: Callable[[], object] = bool, **options: object
) -> Result:
    """Download in two calls: the first breaks at 300,000 bytes, the second meets ``faults``."""
    with serve(site, [Fault(drop_after=300_000), *faults]) as base:
        with pytest.raises(DownloadError):
            download.download(base + NAME, target, attempts=1, **options)
        change()
        return download.download(base + NAME, target, **options)


def names_beside(target: Path) -> list[str]:
    """The names in the folder of ``target``."""
    return sorted(path.name for path in target.parent.iterdir())


def assert_whole(result: Result, target: Path) -> None:
    """The file is right, and nothing else is left."""
    assert target.read_bytes() == DATA
    assert result.md5 == MD5
    assert names_beside(target) == [NAME]


@contextmanager
def answering(
    answer: Callable[[BaseHTTPRequestHandler], object], tls: ssl.SSLContext | None = None
) -> Iterator[str]:
    """The address of a server that leaves each GET request to a function, over ``tls`` if given."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            answer(self)

        def log_message(self, *_: object) -> None:
            """A line for each request would be noise."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        if tls is not None:
            server.socket = tls.wrap_socket(server.socket, server_side=True)
        threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
        yield f"http{'s' if tls else ''}://127.0.0.1:{server.server_port}/{NAME}"
        server.shutdown()


def redirect_to_itself(request: BaseHTTPRequestHandler) -> None:
    """Answer a request by its own address."""
    request.send_response(302)
    request.send_header("Location", request.path)
    request.send_header("Content-Length", "0")
    request.end_headers()
