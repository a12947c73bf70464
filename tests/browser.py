"""What tests in a real browser share: Chromium, a page that notes what it says, axe, the keyboard."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from importlib import resources
from pathlib import Path
from typing import Any, Literal

import pytest
from playwright.sync_api import Browser, BrowserContext, Dialog, Page, sync_playwright

AXE = (resources.files("axe_playwright_python") / "axe.min.js").read_text(encoding="utf-8")
RULES = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]
Scheme = Literal["light", "dark"]
SCHEMES: tuple[Scheme, ...] = ("light", "dark")
WIDTHS = (1280, 390)

OVER = "document.documentElement.scrollWidth - document.documentElement.clientWidth"


def launched() -> Iterator[Browser]:
    """A Chromium for a module's tests, which are skipped where there is none."""
    found = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if found is None:
        message = "no Chromium is installed (apt-get install chromium)"
        if os.environ.get("MONITOR_TEST_REQUIRE_ALL"):
            pytest.fail(message)
        pytest.skip(message)
    with sync_playwright() as playwright:
        # Without a sandbox, since the tests may run as root in a container; the pages are our own and without network.
        browser = playwright.chromium.launch(executable_path=found, args=["--no-sandbox"])
        yield browser
        browser.close()


class Visit:
    """A page in a context of its own; `said` is what it wrote to the console, `asked` what it wanted from elsewhere."""

    def __init__(self, context: BrowserContext) -> None:
        self.said: list[str] = []
        self.asked: list[str] = []
        self.page: Page = context.new_page()
        self.page.set_default_timeout(20_000)
        self.page.on("console", lambda message: self.said.append(message.text))
        self.page.on("pageerror", lambda error: self.said.append(str(error)))
        self.page.on("request", lambda request: self.asked.append(request.url))
        self.page.on("dialog", self._dismiss)

    def _dismiss(self, dialog: Dialog) -> None:
        self.said.append(dialog.message)
        dialog.dismiss()


def violations(page: Page, rules: list[str], kind: str) -> list[str]:
    """What axe finds, one line each. It loads no style sheet by itself, which the pages' policy forbids."""
    options = {"preload": False, "runOnly": {"type": kind, "values": rules}, "resultTypes": ["violations"]}
    found: dict[str, Any] = page.evaluate(
        f"async options => {{ {AXE}; return await axe.run(document, options) }}", options
    )
    return [
        f"{one['id']}: {node['html'][:150]} {node['failureSummary'][:150]}"
        for one in found["violations"]
        for node in one["nodes"][:3]
    ]


def picture(page: Page, name: str) -> None:
    if folder := os.environ.get("MONITOR_TEST_PICTURES"):
        page.screenshot(path=str(Path(folder) / f"{name}.png"), full_page=True)


def tab_to(page: Page, wanted: str, most: int = 60) -> None:
    """Press Tab until the element has the focus."""
    target = page.locator(wanted).first.element_handle()
    for _ in range(most):
        if page.evaluate("element => document.activeElement === element", target):
            return
        page.keyboard.press("Tab")
    raise AssertionError(f"{wanted} cannot be reached with the keyboard")
