"""A headless Chromium, and the site served under a path as any host may."""

from __future__ import annotations

import functools
import http.server
import shutil
import threading
from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, Page, sync_playwright

from imnetlib.course.root import CHECKOUT

SITE = CHECKOUT / "build" / "site"
NAMES = ("chromium", "chromium-browser", "google-chrome")
# As root, without a screen, and without a word to anyone but the page's own server.
FLAGS = (
    *("--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"),
    *("--disable-background-networking", "--disable-component-update", "--disable-sync"),
)


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    """The machine's Chromium."""
    program = next(filter(None, map(shutil.which, NAMES)), None)
    if program is None:
        pytest.exit("Chromium is not installed (Debian: apt-get install chromium).", returncode=1)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program, args=FLAGS)
        yield browser
        browser.close()


class QuietHandler(http.server.SimpleHTTPRequestHandler):
    """Serves files without a line for each."""

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@pytest.fixture(scope="session")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of the built site, two folders below the server's root."""
    if not (SITE / "index.html").exists():
        pytest.exit("There is no site in build/site: make site", returncode=1)
    root = tmp_path_factory.mktemp("host")
    (root / "some").mkdir()
    (root / "some" / "where").symlink_to(SITE)
    handler = functools.partial(QuietHandler, directory=str(root))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}/some/where/"
        server.shutdown()


class Tab:
    """A page of a browser, and all that went wrong in it."""

    def __init__(self, page: Page, site: str) -> None:
        self.page = page
        self.site = site
        self.troubles: list[str] = []
        page.on("console", self._heard)
        page.on("pageerror", lambda error: self.troubles.append(str(error)))
        page.on("request", self._asked)
        page.on("response", self._answered)

    def _heard(self, message: object) -> None:
        if message.type in ("error", "warning"):
            self.troubles.append(f"console: {message.text}")

    def _asked(self, request: object) -> None:
        if not request.url.startswith((self.site, "data:")):
            self.troubles.append(f"outside: {request.url}")

    def _answered(self, response: object) -> None:
        if response.status >= 400:
            self.troubles.append(f"{response.status}: {response.url}")

    def open(self, name: str) -> Page:
        """The page of that name, loaded whole."""
        self.page.goto(self.site + name)
        return self.page


@pytest.fixture
def tab(request: pytest.FixtureRequest, browser: Browser, site: str) -> Iterator[Tab]:
    """A new tab; ``indirect`` parameters are its width and its colours, 1280 and light without."""
    width, theme = getattr(request, "param", (1280, "light"))
    context = browser.new_context(
        viewport={"width": width, "height": 900}, color_scheme=theme, reduced_motion="reduce"
    )
    yield Tab(context.new_page(), site)
    context.close()
