"""Makes the pictures of mails, the desk and the demo in `docs/images` anew: `python -m tests.pictures [DIR]`.

A terminal with the demo, the desk and its rule lab, some single mails, and sheets of the whole family of mails as it
looks at each width, in each scheme, and without style block. Chromium is needed; with pngquant the pictures take a
third of the room.
"""

from __future__ import annotations

import io
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterable
from dataclasses import replace
from html import escape
from pathlib import Path
from urllib.parse import quote

from playwright.sync_api import Browser, Page
from rich.console import Console
from rich.text import Text

from tests import family
from tests.browser import SCHEMES, Scheme, launched
from tests.conftest import PROJECT
from tests.desk import world
from tests.family import AT, LINKS, MAILS, RENDERER, SITE
from tests.test_web import serving

WIDTHS = (360, 390, 700)
ACROSS = 2800  # pixels of a sheet
LONGEST = 1300  # pixels of a mail's height
SINGLE: dict[str, tuple[str, str, int, Scheme]] = {
    "digest": ("digest", "en", 390, "light"),
    "mail-alert": ("alert", "en", 700, "light"),
    "mail-update-dark": ("update", "en", 390, "dark"),
    "mail-digest-arabic": ("digest", "ar", 390, "light"),
    "mail-spike": ("spike", "es", 390, "light"),
}
PAGES = {
    "desk": "/",
    "lab": "/lab?topic=border-deployments&days=30&q="
    + quote('(battalion* OR "interior troops" OR suspend*) NEAR/20 (border OR strait OR @kolva)'),
}


def html_of(name: str, language: str = "en", *, style: bool = True) -> str:
    """Return a mail of the family, with its style block or as programs show it that drop that."""
    links = LINKS if name == "escalated" else replace(LINKS, acknowledge="")
    html = RENDERER.mail(MAILS[name], family.reader(language), SITE, links, AT).html
    return html if style else re.sub(r"<style>.*?</style>", "", html, flags=re.DOTALL)


def sheet(mails: Iterable[str], width: int) -> str:
    """Return a page of mails side by side, each in a frame of its own."""
    frames = "".join(f'<iframe srcdoc="{escape(html)}"></iframe>' for html in mails)
    style = (
        f"body{{margin:0;width:{ACROSS}px;display:flex;flex-wrap:wrap;align-items:flex-start;gap:12px;background:#777}}"
    )
    return f"<style>{style}iframe{{border:0;width:{width}px;height:10px}}</style>{frames}"


def take(browser: Browser, html: str, width: int, scheme: Scheme, path: Path, longest: int = 0) -> None:
    """Keep a picture of a page, at most `longest` pixels high where that is given."""
    page: Page = browser.new_page(viewport={"width": width, "height": 800}, color_scheme=scheme)
    page.set_content(html, wait_until="load")
    page.evaluate(
        "longest => document.querySelectorAll('iframe').forEach(e => {"
        " e.style.height = Math.min(e.contentDocument.documentElement.scrollHeight, longest) + 'px' })",
        LONGEST,
    )
    height = page.evaluate("document.documentElement.scrollHeight")
    clip = {"x": 0, "y": 0, "width": width, "height": min(height, longest or height)}
    page.screenshot(path=path, full_page=True, clip=clip)  # type: ignore[arg-type]  # it is a FloatRect
    page.close()
    shrink(path)


def desk(browser: Browser, folder: Path) -> None:
    """Keep pictures of pages of the desk, with the history of the tests' world."""
    with tempfile.TemporaryDirectory() as data, world(Path(data)) as made, serving(made.web()) as client:
        for file, address in PAGES.items():
            page = browser.new_page(viewport={"width": 1280, "height": 800})
            page.goto(f"http://127.0.0.1:{client.port}{address}")
            page.screenshot(path=folder / f"{file}.png", full_page=True)
            page.close()
            shrink(folder / f"{file}.png")


def demo(browser: Browser, folder: Path) -> None:
    """Keep a picture of a terminal with `monitor demo`, which takes a minute; what is in its middle is left out."""
    with tempfile.TemporaryDirectory() as data:
        command = [sys.executable, "-m", "monitor", "demo", "--out", "data/demo"]
        path = f"{PROJECT}{os.pathsep}{os.environ.get('PYTHONPATH', '')}"
        env = {**os.environ, "FORCE_COLOR": "1", "COLUMNS": "104", "PYTHONPATH": path}
        lines = subprocess.run(
            command, cwd=data, env=env, check=True, capture_output=True, text=True
        ).stdout.splitlines()
    end = next(number for number, line in enumerate(lines) if "What happened" in line)
    shown = [*lines[:30], "  …", *lines[end - 6 :]]
    console = Console(record=True, width=104, file=io.StringIO())
    console.print(Text.from_ansi("\n".join(shown)))
    svg = console.export_svg(title="make demo")
    page = browser.new_page(viewport={"width": 1240, "height": 800})
    page.set_content(f"<style>body{{margin:0}}svg{{width:1240px}}</style>{svg}", wait_until="load")
    page.locator("svg").first.screenshot(path=folder / "demo.png")
    page.close()
    shrink(folder / "demo.png")


def shrink(path: Path) -> None:
    """Have a picture take less room, where the program for that is installed."""
    if smaller := shutil.which("pngquant"):
        subprocess.run([smaller, "--force", "--ext", ".png", "--strip", "64", str(path)], check=True)


def main() -> None:
    """Make them all."""
    folder = Path(sys.argv[1]) if len(sys.argv) > 1 else PROJECT / "docs" / "images"
    for browser in launched():
        demo(browser, folder)
        desk(browser, folder)
        for file, (name, language, width, scheme) in SINGLE.items():
            take(browser, html_of(name, language), width, scheme, folder / f"{file}.png", LONGEST)
        for width in WIDTHS:
            for scheme in SCHEMES:
                mails = map(html_of, MAILS)
                take(browser, sheet(mails, width), ACROSS, scheme, folder / f"mails-{width}-{scheme}.png")
        bare = (html_of(name, style=False) for name in MAILS)
        take(browser, sheet(bare, 360), ACROSS, "dark", folder / "mails-360-without-style.png")


if __name__ == "__main__":
    main()
