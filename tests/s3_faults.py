"""A proxy in front of a server for S3 that spoils what a test names, over real HTTP."""

from __future__ import annotations

import http.client
import socket
import struct
import threading
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, unquote, urlsplit

GARBAGE = b"<html><body>Please log in to this network</body></html>"


@dataclass
class Fault:
    """What is spoiled: requests of a kind whose path ends so, and how.

    ``kind`` is LIST, UPLOADS, HEAD, GET, PUT, CREATE, PART or COMPLETE; ``how`` is reset, stall,
    nonsense, garbage, cut, flip or a status.
    """

    kind: str
    how: str
    end: str = ""
    times: int = 1 << 30
    seen: list[str] = field(default_factory=list)

    def hits(self, kind: str, path: str) -> bool:
        """Whether to spoil this request; counts it."""
        if kind != self.kind or not path.endswith(self.end) or len(self.seen) >= self.times:
            return False
        self.seen.append(path)
        return True


def kind_of(method: str, target: str) -> tuple[str, str]:
    """The kind of a request of S3, and the path it is about."""
    parts = urlsplit(target)
    query = parse_qs(parts.query, keep_blank_values=True)
    if method == "GET" and "list-type" in query:
        return "LIST", unquote(parts.path)
    if method == "GET" and "uploads" in query:
        return "UPLOADS", unquote(parts.path)
    if method == "POST":
        return "CREATE" if "uploads" in query else "COMPLETE", unquote(parts.path)
    if method == "PUT" and "partNumber" in query:
        return "PART", unquote(parts.path)
    return method, unquote(parts.path)


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    # Headers and body in one segment, as Nagle's delay would count for each answer.
    disable_nagle_algorithm = True
    server: _Server

    def _serve(self) -> None:
        fault = self.server.fault
        kind, path = kind_of(self.command, self.path)
        self.server.requests.append((kind, path))
        spoil = fault.how if fault and fault.hits(kind, path) else ""
        if spoil == "reset":
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            self.connection.close()
            self.close_connection = True
            return
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        if spoil == "stall":
            self.server.closing.wait()
            self.close_connection = True
        elif spoil == "nonsense":
            self.wfile.write(b"\x00\x01 this is not HTTP\r\n\r\n")
            self.close_connection = True
        elif spoil == "garbage":
            self._answer(200, [("Content-Type", "text/html")], GARBAGE)
        elif spoil in ("403", "404", "500", "503"):
            self._answer(int(spoil), [], b"")
        else:
            self._pass_on(kind, spoil, body)

    def handle_expect_100(self) -> bool:
        """Note a request whose body is sent after one more round trip."""
        self.server.requests.append(("EXPECT", self.path))
        return super().handle_expect_100()

    def _pass_on(self, kind: str, spoil: str, body: bytes) -> None:
        sends = kind in ("PUT", "PART")
        if spoil == "flip" and sends:
            body = _flipped(body)
        with closing(http.client.HTTPConnection("127.0.0.1", self.server.upstream)) as upstream:
            upstream.request(self.command, self.path, body or None, dict(self.headers))
            answer = upstream.getresponse()
            data = answer.read()
        own = ("transfer-encoding", "content-length", "connection")
        headers = [pair for pair in answer.getheaders() if pair[0].lower() not in own]
        length = answer.getheader("Content-Length") if self.command == "HEAD" else None
        if spoil == "flip" and not sends:
            data = _flipped(data)
        self._answer(answer.status, headers, data, length, cut=spoil == "cut")

    def _answer(
        self,
        status: int,
        headers: list[tuple[str, str]],
        data: bytes,
        length: str | None = None,
        cut: bool = False,
    ) -> None:
        """Answer; the length is that of the data unless it is given."""
        self.send_response_only(status)
        for name, value in headers:
            self.send_header(name, value)
        self.send_header("Content-Length", length or str(len(data)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(data[: len(data) // 2] if cut else data)
        self.close_connection = self.close_connection or cut

    # The names are those that the base class looks for.
    do_GET = do_HEAD = do_PUT = do_POST = do_DELETE = _serve  # noqa: N815

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing."""


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128
    block_on_close = False

    def __init__(self, upstream: int) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.upstream = upstream
        self.fault: Fault | None = None
        self.requests: list[tuple[str, str]] = []
        self.closing = threading.Event()

    def handle_error(self, request: object, client_address: object) -> None:
        """Say nothing: a client may go away."""


def _flipped(data: bytes) -> bytes:
    changed = bytearray(data)
    if changed:
        changed[len(changed) // 2] ^= 1
    return bytes(changed)


@contextmanager
def proxy(url: str) -> Iterator[tuple[str, Callable[[Fault | None], None], list[tuple[str, str]]]]:
    """A proxy's address, what sets its fault, and the requests that it has seen."""
    server = _Server(urlsplit(url).port or 80)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
    thread.start()

    def set_fault(fault: Fault | None) -> None:
        server.fault = fault
        server.requests.clear()

    try:
        yield f"http://127.0.0.1:{server.server_address[1]}", set_fault, server.requests
    finally:
        server.closing.set()
        server.shutdown()
        server.server_close()
