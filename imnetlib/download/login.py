"""What a session needs to be let in: a cookie, or a user and a key (chapter 1)."""

from __future__ import annotations

import os
from pathlib import Path
from urllib.parse import urlsplit

import requests
from requests.auth import HTTPBasicAuth

from imnetlib.arguments import PathLike

_NAMES = ("IMAGENET_USER", "IMAGENET_KEY", "IMAGENET_COOKIE")


def log_in(session: requests.Session, url: str, credentials: PathLike | None) -> str:
    """Give the session the log-in from the environment or the file; no message shows either.

    Returns the names of what it was given, and the file; "" where there is no log-in.
    """
    parts = urlsplit(url)
    host = parts.hostname or ""
    # http.cookiejar gives a host without a dot this name.
    domain = host if "." in host else f"{host}.local"
    login = dict(os.environ)
    if credentials is not None:
        login |= _read_credentials(Path(credentials))
    given = []
    # Not a plain header, which requests drops at the first redirect. The jar sends it to this host
    # alone.
    for pair in filter(None, map(str.strip, login.get("IMAGENET_COOKIE", "").split(";"))):
        name, _, value = pair.partition("=")
        session.cookies.set(name, value, domain=domain, secure=parts.scheme == "https")
        given = ["IMAGENET_COOKIE"]
    if login.get("IMAGENET_USER") and login.get("IMAGENET_KEY"):
        # As bytes: requests knows no letters beyond Latin-1.
        user = login["IMAGENET_USER"].encode()
        session.auth = HTTPBasicAuth(user, login["IMAGENET_KEY"].encode())
        given += ["IMAGENET_USER", "IMAGENET_KEY"]
    source = f" of {credentials}" if given and credentials is not None else ""
    return ", ".join(given) + source


def _read_credentials(path: Path) -> dict[str, str]:
    """The NAME=VALUE lines of a file, as a shell would read them; no message shows a value."""
    if os.name == "posix" and path.stat().st_mode & 0o077:
        raise PermissionError(f"others can read {path}: chmod 600 {path}")
    login: dict[str, str] = {}
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
        name, equals, value = line.strip().removeprefix("export ").partition("=")
        if equals and name.strip() in _NAMES:
            login[name.strip()] = value.strip().strip("\"'")
        elif line.strip() and not line.strip().startswith("#"):
            names = ", ".join(_NAMES)
            raise ValueError(f"{path}, line {number}: expected NAME=VALUE, NAME one of {names}")
    has_account = login.get("IMAGENET_USER") and login.get("IMAGENET_KEY")
    if not has_account and not login.get("IMAGENET_COOKIE"):
        raise ValueError(
            f"{path} holds no log-in: write IMAGENET_COOKIE, or IMAGENET_USER and IMAGENET_KEY"
        )
    return login
