"""The messages' catalogs: what the templates say, and what each language says for it.

`python -m tests.catalogs` brings every `templates/locale/*.po` up to date with the templates: new messages come in
empty, ones whose words changed are marked fuzzy, ones that are gone are dropped.
"""

from __future__ import annotations

from pathlib import Path

from babel.messages.catalog import Catalog
from babel.messages.extract import extract_from_dir
from babel.messages.pofile import read_po, write_po

TEMPLATES = Path(__file__).resolve().parent.parent / "templates"
LOCALE = TEMPLATES / "locale"
_METHODS = [("**.j2", "jinja2.ext:babel_extract")]
_OPTIONS = {"**.j2": {"extensions": "jinja2.ext.i18n", "trim_blocks": "true", "lstrip_blocks": "true"}}
_KEYWORDS = {"_": None, "ngettext": (1, 2)}


def extracted() -> Catalog:
    """Return what the templates of messages say."""
    catalog = Catalog(project="News Monitor", fuzzy=False)
    found = extract_from_dir(TEMPLATES, _METHODS, _OPTIONS, _KEYWORDS, strip_comment_tags=True)
    for _, _, message, _, _ in found:
        catalog.add(message)
    return catalog


def read(path: Path) -> Catalog:
    """Return a language's catalog."""
    with path.open("rb") as file:
        return read_po(file, locale=path.stem, abort_invalid=True)


def update() -> None:
    """Bring every language's catalog up to date with the templates."""
    template = extracted()
    for path in sorted(LOCALE.glob("*.po")):
        catalog = read(path)
        catalog.update(template)
        catalog.obsolete.clear()
        with path.open("wb") as file:
            write_po(file, catalog, width=120, omit_header=False, sort_output=True, include_previous=False)


if __name__ == "__main__":
    update()
