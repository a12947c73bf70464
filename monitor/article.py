"""A page → its text. The only importer of trafilatura. Pure; slow on hostile input, so call it in a worker."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from monitor.text import clean, words
from monitor.urls import resolve

PAGE_LIMIT = 5_000_000  # bytes; no article's page is longer
PAGE_TYPES = "text/html,application/xhtml+xml"
TITLE_LIMIT = 1_000  # characters
TEXT_LIMIT = 200_000
TEASER = 1_500  # characters; what walls leave of an article is shorter
ABOUT = 0.2  # of a headline's long words; of 90 real pages one has fewer of its own, and of others' pages 85 % have
LONG = 4  # characters
COOKIES = 0.05  # of a text's words: with so many of `_COOKIE_WORD` it is about nothing else

# JSON-LD says `false` in many spellings; microdata and meta elements say it in an attribute after the name.
_NOT_FREE = re.compile(
    rb"""["']isAccessibleForFree["']\s{0,9}(?::|content=|>)\s{0,9}\\?["']?(?:https?://schema\.org/)?(?:false|no)\b"""
    rb"""|["']article:content_tier["']\s{1,9}content=["']locked\b""",
    re.IGNORECASE,
)
# What stands where an article breaks off. Free pages hide it in their markup, so it counts beside a teaser only.
_SUBSCRIBE = re.compile(
    r"to (?:continue|keep) reading|to read (?:the full|the rest of|this) (?:story|article)|subscribers? only"
    r"|exclusive to (?:our )?subscribers|already a subscriber|subscribe (?:now )?to (?:read|unlock)"
    r"|unlock this (?:story|article)|you(?:'|’)ve (?:reached|read) your (?:limit|last)|remaining free articles"
    r"|nur für abonnenten|mit (?:plus|abo|premium) weiterlesen|jetzt weiterlesen|bereits abonnent|um weiterzulesen"
    r"|réservée? (?:à nos|aux) abonnés|déjà abonnée?|pour lire la suite|la suite est réservée"
    r"|(?:exclusivo|solo|sólo) para suscriptores|para seguir leyendo|suscríbete para|ya eres suscriptor"
    r"|riservato agli abbonati|per continuare a leggere|sei già abbonato"
    r"|exclusivo para assinantes|para continuar lendo|já é assinante|voor abonnees|lees verder met|al abonnee"
    r"|dla (?:pre)?numeratorów|czytaj dalej z|tylko dla subskrybentów|по подписке|только для подписчиков"
    r"|会員限定|続きを読むには|有料会員|구독자 전용|订阅后继续阅读|付费内容|للمشتركين فقط",
    re.IGNORECASE,
)
_COOKIE_WORD = re.compile(
    r"cookies?|consent\w*|gdpr|partners?|privacy|personal data|einwilligung\w*|zustimm\w*|datenschutz\w*"
    r"|consentement|accepter|confidentialité|consentimiento|aceptar|privacidad|consenso|toestemming|zgod\w+",
    re.IGNORECASE,
)
# Asked of a program where an article was wanted, with a status of 200.
_CHECK = re.compile(
    r"enable javascript and cookies|(?:verify|confirm) (?:that )?you are (?:a )?human|are you a robot"
    r"|you(?:'|’)re not a robot|unusual (?:traffic|activity) from your|checking your browser|just a moment\.\.\.",
    re.IGNORECASE,
)
_HIDDEN = "self::script or self::style or self::noscript or self::template"
_PUBLISHED = re.compile(rb'"datePublished"\s{0,9}:\s{0,9}"([0-9TZ:.+-]{10,35})"')
_LANGUAGE = re.compile(r"[A-Za-z]{2,3}(?:[-_][A-Za-z0-9]{2,8}){0,3}")


@dataclass(frozen=True, slots=True)
class Article:
    """What a page says. `published` is the page's own word for it, ISO 8601 in UTC where it gives a time of day, else a
    date; `paywalled` when it says that it is not free, and `text` then what it shows all the same. What is not known is
    empty, and so is the text where a cookie wall or a check for robots stands in its place.
    """

    title: str = ""
    text: str = ""
    published: str = ""
    language: str = ""
    canonical_url: str = ""
    paywalled: bool = False


def extract(html: bytes, url: str = "") -> Article:
    """Return the article in a page, an empty one when there is none. `url` is its address, for relative links."""
    try:
        return _extract(html, url)
    except Exception:  # noqa: BLE001 - lxml and trafilatura raise anything on hostile pages; a bad page has no article
        return Article()


def is_about(article: Article, headline: str) -> bool:
    """Whether an article may be the story of a headline: an address may lead to a front page or to an apology."""
    wanted = {word.folded for word in words(headline) if len(word.folded) >= LONG}
    has = {word.folded for word in words(f"{article.title} {article.text}")}
    return len(wanted & has) >= ABOUT * len(wanted)


def _extract(html: bytes, url: str) -> Article:
    import trafilatura

    tree = trafilatura.load_html(html)
    if tree is None:
        return Article()
    # Before trafilatura takes the tree apart.
    said = _time(html, tree)
    language = _language(tree)
    canonical = resolve(url, _first(tree, "//link[@rel='canonical']/@href"))
    shown = _shown(tree)
    found = trafilatura.bare_extraction(
        tree, url=url or None, fast=True, include_comments=False, include_tables=False, with_metadata=True
    )
    facts: dict[str, Any] = {} if found is None else found.as_dict()
    text = clean(str(facts.get("text") or ""))[:TEXT_LIMIT]
    return Article(
        clean(str(facts.get("title") or ""))[:TITLE_LIMIT],
        "" if _is_wall(text, shown) else text,
        said or clean(str(facts.get("date") or "")),
        language,
        canonical,
        bool(_NOT_FREE.search(html)) or (len(text) <= TEASER and bool(_SUBSCRIBE.search(shown))),
    )


def _shown(tree: Any) -> str:
    """Return the beginning of the text that a page shows, as far as its markup says."""
    parts = tree.xpath(f"//body//text()[not(ancestor::*[{_HIDDEN}])]")
    return " ".join(" ".join(parts)[:TEXT_LIMIT].split())


def _is_wall(text: str, shown: str) -> bool:
    """Whether the text of a page is a cookie wall's, or a check for robots; neither is long."""
    if len(text) > 2 * TEASER:
        return False
    if len(shown) <= TEASER and _CHECK.search(shown):
        return True
    found = [word.lower() for word in _COOKIE_WORD.findall(text)]
    return len(set(found)) >= 3 and len(found) > COOKIES * len(text.split())


def _first(tree: Any, path: str) -> str:
    return next((str(value).strip() for value in tree.xpath(path)), "")


def _time(html: bytes, tree: Any) -> str:
    """Return when the page says that it was published (Open Graph, else JSON-LD), "" without a time of day."""
    ours = _PUBLISHED.search(html)
    for text in (_first(tree, "//meta[@property='article:published_time']/@content"), ours and ours[1].decode()):
        try:
            found = datetime.fromisoformat(text or "")
        except ValueError:
            continue
        if found.tzinfo is not None:
            return f"{found.astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}"
    return ""


def _language(tree: Any) -> str:
    for path in ("/html/@lang", "//meta[@property='og:locale']/@content"):
        said = _first(tree, path)
        if _LANGUAGE.fullmatch(said):
            return said.replace("_", "-")
    return ""
