"""One of each message: what tests, pictures and checks of the whole family go through."""

from __future__ import annotations

from dataclasses import fields, is_dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from monitor.config import Rate
from monitor.dispatch import (
    Alert,
    Change,
    Confirmation,
    Digest,
    DigestSection,
    Notice,
    Opening,
    Report,
    StoryView,
    TopicRef,
    Unacknowledged,
    VolumeAlert,
)
from monitor.render import Links, Reader, Renderer, Site
from monitor.text import Evidence

Value = Alert | Digest | VolumeAlert | Notice
RENDERER = Renderer()  # one for all tests, since each compiles the templates for every language
LANGUAGES = ("en", "es", "fr", "de", "ar")

AT = datetime(2026, 11, 24, 15, 12, tzinfo=UTC)  # Tuesday 07:12 in Los Angeles
SITE = Site("Corvid risk desk", "https://desk.corvid.example", "Corvid risk desk <news@corvid.example>", "0.1")
READER = Reader("ines", "Ines Okafor", ZoneInfo("America/Los_Angeles"), "en")
TOPICS = {
    name: TopicRef(name, title, severity)
    for name, title, severity in (
        ("border", "Border deployments", "high"),
        ("election", "Ostrel election disputes", "normal"),
        ("vessels", "Sanctioned vessels", "normal"),
        ("strait", "Sarn Strait disruption", "normal"),
        ("grain", "Grain exports", "low"),
    )
}
LINKS = Links(
    "https://desk.corvid.example/u/tok",
    {name: f"https://desk.corvid.example/u/{name}" for name in TOPICS},
    "https://desk.corvid.example/s/tok",
    "https://desk.corvid.example/a/tok",
)
NO_LINKS = Links("", {}, "")


def marked(field: str, text: str, *terms: str) -> tuple[Evidence, ...]:
    """The places of `terms` in `text`."""
    return tuple(Evidence(field, text.index(t), text.index(t) + len(t), t) for t in terms if t in text)


def story(title: str, snippet: str = "", *terms: str, source: str = "Northern Wire", **changes: Any) -> StoryView:
    """A story whose `terms` matched where its headline and snippet have them."""
    values: dict[str, Any] = {
        "id": 1, "event_id": 7, "title": title, "snippet": snippet, "source": source, "language": "en", "at": AT,
        "url": f"https://{source.lower().replace(' ', '')}.example/2026/11/24/story",
        "evidence": marked("title", title, *terms) + marked("snippet", snippet, *terms),
    }  # fmt: skip
    return StoryView(**values | changes)


def before(hours: float) -> datetime:
    """A time before AT."""
    return AT - timedelta(hours=hours)


def report(title: str, source: str, hours: float) -> Report:
    """Another outlet's report, `hours` before AT."""
    return Report(title, f"https://{source.lower().replace(' ', '')}.example/report", source, before(hours))


KOLVA = story(
    "Varkan interior troops take over two Kolva river crossings",
    "Two battalions of interior troops took control of the Lower Kolva crossing before dawn on Tuesday, three days "
    "after talks on the frontier timetable broke down.",
    "battalions", "interior troops", "Lower Kolva crossing", "frontier",
    at=before(6), latest=before(0.75),
    others=("Halden Courier", "Delta Post", "Kestrel Daily", "Sarn Radio", "Continental Desk", "Harbour Ledger",
            "Teln Gazette", "Ostrel Today"),
    reports=(
        report("Kolva bridges closed to trucks as battalion moves in", "Delta Post", 5.7),
        report("Soldiers in grey replace customs officers at Lower Kolva", "Halden Courier", 5.5),
        report("Troops at the crossing: what residents saw", "Kestrel Daily", 4),
        report("Varka says river posts are part of a planned exercise", "Sarn Radio", 0.75),
    ),
)  # fmt: skip
ENGINEERS = story(
    "Ostrel calls up engineers to strengthen its side of the frontier",
    "Reserve engineers were told to report to three frontier depots, the first call-up since the spring floods.",
    "frontier",
    id=2, source="Halden Courier", at=before(2.5), others=("Northern Wire", "Delta Post", "Kestrel Daily"),
)  # fmt: skip
FARMERS = story("Farmers near Teln told to leave fields as trench work starts", id=3, source="Delta Post",
                at=before(3.9), others=("Kestrel Daily",))  # fmt: skip
RECOUNT = story(
    "Ostrel electoral court orders recount in two river districts",
    "Judges in Ostrel ordered a recount of 41,000 ballots in the Teln and Marn districts, citing seals that did not "
    "match the register.",
    "Ostrel", "recount", "ballots",
    id=4, source="Electoral court of Ostrel", at=before(6.7),
    others=("Northern Wire", "Delta Post", "Kestrel Daily", "Halden Courier", "Sarn Radio", "Ostrel Today"),
)  # fmt: skip
LARK = story(
    "Port Halden detains tanker Ardent Lark over forged registry papers",
    "Harbour inspectors detained the Ardent Lark on Tuesday morning after its certificate number matched a ship "
    "scrapped four years ago.",
    "detained", "Ardent Lark",
    id=5, source="Harbour Ledger", at=before(20), others=("Halden Courier", "Northern Wire"),
)  # fmt: skip
ARABIC = story("قوات فاركان تسيطر على معبرين على نهر كولفا", "سيطرت كتيبتان من قوات الداخلية على المعبر قبل الفجر.",
               "قوات",
               id=6, source="صوت سارن", url="https://sarnvoice.example/6", language="ar", at=before(5),
               others=("Sarn Radio",))  # fmt: skip
CHINESE = story("瓦尔坎内卫部队接管科尔瓦河两处渡口", "两个营的内卫部队在黎明前控制了渡口。", "部队",
                id=7, source="大陆日报", url="https://continental.example/7", language="zh", at=before(4))  # fmt: skip
FOG = story("Two coasters wait out fog at the strait’s northern mouth", id=8, source="Continental Desk", at=before(5.4))


def alert(view: StoryView = KOLVA, *topics: str, **changes: Any) -> Alert:
    """An alert of one story."""
    return Alert("ines", "mail", tuple(TOPICS[name] for name in topics or ("border",)), view, **changes)


def section(
    topic: str, *stories: StoryView, total: int = 0, more: int = 0, usual: float | None = None
) -> DigestSection:
    """A topic of a digest."""
    return DigestSection(TOPICS[topic], stories, total or len(stories) + more, more, usual)


def digest(*sections: DigestSection, quiet: tuple[str, ...] = (), **changes: Any) -> Digest:
    """A digest of one day."""
    silent = tuple(TOPICS[name] for name in quiet)
    return Digest("ines", "mail", before(24), AT, "2026-11-24", sections, silent, **changes)


SECTIONS = (
    section("border", KOLVA, ENGINEERS, FARMERS, ARABIC, CHINESE, total=38, more=6, usual=12.2),
    section("election", RECOUNT, total=14, more=2, usual=11),
    section("vessels", LARK, total=11, usual=16.5),
    section("strait", FOG),
)
FAMILY: dict[str, Value] = {
    "alert": alert(entities=("Kolva River",)),
    "alert-held": alert(held_since=before(5.9)),
    "escalated": alert(unacknowledged=Unacknowledged(("Ruth Whitcombe", "Omar"), 900.0)),
    "update": alert(
        news=(
            Change("sources", "9", "4"),
            Change("fact", "31", "14", "dead"),
            Change("fact", "4", about="arrested"),
            Change("correction", "Northern Wire"),
        ),
        opening=Opening((TOPICS["border"],), "Varkan troops seen near the Kolva crossings"),
    ),
    "gathered": alert(more=(ENGINEERS, FARMERS, LARK), beyond=4),
    "digest": digest(*SECTIONS, quiet=("grain",)),
    "summary": digest(section("border", ENGINEERS, FARMERS, more=3), section("vessels", LARK), summary=True,
                      limit=Rate(6, 3600.0)),
    "empty": digest(quiet=("border", "vessels", "grain")),
    "spike": VolumeAlert("ines", "mail", TOPICS["border"], "spike", before(24), AT, 38, 12.2,
                         (9, 14, 11, 12, 3, 5, 13, 10, 12, 15, 11, 4, 6, 38), (KOLVA, ENGINEERS)),
    "quiet": VolumeAlert("ines", "mail", TOPICS["vessels"], "quiet", before(50), AT, 0, 16.5,
                         (7, 9, 8, 11, 4, 2, 9, 8, 7, 10, 8, 5, 0, 0)),
    "notice": Notice("2 feeds fail", ("bbc-world: the server answered 403 (forbidden) for 2 hours.",
                                      "dw: cannot be reached since 06:40.",
                                      "All other feeds go on. `monitor feeds` shows them.")),
}  # fmt: skip
# Those that go by mail too, and by nothing else.
MAILS: dict[str, Value | Confirmation] = FAMILY | {
    "sign-up": Confirmation("ines", "ines@corvid.example", "en"),
    "sign-up-known": Confirmation("ines", "ines@corvid.example", "en", is_known=True),
}


def every_change() -> Alert:
    """An update with all that can be new in one."""
    news = (
        Change("sources", "12"), Change("fact", "31", "14"), Change("fact", "31"), Change("headline", "", "14 dead"),
        Change("headline"), Change("topic", "Grain"),
    )  # fmt: skip
    return alert(news=news)


def every_other_change() -> Alert:
    """The rest of `every_change`."""
    news = (
        Change("severity", "critical", "high"), Change("severity", "low"), Change("correction"),
        Change("retraction", "Delta Post"), Change("retraction"), Change("words", "§"),
    )  # fmt: skip
    return alert(news=news)


def every_count() -> Alert:
    """What numbers can count, and a name."""
    counts = ("dead", "injured", "missing", "arrested", "people")
    return alert(news=(*(Change("fact", "3", "2", about) for about in counts), Change("entity", "Pell Star")))


def reader(language: str) -> Reader:
    """READER in another language."""
    return replace(READER, language=language)


def reworded(value: Value, words: str) -> Value:
    """The same message with `words` wherever a publisher, an operator or a subscriber's name can stand in it."""
    again: Value = _reworded(value, words)
    return again


def _reworded(value: Any, words: str) -> Any:
    if isinstance(value, tuple):
        return tuple(words if isinstance(each, str) else _reworded(each, words) for each in value)
    if not is_dataclass(value) or isinstance(value, type):
        return value
    kept = {"now", "was"} if getattr(value, "kind", "") in ("sources", "severity") else set()
    changes: dict[str, Any] = {}
    for part in fields(value):
        old = getattr(value, part.name)
        if part.name in _WORDS - kept and isinstance(old, str):
            changes[part.name] = words
        elif part.name == "evidence":
            spans = (("title", 2, len(words)), ("snippet", 0, min(8, len(words))), ("author", 0, 1))
            changes[part.name] = tuple(Evidence(field, a, b, words) for field, a, b in spans)
        elif isinstance(old, tuple) or is_dataclass(old):
            changes[part.name] = _reworded(old, words)
    return replace(value, **changes)


_WORDS = {"title", "source", "snippet", "reason", "now", "was", "about"}
