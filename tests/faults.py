"""The local HTTP server of the course, with every fault that a test of downloads asks for."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from werkzeug.utils import send_from_directory
from werkzeug.wrappers import Response

from imnetlib.course import server


@dataclass(frozen=True)
class Fault(server.Fault):
    """What goes wrong with one request, beyond what chapter 1 shows.

    Args:
        ignore_range: Answer 200 and the whole file, whatever range was asked for.
        ignore_if_range: Send the range asked for, though the file has changed.
        content_range: Send this as the Content-Range header.
        extra_length: Announce so many bytes too many in Content-Length.
        rate: Send so many bytes per second.
        etag: Send this ETag, as if the file had changed.
    """

    ignore_range: bool = False
    ignore_if_range: bool = False
    content_range: str | None = None
    extra_length: int = 0
    rate: int | None = None
    etag: str | None = None
    closing: threading.Event = field(default_factory=threading.Event, compare=False)

    def respond(self, folder: Path, environ: server.Environ) -> Response:
        response = super().respond(folder, environ)
        if self.extra_length:
            response.content_length = (response.content_length or 0) + self.extra_length
        if self.content_range is not None:
            response.headers["Content-Range"] = self.content_range
        return response

    def send(self, folder: Path, environ: server.Environ) -> Response:
        if self.ignore_range:
            environ.pop("HTTP_RANGE", None)
        if self.ignore_if_range:
            environ.pop("HTTP_IF_RANGE", None)
        path = environ["PATH_INFO"].lstrip("/")
        return send_from_directory(folder, path, environ, etag=self.etag or True)

    def body(self, chunks: Iterable[bytes], start: int) -> Iterator[bytes]:
        for chunk in super().body(chunks, start):
            yield chunk
            if self.rate is not None:
                self.closing.wait(len(chunk) / self.rate)


@contextmanager
def serve(folder: Path, faults: Iterable[Fault] = (), port: int = 0) -> Iterator[str]:
    """Serve ``folder`` as the course's server does; at the end no request is waited for."""
    faults = list(faults)
    with server.serve(folder, faults, port) as url:
        try:
            yield url
        finally:
            for fault in faults:
                fault.closing.set()
