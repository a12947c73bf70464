"""Messages in the reader's language: complete catalogs, nothing left in English, numbers and dates as readers write."""

from __future__ import annotations

import re
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from babel.messages.catalog import Catalog
from babel.messages.pofile import write_po

from monitor.config import Rate
from monitor.dispatch import Digest
from monitor.errors import RenderError
from monitor.render import Renderer, shipped
from monitor.render.escape import columns
from monitor.render.language import load_language
from tests import catalogs, family
from tests.family import AT, FAMILY, LINKS, NO_LINKS, RENDERER, SITE
from tests.test_render import find_texts, visible

FOLDERS = [shipped("templates")]
TRANSLATED = [code for code in family.LANGUAGES if code != "en"]
_PLACEHOLDER = re.compile(r"%\(\w+\)s")


def forms(text: str | tuple[str, ...] | list[str] | None) -> list[str]:
    return [text] if isinstance(text, str) else list(text or ())


def test_there_is_a_catalog_for_each_language_and_no_other() -> None:
    assert sorted(path.stem for path in catalogs.LOCALE.glob("*.po")) == sorted(TRANSLATED)


@pytest.mark.parametrize("code", TRANSLATED)
def test_a_catalog_says_all_that_the_templates_say_with_the_same_placeholders(code: str) -> None:
    wanted = {str(message.id) for message in catalogs.extracted() if message.id}
    catalog = catalogs.read(catalogs.LOCALE / f"{code}.po")
    found = {str(message.id): message for message in catalog if message.id}
    assert wanted == set(found), "run `python -m tests.catalogs`"
    assert not catalog.obsolete
    for message in found.values():
        assert not message.fuzzy, message.id
        original, translated = forms(message.id), forms(message.string)
        assert len(translated) == (catalog.num_plurals if message.pluralizable else 1), message.id
        places = set(_PLACEHOLDER.findall(original[-1]))
        for index, text in enumerate(translated):
            assert text.strip(), message.id
            own = set(_PLACEHOLDER.findall(text))
            # Arabic has words for one and two of a thing, which say the number themselves.
            if message.pluralizable and code == "ar" and index in (1, 2):
                own |= {"%(num)s"}
            assert own == places, (message.id, text)


def test_arabic_has_six_forms_of_a_plural() -> None:
    arabic = load_language("ar", FOLDERS).translations
    said = [arabic.ungettext("%(num)s source", "%(num)s sources", n) for n in (0, 1, 2, 3, 11, 100)]
    assert said == ["%(num)s مصدر", "مصدر واحد", "مصدران", "%(num)s مصادر", "%(num)s مصدرًا", "%(num)s مصدر"]
    assert arabic.ungettext("%(num)s source", "%(num)s sources", 110) == said[3]
    assert arabic.ungettext("%(num)s source", "%(num)s sources", 119) == said[4]


def test_numbers_dates_lists_and_lengths_of_time_are_the_languages_own() -> None:
    at = datetime(2026, 11, 24, 9, 5, tzinfo=UTC)
    written = {}
    for code in family.LANGUAGES:
        language = load_language(code, FOLDERS)
        written[code] = (
            language.number(12345),
            language.number(3.14),
            language.date(at),
            language.moment(at, at + timedelta(days=3)),
            language.series(["a", "b", "c"]),
            language.series("abcdefg", 2),
            language.span(timedelta(days=2)),
            language.quote("a"),
        )
    assert written == {
        "en": ("12,345", "3.1", "24 November", "Tuesday 09:05", "a, b and c", "a, b and 5 more", "2 days", "“a”"),
        "es": ("12.345", "3,1", "24 de noviembre", "martes 09:05", "a, b y c", "a, b y 5 más", "2 días", "«a»"),
        "fr": ("12\u202f345", "3,1", "24 novembre", "mardi 09:05", "a, b et c", "a, b et 5 autres", "2\xa0jours",
               "«\xa0a\xa0»"),
        "de": ("12.345", "3,1", "24. November", "Dienstag 09:05", "a, b und c", "a, b und 5 weitere", "2 Tage", "„a“"),
        "ar": ("12,345", "3.1", "24 نوفمبر", "الثلاثاء 09:05", "a وb وc", "a وb و5 أخرى", "يومان", "«\u2068a\u2069»"),
    }  # fmt: skip
    lengths = [
        [" ".join(load_language(code, FOLDERS).exactly(timedelta(seconds=n)).split()) for n in (90, 6000, 36 * 3600)]
        for code in ("en", "fr", "ar")
    ]
    assert lengths == [
        ["90 seconds", "100 minutes", "36 hours"],
        ["90 secondes", "100 minutes", "36 heures"],
        ["90 ثانية", "100 دقيقة", "36 ساعة"],
    ]
    assert load_language("en", FOLDERS).date(at, at.replace(year=2027)) == "24 November 2026"
    assert load_language("en-us", FOLDERS).date(at) == "November 24"


@pytest.mark.parametrize(
    ("tag", "code"), [("es-mx", "es"), ("FR", "fr"), ("pt-br", "en"), ("", "en"), ("x", "en"), ("../ar", "en")]
)
def test_a_language_without_catalog_is_english_and_one_of_a_country_is_the_languages(tag: str, code: str) -> None:
    assert load_language(tag, FOLDERS).code == code
    assert f'<html lang="{code}"' in RENDERER.mail(FAMILY["empty"], family.reader(tag), SITE, LINKS).html


def neutral(digest: Any) -> Any:
    return family.reworded(digest, "水水水水")


def spoken() -> list[family.Value]:
    """Messages that together say every fixed word, with nothing of anybody else's in Latin letters."""
    values = [*FAMILY.values(), family.every_change(), family.every_other_change(), family.every_count()]
    summary = FAMILY["summary"]
    assert isinstance(summary, Digest)
    values += [replace(summary, limit=Rate(1, per)) for per in (60.0, 86400.0, 7.0)]
    values += [replace(summary, limit=None), replace(summary, since=AT - timedelta(minutes=5))]
    values += [replace(summary, summary=False, since=AT - timedelta(days=n)) for n in (3, 30)]
    edited = replace(family.KOLVA, title="", source="", url="", edited=True, page=True)
    values.append(family.alert(edited, news=family.every_change().news[:1]))
    values.append(family.digest(*(family.section("border", replace(family.FOG, id=n)) for n in range(60))))
    spike = FAMILY["spike"]
    values.append(replace(spike, usual=None))  # type: ignore[arg-type]  # it is a VolumeAlert
    nameless = neutral(family.alert(edited))
    nameless = replace(nameless, story=replace(nameless.story, title="", source="", url=""))
    return [*map(neutral, values), nameless]


@pytest.fixture(scope="module")
def pseudo(tmp_path_factory: pytest.TempPathFactory) -> Renderer:
    """A renderer for a language whose every message is without Latin letters, in a locale whose names have none."""
    folder = tmp_path_factory.mktemp("templates")
    (folder / "locale").mkdir()
    catalog = Catalog(locale="ru")
    for message in catalogs.extracted():
        if message.id:
            turned = [re.sub(r"(%\(\w+\)s)|[A-Za-z]", lambda m: m[1] or "я", text) for text in forms(message.id)]
            string = (*turned, turned[-1]) if message.pluralizable else turned[0]
            catalog.add(message.id, string)
    with (folder / "locale" / "ru.po").open("wb") as file:
        write_po(file, catalog)
    return Renderer(folder)


def test_no_fixed_word_stays_in_english(pseudo: Renderer) -> None:
    site = replace(SITE, name="水", version="1")
    reader = replace(family.reader("ru"), title="水")
    for value in spoken():
        for links in (LINKS, NO_LINKS):
            message = pseudo.mail(value, reader, site, links, AT)
            slack = pseudo.slack(value, reader, site, links, AT)
            body = pseudo.plain(value, reader, site, links, AT)
            labels = re.findall(r'(?:aria-label|title)="([^"]*)"', message.html)
            hidden = message.html.partition("mso-hide:all;")[2].partition("</div>")[0].partition("&#847;")[0]
            said = [message.subject, message.text, visible(message.html), hidden, *labels, slack.text, body.title,
                    body.body, *find_texts(slack.blocks)]  # fmt: skip
            for text in said:
                foreign = re.sub(
                    r"https?:/?\u200b?/[^\s|>]+|[\w.\u200b-]+\u200b?example\b|America/Los_Angeles|^Re:|&\w+;", "", text
                )
                foreign = foreign.replace("News Monitor", "") if value == neutral(FAMILY["notice"]) else foreign
                assert not re.search("[A-Za-z]", foreign), foreign


@pytest.mark.parametrize("name", FAMILY)
def test_an_arabic_mail_runs_from_the_right_and_isolates_what_does_not(name: str) -> None:
    message = RENDERER.mail(FAMILY[name], family.reader("ar"), SITE, LINKS, AT)
    assert '<html lang="ar" dir="rtl"' in message.html
    assert 'role="article" aria-roledescription="email"' in message.html
    assert message.html.count('lang="ar" dir="rtl"') >= 2
    for line in message.text.splitlines():
        assert line.count("\u2068") == line.count("\u2069"), line
        assert columns(line) <= 72 or "https://" in line, line
        if re.search("[\u0600-\u06ff]", line):
            assert line.startswith("\u200f"), line
    # A headline from the left says so, and stands at the reader's side.
    if name == "digest":
        assert '<h3 class="t" lang="en" dir="ltr"' in message.html
        assert '<h3 class="t" lang="ar" dir="rtl"' in message.html
        assert "text-align:right;" in message.html


def test_a_mail_is_said_in_each_language() -> None:
    subjects = {c: RENDERER.mail(FAMILY["digest"], family.reader(c), SITE, LINKS).subject for c in family.LANGUAGES}
    assert {code: subject.partition(":")[0] for code, subject in subjects.items()} == {
        "en": "16 events on 4 topics",
        "es": "16 hechos sobre 4 temas",
        "fr": "16 événements sur 4 sujets ",
        "de": "16 Ereignisse zu 4 Themen",
        "ar": "16 حدثًا في 4 مواضيع",
    }
    for code in family.LANGUAGES:
        value = FAMILY["update"]
        assert RENDERER.slack(value, family.reader(code), SITE, LINKS, AT).text.startswith("Re: Border deployments")


def test_an_operators_catalog_adds_a_language_and_a_broken_one_is_named(tmp_path: Path) -> None:
    (tmp_path / "locale").mkdir()
    catalog = Catalog(locale="it")
    catalog.add("Unsubscribe", "Disiscriviti")
    with (tmp_path / "locale" / "it.po").open("wb") as file:
        write_po(file, catalog)
    (tmp_path / "locale" / "pl.po").write_bytes(b'msgid "a"\nmsgstr "\xff"')
    renderer = Renderer(tmp_path)
    message = renderer.mail(FAMILY["digest"], family.reader("it"), SITE, LINKS)
    assert "Disiscriviti" in message.text
    assert "Change topics or times" in message.text
    assert "martedì 24 novembre" in message.text
    with pytest.raises(RenderError, match="catalog of the language pl"):
        renderer.mail(FAMILY["digest"], family.reader("pl"), SITE, LINKS)
