"""Is a server's answer the file that was asked for? (chapter 1; RFC 9110, sections 13 to 15)"""

from __future__ import annotations

import json
from typing import Any

import requests
import urllib3

from imnetlib.download.state import ConnectionBreakError, DownloadError, Transfer, start_over
from imnetlib.files import write_whole

_TRY_AGAIN = {408, 425, 429, 500, 502, 503, 504}


def describe_failure(error: Exception) -> str:
    """What happened, in words that hold no address."""
    reasons = [error, *(getattr(inner, "reason", inner) for inner in error.args)]
    if any(isinstance(reason, urllib3.exceptions.NameResolutionError) for reason in reasons):
        return "the server's name is not known here: is it right, and is there a network?"
    if any(isinstance(reason, urllib3.exceptions.NewConnectionError) for reason in reasons):
        return "the server takes no connection"
    return type(error).__name__


def require_continuation(response: requests.Response, state: Transfer) -> None:
    """206 is good only for exactly the bytes asked for, of the same file."""
    headers = response.headers
    etag = state.known["etag"]
    modified = state.known["modified"]
    stated = headers.get("Content-Range")
    size = state.known["size"]
    if stated not in [f"bytes {state.have}-{size - 1}/{total}" for total in (size, "*")]:
        start_over(
            state, f"asked from byte {state.have:,} on, the server sent {stated}: started over"
        )
    # A 206 must bring the ETag that a 200 would, but may leave out Last-Modified (RFC 9110, section
    # 15.3.7).
    elif headers.get("ETag") != etag or not (
        etag or headers.get("Last-Modified", modified) == modified
    ):
        start_over(state, "the file on the server has changed: started over")
    else:
        return
    raise ConnectionBreakError("the answer did not fit what is there")


def require_whole_file(response: requests.Response, state: Transfer) -> None:
    """Any other answer must be 200 with the whole file; then it starts from zero, with a new
    record.
    """
    code = response.status_code
    headers = response.headers
    if code in _TRY_AGAIN:
        raise ConnectionBreakError(f"the server answered {code} {response.reason}")
    if code == 416 and state.have:
        start_over(state, "the file on the server has become shorter: started over")
        raise ConnectionBreakError("the server has no such range")
    if code != 200 or headers.get("Content-Type", "").startswith("text/html"):
        hint = "; if this needs a log-in, set IMAGENET_USER and IMAGENET_KEY or IMAGENET_COOKIE"
        raise DownloadError(
            f"{state.address}: the server answered {code} {response.reason}, {headers.get('Content-Type')}, and "
            f"nothing of it was kept{hint if code in (200, 401, 403) else ''}"
        )
    if not headers.get("Content-Length", "").isdigit():
        raise DownloadError(
            f"{state.address}: the server does not tell how long the file is, so a break looks whole"
        )
    size = int(headers["Content-Length"])
    if state.size not in (None, size):
        raise DownloadError(
            f"{state.address} has {size:,} bytes, not {state.size:,}: it is another file"
        )
    record = {"address": state.address, "size": size}
    record |= {"etag": headers.get("ETag"), "modified": headers.get("Last-Modified")}
    if state.have:
        start_over(state, f"{_difference(record, state.known)}: started over")
    write_whole(state.sidecar, json.dumps(record).encode())
    state.known = record


def _difference(now: dict[str, Any], begun: dict[str, Any]) -> str:
    """Why a server sends the whole file when it was asked for the rest."""
    if now == begun:
        return "the server sends no part of a file, only all of it"
    if now["address"] != begun["address"]:
        return "this address has another file than the one that was begun"
    return "the file on the server has changed"
