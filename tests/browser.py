"""What tests in a real browser share: Chromium, a page that notes what it says, axe, the keyboard."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib import resources
from pathlib import Path
from typing import Any, Literal

import pytest
from playwright.sync_api import Browser, BrowserContext, ConsoleMessage, Dialog, Page, Request, sync_playwright

AXE = (resources.files("axe_playwright_python") / "axe.min.js").read_text(encoding="utf-8")
RULES = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]
Scheme = Literal["light", "dark"]
SCHEMES: tuple[Scheme, ...] = ("light", "dark")
WIDTHS = (1280, 390)
SIZES = (320, 360, 390, 640, 768, 1024, 1280)  # 640: 1280 at a zoom of 200 %

WORD = "Donaudampfschifffahrtselektrizitätenhauptbetriebswerkbauunterbeamtengesellschaft"
LONG_NAME = "Deployments of every kind of force at any border of any land"
assert (len(WORD), len(LONG_NAME)) == (80, 60)
RUN = "document.title='run'"  # by which a page shows that it did what a publisher wrote

# What reaches beyond the screen so that one has to scroll sideways.
BEYOND = """() => {
  const over = document.documentElement.scrollWidth - document.documentElement.clientWidth;
  const wide = [...document.body.querySelectorAll('*')].filter(e => e.getBoundingClientRect().right > innerWidth + 1);
  return over > 0 ? [`${over} px`, ...wide.slice(0, 4).map(e => e.outerHTML.slice(0, 120))] : [];
}"""
# Elements that none of our templates writes, or that could act or lead elsewhere by themselves.
ALIVE = """() => {
  const ours = new Set(('html head meta title link body a header div span svg path rect line bdi nav p main section'
    + ' article h1 h2 h3 ul ol li form input label button select option optgroup textarea fieldset legend table thead'
    + ' tbody tr th td small details summary pre mark sup dl dt dd figure figcaption cite b br code iframe footer time')
    .split(' '));
  const here = url => new URL(url, location).origin === location.origin;
  const alive = e => !ours.has(e.localName)
    || [...e.attributes].some(a => /^on|^(data|hx)-|^(style|srcdoc|formaction|ping|poster)$/i.test(a.name))
    || (e.hasAttribute('href') && !/^https?:$/.test(new URL(e.getAttribute('href'), location).protocol))
    || ['src', 'action'].some(name => e.hasAttribute(name) && !here(e.getAttribute(name)))
    || (e.localName === 'iframe' && !e.hasAttribute('sandbox'))
    || (['link', 'meta'].includes(e.localName) && !document.head.contains(e));
  return [...document.querySelectorAll('*')].filter(alive).map(e => e.outerHTML.slice(0, 120));
}"""


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
    """A page in a context of its own; `said` is what it wrote to the console, `asked` what it wanted from elsewhere.

    That a page came with an error's status, as the browser notes too, is not of the page's saying.
    """

    def __init__(self, context: BrowserContext) -> None:
        self.said: list[str] = []
        self.asked: list[str] = []
        self._pages: set[str] = set()
        self.page: Page = context.new_page()
        self.page.set_default_timeout(20_000)
        self.page.on("console", self._console)
        self.page.on("pageerror", lambda error: self.said.append(str(error)))
        self.page.on("request", self._request)
        self.page.on("dialog", self._dismiss)

    def _console(self, message: ConsoleMessage) -> None:
        if message.location.get("url") not in self._pages or "status of" not in message.text:
            self.said.append(message.text)

    def _request(self, request: Request) -> None:
        self.asked.append(request.url)
        if request.is_navigation_request():
            self._pages.add(request.url)

    def _dismiss(self, dialog: Dialog) -> None:
        self.said.append(dialog.message)
        dialog.dismiss()


@contextmanager
def visiting(browser: Browser, **options: Any) -> Iterator[Visit]:
    """Yield a page in a context with these options."""
    context = browser.new_context(**{"viewport": {"width": 1280, "height": 900}, **options})
    yield Visit(context)
    context.close()


def violations(page: Page, rules: list[str], kind: str) -> list[str]:
    """What axe finds, one line each. It loads no style sheet by itself, which the pages' policy forbids."""
    options = {"preload": False, "runOnly": {"type": kind, "values": rules}, "resultTypes": ["violations"]}
    if not page.evaluate("typeof axe === 'object'"):
        page.evaluate(f"() => {{ {AXE} }}")
    found: dict[str, Any] = page.evaluate("options => axe.run(document, options)", options)
    return [
        f"{one['id']}: {node['html'][:150]} {node['failureSummary'][:150]}"
        for one in found["violations"]
        for node in one["nodes"][:3]
    ]


def faults(visit: Visit, name: str, widths: Sequence[int] = WIDTHS, schemes: Sequence[Scheme] = SCHEMES) -> list[str]:
    """What is wrong with the page that is open: by axe at these widths and in these schemes, of which only colours
    differ, by its width on every screen, by elements that are not ours, and by what it said.
    """
    page = visit.page
    found = [f"not ours: {one}" for one in page.evaluate(ALIVE)]
    for width in widths:
        page.set_viewport_size({"width": width, "height": 900})
        for scheme in schemes:
            page.emulate_media(color_scheme=scheme)
            picture(page, f"{name}-{width}-{scheme}")
            rules, kind = (RULES, "tag") if scheme == "light" else (["color-contrast"], "rule")
            found += [f"{width} {scheme}: {one}" for one in violations(page, rules, kind)]
    page.emulate_media(color_scheme="light")
    found += too_wide(page)
    found += visit.said
    visit.said.clear()
    return found


def too_wide(page: Page) -> list[str]:
    """On which screens the page that is open has to be scrolled sideways."""
    found = []
    for width in SIZES:
        page.set_viewport_size({"width": width, "height": 900})
        found += [f"wider than {width}: {one}" for one in beyond(page)]
    return found


def beyond(page: Page) -> list[str]:
    """What of the page that is open reaches beyond the screen, and how far."""
    found: list[str] = page.evaluate(BEYOND)
    return found


def contrast(*colours: Sequence[int]) -> float:
    """The contrast of two colours, each red, green and blue up to 255 (WCAG 2.2)."""
    light, dark = sorted((_luminance(colour) for colour in colours), reverse=True)
    return (light + 0.05) / (dark + 0.05)


def _luminance(colour: Sequence[int]) -> float:
    parts = [part / 255 for part in colour]
    red, green, blue = (part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def picture(page: Page, name: str) -> None:
    if folder := os.environ.get("MONITOR_TEST_PICTURES"):
        page.screenshot(path=str(Path(folder) / f"{name}.png"), full_page=True)


def tab_to(page: Page, wanted: str, most: int = 80, key: str = "Tab") -> None:
    """Press Tab until the element has the focus."""
    target = page.locator(wanted).first.element_handle()
    for _ in range(most):
        if page.evaluate("element => document.activeElement === element", target):
            return
        page.keyboard.press(key)
    raise AssertionError(f"{wanted} cannot be reached with the keyboard")


# What can be used and is seen; of the buttons of one choice, one is stopped at.
_USABLE = """() => {
  const all = [...document.querySelectorAll(
    'a[href], button, input:not([type=hidden]), select, textarea, summary, [tabindex="0"]')];
  const seen = all.filter(e => e.checkVisibility() && !e.disabled);
  const group = e => e.type === 'radio' ? seen.filter(one => one.type === 'radio' && one.name === e.name) : [e];
  window.usable = new Set(seen.filter(e => (group(e).find(one => one.checked) || group(e)[0]) === e));
  return window.usable.size;
}"""
_STOP = """() => {
  const e = document.activeElement, s = getComputedStyle(e), r = e.getBoundingClientRect();
  const fresh = window.usable.delete(e);
  const shown = s.outlineStyle !== 'none' && parseFloat(s.outlineWidth) >= 2;
  const inside = r.bottom > 0 && r.top < innerHeight && r.right > 0 && r.left < innerWidth;
  return [e === document.body, fresh, shown && inside ? '' : e.outerHTML.slice(0, 120)];
}"""


def unreached(page: Page) -> list[str]:
    """Go through a page with Tab; return what is not stopped at, and where the focus is not seen."""
    most, hidden = page.evaluate(_USABLE), []
    assert most
    for _ in range(4 * most):  # a field for a time has several stops
        page.keyboard.press("Tab")
        outside, _, unseen = page.evaluate(_STOP)
        if outside:
            break
        hidden += [f"the focus is not seen on {unseen}"] if unseen else []
    left: list[str] = page.evaluate("[...window.usable].map(e => e.outerHTML.slice(0, 120))")
    return hidden + [f"not reached: {one}" for one in left]
