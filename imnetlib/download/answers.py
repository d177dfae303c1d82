"""Whether a server's answer is the file asked for (chapter 1; RFC 9110, sections 13 to 15)."""

from __future__ import annotations

import json
import ssl
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlsplit

import requests
import urllib3

from imnetlib.download.state import (
    ConnectionBreakError,
    DownloadError,
    DownloadState,
    UnknownServerError,
)
from imnetlib.files import write_bytes_atomically

_TEMPORARY = {408, 425, 429, 500, 502, 503, 504}
_PAGES = ("text/html", "application/xhtml+xml")


def _causes(error: object) -> Iterator[BaseException]:
    """An error of the HTTP libraries and all that it wraps."""
    if isinstance(error, BaseException):
        yield error
        for inner in (*error.args, getattr(error, "reason", None)):
            yield from _causes(inner)


def require_trust(error: Exception, transfer: DownloadState) -> None:
    """DownloadError where an error is of the server's certificate: the next try has the same."""
    for cause in _causes(error):
        if isinstance(cause, ssl.SSLCertVerificationError):
            raise DownloadError(
                f"{transfer.address}: the server's certificate is not trusted "
                f"({cause.verify_message}): is this machine's clock right? REQUESTS_CA_BUNDLE can "
                "name a file of the certificates to trust"
            ) from None


def failure_of(error: Exception) -> ConnectionBreakError:
    """What happened, in words that hold no address."""
    reasons = list(_causes(error))
    if any(isinstance(reason, urllib3.exceptions.NameResolutionError) for reason in reasons):
        return UnknownServerError(
            "the server's name is not known here: is it right, and is there a network?"
        )
    if any(isinstance(reason, urllib3.exceptions.NewConnectionError) for reason in reasons):
        return ConnectionBreakError("the server takes no connection")
    return ConnectionBreakError(type(error).__name__)


def require_continuation(response: requests.Response, transfer: DownloadState) -> None:
    """Accept a 206 only for exactly the bytes asked for, of the same file; else start over."""
    _require_plain(response, transfer)
    headers = response.headers
    record = transfer.record
    size = record["size"]
    sent = headers.get("Content-Range")
    # A 206 must bring the ETag that a 200 would, but may leave out Last-Modified (RFC 9110, section
    # 15.3.7).
    same_etag = headers.get("ETag") == record["etag"]
    same_date = headers.get("Last-Modified", record["modified"]) == record["modified"]
    if sent not in [f"bytes {transfer.have}-{size - 1}/{total}" for total in (size, "*")]:
        problem = f"asked from byte {transfer.have:,} on, the server sent {sent}"
    elif not same_etag or not (record["etag"] or same_date):
        problem = "the file on the server has changed"
    else:
        return
    transfer.start_over(f"{problem}: started over")
    raise ConnectionBreakError("the answer did not fit what is there")


def whole_length(response: requests.Response, transfer: DownloadState) -> int:
    """The bytes of the file, if the answer is 200 and all of it; else says why it is not."""
    code = response.status_code
    headers = response.headers
    answer = f"the server answered {code} {response.reason}"
    if code in _TEMPORARY:
        raise ConnectionBreakError(answer)
    if code != 200 or headers.get("Content-Type", "").lower().startswith(_PAGES):
        hint = login_hint(response, transfer) if code in (200, 401, 403) else ""
        raise DownloadError(
            f"{transfer.address}: {answer}, {headers.get('Content-Type')}, "
            f"and nothing of it was kept{hint}"
        )
    _require_plain(response, transfer)
    # Beside chunks it means nothing (RFC 9112, section 6.3).
    if "Transfer-Encoding" in headers or not headers.get("Content-Length", "").isdecimal():
        raise DownloadError(
            f"{transfer.address}: the server does not tell how long the file is, "
            "so a break looks whole"
        )
    return int(headers["Content-Length"])


def _require_plain(response: requests.Response, transfer: DownloadState) -> None:
    """DownloadError where the body is the file compressed on the way, though nobody asked."""
    coding = response.headers.get("Content-Encoding", "").lower()
    # Many servers say so of a file that is a .gz itself.
    is_own = coding in ("gzip", "x-gzip") and transfer.address.lower().endswith((".gz", ".tgz"))
    if coding not in ("", "identity") and not is_own:
        raise DownloadError(
            f"{transfer.address}: the server sends the file compressed ({coding}), which it was "
            "asked not to do, and nothing of it was kept: is there a proxy that can be avoided?"
        )


def login_hint(response: requests.Response, transfer: DownloadState) -> str:
    """What to do about the log-in, when an answer may mean that one is missing or wrong."""
    first, *_ = [*response.history, response]
    login = transfer.login
    if not login and "Authorization" in first.request.headers:
        login = "of the file .netrc"
    if not login:
        certain = "this" if response.status_code == 401 else "if this"
        return f"; {certain} needs a log-in: set IMAGENET_USER and IMAGENET_KEY or IMAGENET_COOKIE"
    asked = urlsplit(transfer.url).hostname or ""
    answering = urlsplit(response.url).hostname or ""
    is_below = answering == asked or answering.endswith(f".{asked}")
    if not (is_below and response.request.headers.keys() & {"Authorization", "Cookie"}):
        return (
            f"; it leads to {answering}, where this log-in ({login}) is not sent: "
            "check the log-in and the address"
        )
    seems = "it seems that " if response.status_code == 200 else ""
    return f"; {seems}the server refused this log-in ({login}): check it"


def require_whole_file(response: requests.Response, transfer: DownloadState) -> None:
    """Accept any other answer only if it is 200 and the whole file; begin a new record for it."""
    headers = response.headers
    address = transfer.address
    if response.status_code == 416 and transfer.have:
        transfer.start_over("the file on the server has become shorter: started over")
        raise ConnectionBreakError("the server has no such range")
    size = whole_length(response, transfer)
    if transfer.size not in (None, size):
        raise DownloadError(
            f"{address} has {size:,} bytes, not {transfer.size:,}: it is another file"
        )

    record = {
        "address": address,
        "size": size,
        "etag": headers.get("ETag"),
        "modified": headers.get("Last-Modified"),
    }
    if transfer.have:
        transfer.start_over(f"{_reason_for_all(record, transfer.record)}: started over")
    write_bytes_atomically(transfer.sidecar, json.dumps(record).encode())
    transfer.record = record


def _reason_for_all(record: dict[str, Any], begun: dict[str, Any]) -> str:
    """Why a server sends the whole file when it was asked for the rest."""
    if record == begun:
        return "the server sends no part of a file, only all of it"
    if record["address"] != begun["address"]:
        return "this address has another file than the one that was begun"
    return "the file on the server has changed"
