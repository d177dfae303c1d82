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
    for pair in filter(None, map(str.strip, _cookie(login).split(";"))):
        name, _, value = pair.partition("=")
        session.cookies.set(name, value, domain=domain, secure=parts.scheme == "https")
        given = ["IMAGENET_COOKIE"]
    if login.get("IMAGENET_USER") and login.get("IMAGENET_KEY"):
        # As bytes: requests knows no letters beyond Latin-1. What is no UTF-8 is sent as it is.
        user = login["IMAGENET_USER"].encode(errors="surrogateescape")
        key = login["IMAGENET_KEY"].encode(errors="surrogateescape")
        session.auth = HTTPBasicAuth(user, key)
        given += ["IMAGENET_USER", "IMAGENET_KEY"]
    source = f" of {credentials}" if given and credentials is not None else ""
    return ", ".join(given) + source


def _cookie(login: dict[str, str]) -> str:
    """The cookies, also where they were copied as a line "Cookie: …"; "" where there are none."""
    cookie = login.get("IMAGENET_COOKIE", "").strip()
    if cookie[:7].lower() == "cookie:":
        cookie = cookie[7:].strip()
    if not (cookie.isascii() and cookie.isprintable()):
        raise ValueError(
            "IMAGENET_COOKIE is not one line of ASCII: a browser may have shortened it by an "
            "ellipsis, so copy the whole value again"
        )
    return cookie


def _read_credentials(path: Path) -> dict[str, str]:
    """The NAME=VALUE lines of a file, as a shell would read them; no message shows a value."""
    if os.name == "posix" and path.stat().st_mode & 0o077:
        raise PermissionError(f"others can read {path}: chmod 600 {path}")
    login: dict[str, str] = {}
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    except UnicodeDecodeError:
        raise ValueError(f"{path} is no text in UTF-8: save it as that") from None
    for number, line in enumerate(lines, 1):
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
