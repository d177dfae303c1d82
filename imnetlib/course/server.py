"""A real HTTP server on this machine for one folder, with faults to order (chapter 1).

Werkzeug speaks the protocol: Range, If-Range, ETag, Last-Modified, 206 and 416. A list of faults
says what goes wrong with the first requests, so that a reader sees a download break, and a test can
ask for each way it can.
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

PAGE = "<!DOCTYPE html><html><title>Log in</title><p>Please log in to download this file.</html>"


@dataclass(frozen=True, slots=True)
class Fault:
    """What goes wrong with one request; without arguments, nothing does."""

    # close the connection after so many bytes of the body
    drop_after: int | None = None
    # an HTML page with this status in place of the file
    page: int | None = None
    # 200 and the whole file, whatever range was asked for
    ignore_range: bool = False
    # the range asked for, though the file has changed
    ignore_if_range: bool = False
    # a header of one's own
    content_range: str | None = None
    # added to the Content-Length that is announced
    extra_length: int = 0
    # this byte of the file arrives damaged
    flip: int | None = None
    # bytes per second
    rate: int | None = None
    # as if the file had changed
    etag: str | None = None


class _Quiet(WSGIRequestHandler):
    def log(self, type: str, message: str, *args: Any) -> None:
        """A line per request on stderr would end up in the reader's notebook."""


def _body(
    chunks: Iterable[bytes], fault: Fault, start: int, closing: threading.Event
) -> Iterator[bytes]:
    """The body from byte ``start`` of the file on, as the fault has it."""
    at = start
    for chunk in chunks:
        if fault.flip is not None and at <= fault.flip < at + len(chunk):
            here = fault.flip - at
            chunk = chunk[:here] + bytes([chunk[here] ^ 0xFF]) + chunk[here + 1 :]
        if fault.drop_after is not None and at + len(chunk) > start + fault.drop_after:
            yield chunk[: start + fault.drop_after - at]
            # Werkzeug then closes the connection without a word
            raise ConnectionAbortedError
        yield chunk
        at += len(chunk)
        if fault.rate is not None:
            closing.wait(len(chunk) / fault.rate)


def _application(
    folder: Path, faults: Iterable[Fault], closing: threading.Event
) -> Callable[..., Iterable[bytes]]:
    waiting = iter(faults)
    one_at_a_time = threading.Lock()

    def application(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        with one_at_a_time:
            fault = next(waiting, Fault())
        if fault.page is not None:
            return Response(PAGE, fault.page, mimetype="text/html")(environ, start_response)
        for ignored, header in (
            (fault.ignore_range, "HTTP_RANGE"),
            (fault.ignore_if_range, "HTTP_IF_RANGE"),
        ):
            if ignored:
                environ.pop(header, None)
        try:
            answer = send_from_directory(
                folder, environ["PATH_INFO"].lstrip("/"), environ, etag=fault.etag or True
            )
        except HTTPException as error:
            # 404, or 416 for a range beyond the end
            return error(environ, start_response)
        start = answer.content_range.start or 0 if answer.status_code == 206 else 0
        answer.content_length = (answer.content_length or 0) + fault.extra_length
        if fault.content_range is not None:
            answer.headers["Content-Range"] = fault.content_range
        answer.response = _body(answer.iter_encoded(), fault, start, closing)
        return answer(environ, start_response)

    return application


@contextmanager
def serve(folder: Path, faults: Iterable[Fault] = (), port: int = 0) -> Iterator[str]:
    """Serve ``folder`` on 127.0.0.1 and yield the base URL; request i meets ``faults[i]``, the
    later ones none.

    ``port`` 0 takes a free one. OSError when the port asked for is in use.
    """
    closing = threading.Event()
    try:
        listening = socket.create_server(("127.0.0.1", port))
    except OSError as error:
        raise OSError(
            error.errno, f"port {port} of this machine is in use: choose another, or 0 for any"
        ) from None
    with listening:
        application = _application(folder.resolve(), faults, closing)
        server = make_server(
            "127.0.0.1",
            port,
            application,
            threaded=True,
            request_handler=_Quiet,
            fd=listening.fileno(),
        )
        thread = threading.Thread(
            target=server.serve_forever, args=(0.02,), name="file server", daemon=True
        )
        thread.start()
        try:
            yield f"http://127.0.0.1:{listening.getsockname()[1]}/"
        finally:
            closing.set()
            server.shutdown()
            thread.join()
            server.server_close()
