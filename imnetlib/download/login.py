"""What a session needs to be let in: a cookie, or a user and a key (chapter 1)."""

from __future__ import annotations

import os
from pathlib import Path
from urllib.parse import urlsplit

import requests

_NAMES = ("IMAGENET_USER", "IMAGENET_KEY", "IMAGENET_COOKIE")


def log_in(session: requests.Session, url: str, credentials: Path | None) -> None:
    """Give the session what the environment or the file holds; neither appears in any message."""
    parts = urlsplit(url)
    host = parts.hostname or ""
    # what http.cookiejar calls a host without a dot
    domain = host if "." in host else f"{host}.local"
    given = dict(os.environ)
    if credentials is not None:
        given |= _credentials(credentials)
    for pair in filter(None, map(str.strip, given.get("IMAGENET_COOKIE", "").split(";"))):
        # Not a plain header: requests drops that at the first redirect. The jar sends it to this
        # host alone.
        name, _, value = pair.partition("=")
        session.cookies.set(name, value, domain=domain, secure=parts.scheme == "https")
    if given.get("IMAGENET_USER") and given.get("IMAGENET_KEY"):
        session.auth = (given["IMAGENET_USER"], given["IMAGENET_KEY"])


def _credentials(path: Path) -> dict[str, str]:
    """The NAME=VALUE lines of a file, as a shell would read them; no message shows a value."""
    if os.name == "posix" and path.stat().st_mode & 0o077:
        raise PermissionError(f"others can read {path}: chmod 600 {path}")
    found: dict[str, str] = {}
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
        name, equals, value = line.strip().removeprefix("export ").partition("=")
        if equals and name.strip() in _NAMES:
            found[name.strip()] = value.strip().strip("\"'")
        elif line.strip() and not line.strip().startswith("#"):
            raise ValueError(
                f"{path}, line {number}: expected NAME=VALUE, NAME one of {', '.join(_NAMES)}"
            )
    if not found.get("IMAGENET_COOKIE") and not (
        found.get("IMAGENET_USER") and found.get("IMAGENET_KEY")
    ):
        raise ValueError(
            f"{path} holds no log-in: write IMAGENET_COOKIE, or IMAGENET_USER and IMAGENET_KEY"
        )
    return found
