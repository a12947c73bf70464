"""The frame around every page: templates/web through Jinja2, everything escaped.

The desk's pages are in English, as logs and commands are; those for readers are in the reader's language.
"""

from __future__ import annotations

from collections.abc import Iterator
from http import HTTPStatus

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from starlette.responses import HTMLResponse, Response, StreamingResponse

from monitor import __version__
from monitor.render import load_language, shipped

# status → (heading, what to do); the words follow "say what happened, what continues, what to do"
_REFUSALS = {
    401: (
        "This page is for the people who run the desk",
        "Give the token that stands under web in monitor.yaml. Programs send it as “Authorization: Bearer TOKEN”.",
    ),
    400: (
        "This form is not one of ours, or an old one",
        "Nothing was changed. Go back, load the page anew and try again.",
    ),
    403: (
        "This page is shown on its own machine only",
        "To open it to others, set a token under web in monitor.yaml.",
    ),
    404: ("There is no such page", "Check the address, or open the link in the mail again."),
    405: ("This address does not do that", "Open it in a browser as it stands in the mail."),
    429: ("Too many tries", "Nobody can come in with a token for a minute. Then try again."),
    408: ("The request did not arrive whole", "Nothing was changed. Try again."),
    413: ("Too much was sent", "This address takes 64 KB at most. Nothing was changed."),
    500: ("This page could not be made", "The cause is in the program’s log. Try again in a minute."),
    503: (
        "The database did not answer",
        "Only this page is affected, and your link goes on working. Try again in a minute.",
    ),
}


PART = "\x1e"  # the record separator, which no text on a page has


class Pages:
    """Makes the pages of one site; `site` is the operator's name for it."""

    def __init__(self, site: str) -> None:
        self._site = site
        self._environments: dict[str, Environment] = {}
        self._environment = self._in("en")

    def _in(self, tag: str) -> Environment:
        """The templates in a language; English where it has no words."""
        if tag not in self._environments:
            language = load_language(tag, [shipped("templates")])
            made = Environment(
                loader=FileSystemLoader(shipped("templates") / "web"),
                autoescape=True,  # every name on these pages is text that somebody else wrote
                undefined=StrictUndefined,
                trim_blocks=True,
                lstrip_blocks=True,
                extensions=["jinja2.ext.i18n"],
            )
            made.install_gettext_translations(language.translations, newstyle=True)  # type: ignore[attr-defined]  # the extension adds it
            made.globals.update(site=self._site, version=__version__, part=PART, language=language)
            self._environments[tag] = made
        return self._environments[tag]

    def use(self, **names: object) -> None:
        """Give all templates names; a function is a filter too."""
        self._environment.globals.update(names)
        self._environment.filters.update({name: one for name, one in names.items() if callable(one)})

    def prepare(self) -> None:
        """Compile all templates, which takes half a second in all: the first visitors would have to wait for it."""
        for name in self._environment.list_templates():
            self._environment.get_template(name)

    def page(self, path: str, template: str, status: int = 200, **values: object) -> HTMLResponse:
        """Render `template` (without `.html.j2`) for the request's `path`.

        Links within are relative (`up` leads to the root), so that a proxy may put the site under a prefix.
        """
        up = "../" * (path.count("/") - 1)
        source = self._environment.get_template(f"{template}.html.j2")
        return HTMLResponse(source.render(up=up, **values), status_code=status)

    def reader(self, path: str, template: str, language: str, status: int = 200, **values: object) -> HTMLResponse:
        """Render a page as `page` does, in a reader's language."""
        up = "../" * (path.count("/") - 1)
        source = self._in(language).get_template(f"{template}.html.j2")
        return HTMLResponse(source.render(up=up, **values), status_code=status)

    def stream(self, path: str, template: str, **values: object) -> Response:
        """Render `template` as `page` does, and send what there is wherever it has a PART."""
        parts = self.parts(template, up="../" * (path.count("/") - 1), **values)
        return StreamingResponse(parts, media_type="text/html; charset=utf-8")

    def parts(self, template: str, **values: object) -> Iterator[str]:
        """Yield a page in parts: up to each PART, which itself is left out, and at the end the rest."""
        held: list[str] = []
        for piece in self._environment.get_template(f"{template}.html.j2").generate(**values):
            before, part, after = piece.rpartition(PART)
            held.append(before.replace(PART, ""))
            if part:
                yield "".join(held)
                held = []
            held.append(after)
        yield "".join(held)

    def document(self, path: str, template: str, kind: str, **values: object) -> Response:
        """Render `template` (without `.j2`) as a document of another kind than a page."""
        text = self._environment.get_template(f"{template}.j2").render(up="../" * (path.count("/") - 1), **values)
        return Response(text, media_type=kind)

    def refusal(self, path: str, status: int) -> HTMLResponse:
        """The page for an error `status`: what happened and what to do."""
        heading, remedy = _REFUSALS.get(status, (HTTPStatus(status).phrase, "Check the address."))
        return self.page(path, "refusal", status, heading=heading, remedy=remedy, asks=status == 401, to=path)


def page_at(skip: str) -> int:
    """Return the number of the first row that an address asks for; 0 where it says none."""
    return int(skip) if skip.isascii() and skip.isdecimal() and len(skip) < 8 else 0
