"""A real HTTP server on this machine for one folder, with faults to order (chapter 1).

Werkzeug speaks the protocol: Range, If-Range, ETag, Last-Modified, 206 and 416. Faults say what
goes wrong with the first requests, so that a reader sees a download break.
"""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from werkzeug.exceptions import HTTPException
from werkzeug.serving import WSGIRequestHandler, make_server
from werkzeug.utils import send_from_directory
from werkzeug.wrappers import Response

LOCALHOST = "127.0.0.1"
PAGE = "<!DOCTYPE html><html><title>Log in</title><p>Please log in to download this file.</html>"
Environ = dict[str, Any]


@dataclass(frozen=True)
class Fault:
    """What goes wrong with one request; without arguments, nothing does.

    Subclasses override the methods to break in other ways.

    Args:
        drop_after: Close the connection after so many bytes of the body.
        page: Send an HTML page with this status in place of the file.
        flip: Damage this byte of the file on its way.
    """

    drop_after: int | None = None
    page: int | None = None
    flip: int | None = None

    def respond(self, folder: Path, environ: Environ) -> Response:
        """The response to a request, as the fault has it."""
        if self.page is not None:
            return Response(PAGE, self.page, mimetype="text/html")
        response = self.send(folder, environ)
        start = 0
        if response.status_code == 206:
            start = response.content_range.start or 0
        response.response = self.body(response.iter_encoded(), start)
        return response

    def send(self, folder: Path, environ: Environ) -> Response:
        """The file, or the range of it that was asked for; HTTPException when there is neither."""
        return send_from_directory(folder, environ["PATH_INFO"].lstrip("/"), environ)

    def body(self, chunks: Iterable[bytes], start: int) -> Iterator[bytes]:
        """The bytes of the file from ``start`` on, damaged or cut."""
        end = None if self.drop_after is None else start + self.drop_after
        for chunk in chunks:
            if self.flip is not None and start <= self.flip < start + len(chunk):
                damaged = bytearray(chunk)
                damaged[self.flip - start] ^= 0xFF
                chunk = bytes(damaged)
            if end is not None and start + len(chunk) > end:
                yield chunk[: end - start]
                # Werkzeug closes the connection on this error and logs nothing.
                raise ConnectionAbortedError
            yield chunk
            start += len(chunk)


class _QuietHandler(WSGIRequestHandler):
    def log(self, type: str, message: str, *args: Any) -> None:
        """Log nothing: a line per request on stderr would end up in the reader's notebook."""


def _application(folder: Path, faults: Iterable[Fault]) -> Callable[..., Iterable[bytes]]:
    """The WSGI application: each request takes the next fault, whichever thread serves it."""
    remaining = iter(faults)
    lock = threading.Lock()

    def application(environ: Environ, start_response: Any) -> Iterable[bytes]:
        with lock:
            fault = next(remaining, Fault())
        try:
            response = fault.respond(folder, environ)
        except HTTPException as error:
            # 404, or 416 for a range beyond the end.
            return error(environ, start_response)
        return response(environ, start_response)

    return application


@contextmanager
def serve(folder: Path, faults: Iterable[Fault] = (), port: int = 0) -> Iterator[str]:
    """Serve ``folder`` on 127.0.0.1 and yield the base URL; request i meets ``faults[i]``.

    Requests beyond the faults meet none. ``port`` 0 takes a free one. OSError when the port asked
    for is in use.
    """
    try:
        listening = socket.create_server((LOCALHOST, port))
    except OSError as error:
        raise OSError(
            error.errno, f"port {port} of this machine is in use: choose another, or 0 for any"
        ) from None
    with listening:
        server = make_server(
            LOCALHOST,
            port,
            _application(folder.resolve(), faults),
            threaded=True,
            request_handler=_QuietHandler,
            fd=listening.fileno(),
        )
        thread = threading.Thread(
            target=server.serve_forever, args=(0.02,), name="file server", daemon=True
        )
        thread.start()
        try:
            yield f"http://{LOCALHOST}:{listening.getsockname()[1]}/"
        finally:
            server.shutdown()
            thread.join()
            server.server_close()
