"""Messages as readers get them: in the design's order, within each surface's limits, safe whatever publishers write."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from email import message_from_bytes, policy
from email.message import EmailMessage
from html.parser import HTMLParser
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from monitor.dispatch import Alert, Digest, DigestSection, Notice, StoryView, TopicRef
from monitor.errors import RenderError
from monitor.render import (
    MAIL_BYTES,
    PLAIN_CHARACTERS,
    PLAIN_TITLE,
    SLACK_CHARACTERS,
    SUBJECT,
    Links,
    MailMessage,
    Reader,
    Renderer,
    Site,
    shipped,
    slack_fits,
)
from monitor.render.escape import columns, direction, first_words, label, wrap
from monitor.rules import Evidence
from tests import family

SITE = Site("Corvid risk desk", "https://desk.corvid.example", "Corvid risk desk <news@corvid.example>", "0.1")
READER = Reader("ines", "Ines Okafor", ZoneInfo("America/Los_Angeles"), "en")
OFF = {name: f"https://desk.corvid.example/u/{name}" for name in ("border", "vessels", "sanctions")}
LINKS = Links("https://desk.corvid.example/u/tok", OFF, "https://desk.corvid.example/s/tok")
NO_LINKS = Links("", {}, "")
BORDER = TopicRef("border", "Border deployments", "high")
VESSELS = TopicRef("vessels", "Sanctioned vessels", "normal")
SANCTIONS = TopicRef("sanctions", "Sanctions", "critical")
AT = datetime(2026, 11, 24, 15, 12, tzinfo=UTC)  # Tuesday 07:12 in Los Angeles
SNIPPET = "Two battalions reached the frontier before dawn."
RENDERER = family.RENDERER


def marks(field: str, text: str, *terms: str) -> tuple[Evidence, ...]:
    return tuple(Evidence(field, text.index(term), text.index(term) + len(term), term) for term in terms)


def story(title: str = "Troops sent to the frontier", **changes: Any) -> StoryView:
    values: dict[str, Any] = {
        "id": 1,
        "event_id": 7,
        "title": title,
        "url": "https://northernwire.example/2026/kolva",
        "source": "Northern Wire",
        "snippet": SNIPPET,
        "language": "en",
        "at": AT,
        "evidence": marks("snippet", SNIPPET, "battalions", "frontier"),
        "others": ("Harbour Post", "Delta Post", "Kestrel Daily"),
    }
    return StoryView(**values | changes)


def alert(view: StoryView | None = None, topics: tuple[TopicRef, ...] = (BORDER,), **changes: Any) -> Alert:
    return Alert("ines", "mail", topics, view or story(), **changes)


def digest(*sections: DigestSection, quiet: tuple[TopicRef, ...] = ()) -> Digest:
    return Digest("ines", "mail", AT - timedelta(days=1), AT, "2026-11-24", sections, quiet)


def section(*stories: StoryView, topic: TopicRef = BORDER, total: int = 0, more: int = 0) -> DigestSection:
    return DigestSection(topic, stories, total or len(stories), more)


def mail(value: Alert | Digest | Notice, links: Links = LINKS, now: datetime | None = AT) -> MailMessage:
    return RENDERER.mail(value, READER, SITE, links, now)


def slack_text(value: Alert | Digest | Notice) -> str:
    """Everything that Slack parses, unescaped from JSON."""
    return "\n".join(find_texts(RENDERER.slack(value, READER, SITE, LINKS, AT).blocks))


def find_texts(value: Any) -> list[str]:
    if isinstance(value, dict):
        return [t for k, v in value.items() for t in ([v] if k == "text" and isinstance(v, str) else find_texts(v))]
    return [t for v in value for t in find_texts(v)] if isinstance(value, (list, tuple)) else []


class Page(HTMLParser):
    """The tags, links and visible text of a page; counts what is not closed properly."""

    VOID = ("meta", "link", "input", "br", "hr", "img")

    def __init__(self, html: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.mistakes: list[str] = []
        self.tags: list[str] = []
        self.links: list[str] = []
        self.ids: list[str] = []
        self.words: list[str] = []
        self.feed(html)
        self.text = " ".join("".join(self.words).split())

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        values = dict(attrs)
        self.links += [values["href"] or ""] if "href" in values else []
        self.ids += [values["id"] or ""] if "id" in values else []
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        if tag not in self.VOID and (not self.open or self.open.pop() != tag):
            self.mistakes.append(f"{tag} at {self.getpos()}")

    def handle_data(self, data: str) -> None:
        if self.open and self.open[-1] not in ("style", "title"):
            self.words.append(data)


def visible(html: str) -> str:
    """The words of the mail itself, after the hidden preheader."""
    return Page(html[html.find('<div role="article"') :]).text.replace("\u200b", "")


def in_order(text: str, *parts: str) -> bool:
    """Whether each part comes after the part before it."""
    at = 0
    for part in parts:
        found = text.find(part, at)
        assert found >= 0, f"{part!r} is not in {text[at:]!r}"
        at = found + len(part)
    return True


# --- the alert -------------------------------------------------------------------------------------------------


def test_an_alert_mail_tells_topic_headline_matched_sentence_source_coverage_and_why_in_this_order() -> None:
    view = story(evidence=story().evidence + marks("title", story().title, "frontier"))
    message = mail(alert(view, entities=("Kolva River",), reason="Held since 23:10 by your quiet hours."))
    told = (
        "Border deployments",
        "Troops sent to the frontier",
        "Two battalions reached the frontier before dawn.",
        "Read at Northern Wire",
        "northernwire.example",
        "4 sources",
        "First Northern Wire 07:12, also Harbour Post, Delta Post and Kestrel Daily.",
        "Why you got this",
        "Matched: “frontier” in the headline; “battalions” and “frontier” in the text. It names Kolva River. "
        "You asked for Border deployments right away. Held since 23:10 by your quiet hours.",
        "Too much?",
        "Turn off Border deployments",
        "Unsubscribe",
        "Sent to Ines Okafor by Corvid risk desk. Times are America/Los_Angeles.",
    )
    assert in_order(visible(message.html), *told)
    assert message.subject == "Border deployments: Troops sent to the frontier"


def test_an_alert_mail_marks_the_matched_words_of_the_sentence_and_none_of_the_headline() -> None:
    html = mail(alert(story(evidence=story().evidence + marks("title", story().title, "Troops")))).html
    marked = re.findall(
        r'<b class="mk" style="font-weight:700;background-color:#ffe79a;color:#1d2024;">(.*?)</b>', html
    )
    assert marked == ["battalions", "frontier"]


def test_the_text_part_has_the_same_order_with_stars_and_each_address_on_its_own_line() -> None:
    text = mail(alert()).text
    assert in_order(
        text,
        "BORDER DEPLOYMENTS\n====",
        "Troops sent to the frontier\n",
        "Two *battalions* reached the *frontier* before dawn.",
        "Read at Northern Wire:\nhttps://northernwire.example/2026/kolva\n",
        "4 SOURCES\n",
        "WHY YOU GOT THIS\n",
        "TOO MUCH?\nTurn off Border deployments\nhttps://desk.corvid.example/u/border\n",
        "Unsubscribe\nhttps://desk.corvid.example/u/tok\n",
    )
    assert not [line for line in text.splitlines() if columns(line) > 72 and "https://" not in line]


def test_topics_of_an_alert_come_by_severity_then_in_their_order() -> None:
    message = mail(alert(topics=(VESSELS, BORDER, SANCTIONS)))
    assert message.subject == "Sanctions, Border deployments and Sanctioned vessels: Troops sent to the frontier"
    assert message.headers[0] == ("List-Id", "Sanctions <sanctions.corvid.example>")


@pytest.mark.parametrize(
    ("now", "shown"),
    [
        (AT + timedelta(hours=1), "Northern Wire 07:12"),
        (AT + timedelta(days=2), "Northern Wire Tuesday 07:12"),
        (AT + timedelta(days=9), "Northern Wire 24 November 07:12"),
        (None, "Northern Wire 24 November 07:12"),
    ],
)
def test_times_are_in_the_readers_zone_with_the_day_where_it_is_not_today(now: datetime | None, shown: str) -> None:
    assert shown in visible(mail(alert(), now=now).html)


def test_long_coverage_is_counted() -> None:
    others = tuple(f"Outlet {n}" for n in range(1, 60))
    assert "60 sources" in visible(mail(alert(story(others=others))).html)
    assert "also Outlet 1, Outlet 2, Outlet 3, Outlet 4, Outlet 5 and 54 more." in visible(
        mail(alert(story(others=others))).html
    )


def test_an_edited_story_says_so() -> None:
    assert "The publisher has changed this story" in mail(alert(story(edited=True))).text
    assert "The publisher has changed this story" not in mail(alert()).text


def test_an_alert_found_on_a_storys_page_says_so() -> None:
    said = "Found on the article’s own page"
    assert said in " ".join(mail(alert(story(page=True))).text.split())
    assert said in slack_text(alert(story(page=True)))
    assert said not in mail(alert(story())).text


def test_headers_name_the_list_the_way_out_and_the_event_in_a_stable_order() -> None:
    assert mail(alert()).headers == (
        ("List-Id", "Border deployments <border.corvid.example>"),
        ("List-Unsubscribe", "<https://desk.corvid.example/u/tok>"),
        ("List-Unsubscribe-Post", "List-Unsubscribe=One-Click"),
        ("Auto-Submitted", "auto-generated"),
        ("References", "<event-7@corvid.example>"),
    )
    assert mail(digest(section(story()))).headers[0] == ("List-Id", "Digest <digest.corvid.example>")


def test_without_signed_links_there_is_no_unsubscribe_header_and_no_dead_link() -> None:
    message = mail(alert(), NO_LINKS)
    assert [name for name, _ in message.headers] == ["List-Id", "Auto-Submitted", "References"]
    assert "" not in Page(message.html).links
    assert "ask the people who run it" in message.text


def test_a_list_id_is_ascii_whatever_the_topic_is_called() -> None:
    topic = TopicRef("Größe_2", "Überfälle, <Küste>", "normal")
    assert mail(alert(topics=(topic,))).headers[0] == ("List-Id", "berflle Kste <gr-e-2.corvid.example>")


# --- the digest ------------------------------------------------------------------------------------------------


def sample_digest() -> Digest:
    return digest(
        section(
            story("Two coasters wait out fog", others=(), at=AT - timedelta(hours=20)),
            story("Troops sent to the northern frontier of the republic on Tuesday morning", id=2),
            total=38,
            more=6,
        ),
        section(story("Tanker detained at Port Halden", id=3, others=("Delta Post",)), topic=VESSELS),
        quiet=(SANCTIONS,),
    )


def test_a_digest_opens_with_a_sentence_and_shows_topics_in_their_order() -> None:
    message = mail(sample_digest())
    told = (
        "9 events on 2 topics",
        "Since yesterday at 07:12. Border deployments has the most, 38 stories.",
        "Two coasters wait out fog",
        "1 source, Northern Wire Monday 11:12.",
        "Troops sent to the northern frontier of the republic on Tuesday morning",
        "4 sources, first Northern Wire 07:12, also Harbour Post, Delta Post and Kestrel Daily.",
        "6 more in Border deployments",
        "Sanctioned vessels 1",
        "Tanker detained at Port Halden",
        "Nothing new on Sanctions.",
        "Why you got this. You asked for a digest at 07:12 about Border deployments, Sanctioned vessels and Sanctions.",
        "Times are America/Los_Angeles.",
    )
    assert in_order(visible(message.html), *told)
    text = message.text
    assert in_order(text, "9 EVENTS ON 2 TOPICS", "Since yesterday at 07:12.", *told[2:4], "4 sources, first")
    assert "Border deployments             38 ==============================\n" in text


def test_a_digests_subject_counts_and_names_the_most_widely_covered_event_in_a_few_words() -> None:
    message = mail(sample_digest())
    assert message.subject == "9 events on 2 topics: Troops sent to the northern frontier of the…"


def test_a_digests_preheader_adds_other_headlines_to_the_subject() -> None:
    hidden = mail(sample_digest()).html.partition("mso-hide:all;")[2].partition("</div>")[0]
    assert "Tanker detained at Port Halden · Two coasters wait out fog" in hidden
    assert "Troops sent" not in hidden


def test_an_empty_digest_says_that_nothing_is_new() -> None:
    message = mail(digest(quiet=(BORDER, VESSELS)))
    assert message.subject == "Nothing new on 2 topics"
    assert "Nothing new on 2 topics" in visible(message.html)
    assert slack_fits(RENDERER.slack(digest(quiet=(BORDER,)), READER, SITE, LINKS).blocks)


def long_digest(topics: int = 10, stories: int = 50) -> Digest:
    title = ("Northern & southern <ministers> " * 12)[:300]
    return digest(
        *(
            section(
                *(
                    story(title, id=n, url=f"https://wire.example/{'a&b' * 200}/{n}", snippet=SNIPPET * 12)
                    for n in range(stories)
                ),
                topic=TopicRef(f"t{t}", f"Topic number {t} with a rather long title of its own", "normal"),
            )
            for t in range(topics)
        )
    )


def test_500_stories_keep_every_limit_and_are_counted() -> None:
    big = long_digest()
    message = mail(big)
    assert len(message.html.encode()) <= MAIL_BYTES
    assert message.html.count("<h3") <= 40
    shown = message.html.count("<h3")
    left_out = sum(int(n) for n in re.findall(r"(\d+) more in Topic", visible(message.html)))
    assert (shown > 0, shown + left_out) == (True, 500)
    assert slack_fits(RENDERER.slack(big, READER, SITE, LINKS).blocks)
    assert len(RENDERER.plain(big, READER, SITE, LINKS).body) <= PLAIN_CHARACTERS


def test_at_most_five_stories_a_topic_and_forty_in_all_are_shown_and_late_topics_get_their_share() -> None:
    few = [section(*(story(f"Story {t}-{n}", id=n) for n in range(9)), topic=TopicRef(f"t{t}", f"T{t}", "low"))
           for t in range(3)]  # fmt: skip
    assert mail(digest(*few)).html.count("<h3") == 15
    many = [section(*(story(f"Story {t}-{n}", id=n, snippet="") for n in range(9)),
                    topic=TopicRef(f"t{t}", f"T{t}", "low")) for t in range(20)]  # fmt: skip
    html = mail(digest(*many)).html
    assert html.count("<h3") == 40
    assert "Story 19-1<" in html.replace("\u200b", "")


@pytest.mark.parametrize("topics", [30, 300])
def test_many_topics_keep_the_limits_and_are_named(topics: int) -> None:
    big = long_digest(topics, 2)
    message = mail(big)
    assert len(message.html.encode()) <= MAIL_BYTES
    assert f"on {topics} topics" in visible(message.html)
    blocks = RENDERER.slack(big, READER, SITE, LINKS).blocks
    assert len(blocks) <= 50
    assert slack_fits(blocks)
    assert "Also matched: Topic number" in slack_text(big)


# --- how a mail is made ----------------------------------------------------------------------------------------


MAILS: dict[str, Alert | Digest | Notice] = {
    "alert": alert(),
    "digest": sample_digest(),
    "notice": Notice("2 feeds fail", ("bbc-world: answered 403.", "dw: cannot be reached.")),
}


@pytest.mark.parametrize("kind", MAILS)
def test_a_mail_is_one_column_of_what_mail_programs_show(kind: str) -> None:
    html = mail(MAILS[kind]).html
    page = Page(html)
    assert (page.mistakes, page.open) == ([], [])
    assert len(page.ids) == len(set(page.ids))
    assert not {"img", "link", "script", "iframe", "svg", "form"} & set(page.tags)
    assert not re.search(r"url\(|@import|var\(|rgba?\(|display:\s*(flex|grid)|position:", html)
    assert all("role=" in table or "aria-label" in table for table in re.findall(r"<table[^>]*>", html))
    assert len("".join(re.findall(r"<style>(.*?)</style>", html, re.S))) < 16_000
    assert "max-width:600px" in html
    assert "prefers-color-scheme: dark" in html
    assert "<!--[if mso]>" in html
    assert '<html lang="en" dir="ltr"' in html


def test_a_mail_survives_the_wire_as_one_text_and_one_html_part() -> None:
    message = mail(alert(story("Ünïcode “headline” 边境 حدود")))
    letter = EmailMessage(policy=policy.SMTP.clone(max_line_length=998))
    letter["Subject"] = message.subject
    for name, value in message.headers:
        letter[name] = value
    letter.set_content(message.text, cte="quoted-printable")
    letter.add_alternative(message.html, subtype="html", cte="quoted-printable")
    read = message_from_bytes(letter.as_bytes(), policy=policy.default)
    assert read["Subject"] == "Border deployments: Ünïcode “headline” 边境 حدود"
    assert [part.get_content_type() for part in read.walk()] == ["multipart/alternative", "text/plain", "text/html"]
    assert read["List-Unsubscribe"] == "<https://desk.corvid.example/u/tok>"


def test_a_notice_tells_operators_its_lines_on_every_surface() -> None:
    notice = Notice("2 feeds fail", ("bbc-world: answered 403.", "dw: <cannot> be reached."))
    message = mail(notice, NO_LINKS)
    assert message.subject == "Corvid risk desk: 2 feeds fail"
    assert in_order(visible(message.html), "2 feeds fail", "bbc-world: answered 403.", "dw: <cannot> be reached.")
    assert in_order(message.text, "2 feeds fail", "bbc-world: answered 403.", "dw: <cannot> be reached.")
    assert message.headers == (("Auto-Submitted", "auto-generated"),)
    assert "*2 feeds fail*\nbbc-world: answered 403.\ndw: &lt;cannot&gt; be reached." in slack_text(notice)
    body = RENDERER.plain(notice, READER, SITE, NO_LINKS).body.replace("\u200b", "")
    assert body == "bbc-world: answered 403.\ndw: <cannot> be reached.\n"


def test_a_notice_of_thousands_of_lines_is_counted() -> None:
    notice = Notice("Many feeds fail", tuple(f"feed {n}: " + "x" * 900 for n in range(5_000)))
    message = mail(notice)
    assert len(message.html.encode()) <= MAIL_BYTES
    assert "more lines" in message.text
    assert slack_fits(RENDERER.slack(notice, READER, SITE, LINKS).blocks)
    assert len(RENDERER.plain(notice, READER, SITE, LINKS).body) <= PLAIN_CHARACTERS


# --- hostile publishers ----------------------------------------------------------------------------------------


HOSTILE = {
    "script": "<script>alert(1)</script><img src=x onerror=alert(2)>",
    "quotes": "\"><a href='https://evil.example'>x</a>",
    "long": "Ministers meet again " * 15,
    "one word": "x" * 80,
    "mirrored": "\u202eتعلن الحكومة\u202c \u2066evil\u2069",
    "control": "Title\r\nBcc: a@b.example\x00\x1b[31m\x9b\ud800",
    "encoded": "=?utf-8?q?x=0D=0ABcc:_a@b?=",
    "channel": "<!channel> <@U123> <https://evil.example|bank> @everyone *b* `c`",
    "markdown": "[bank](https://evil.example) **x** <@&123>",
    "template": "{{ 7 * 7 }}{% include 'words.j2' %}",
    "empty": "",
    "blank": " \u202e\n ",
}


@pytest.mark.parametrize("name", HOSTILE)
@pytest.mark.parametrize("kind", ["alert", "digest"])
def test_a_hostile_story_changes_nothing_but_its_own_words(name: str, kind: str) -> None:
    words = HOSTILE[name]
    spans = (Evidence("snippet", 0, min(8, len(words)), "x"), Evidence("title", 2, len(words), words))
    view = story(words, snippet=words + "!", source=words, others=(words, words), evidence=spans, language='"><b>')
    value = alert(view, entities=(words,), reason=words) if kind == "alert" else digest(section(view))
    tame = alert(entities=("x",)) if kind == "alert" else digest(section(story()))
    message = mail(value)
    page, tame_page = Page(message.html), Page(mail(tame).html)
    assert set(page.tags) <= set(tame_page.tags)
    assert set(page.links) == set(tame_page.links)
    assert page.mistakes == []
    for part in (message.html, message.text, message.subject):
        assert not re.search("[\x00-\x09\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066\u2067\ud800-\udfff]", part)
    assert "49" not in message.subject
    letter = EmailMessage(policy=policy.SMTP)
    letter["Subject"] = message.subject
    raw = letter.as_bytes()
    assert re.findall(rb"^([A-Za-z-]+):", raw, re.M) == [b"Subject"]
    slack = RENDERER.slack(value, READER, SITE, LINKS, AT)
    assert slack_fits(slack.blocks)
    for text in [slack.text, *find_texts(slack.blocks)]:
        assert not re.search(r"<(?!https://(northernwire|desk\.corvid)\.example/)", text), text
    body = RENDERER.plain(value, READER, SITE, LINKS, AT)
    assert not re.search(r"@\w|<[@!#]|\]\(|evil\.example", body.body + body.title)


def test_signs_of_markup_are_shown_as_published_on_every_surface() -> None:
    value = alert(story("Marsh & Sons <1%", source="A&B", others=("C&D",), snippet="E&F", evidence=()), reason="G<H")
    message = mail(value)
    assert message.subject == "Border deployments: Marsh & Sons <1%"
    assert in_order(visible(message.html), "Marsh & Sons <1%", "E&F", "Read at A&B", "A&B 07:12, also C&D.", "G<H")
    assert in_order(message.text, "Marsh & Sons <1%", "E&F", "Read at A&B", "A&B 07:12, also C&D.", "G<H")
    assert in_order(slack_text(value), "A&amp;B", "Marsh &amp; Sons &lt;1%", "E&amp;F", "C&amp;D", "G&lt;H", "A&amp;B")
    body = RENDERER.plain(value, READER, SITE, LINKS, AT).body
    assert in_order(body, "Marsh & Sons <1%", "A&B 07:12, also C&D.", "E&F", "G<H")


def test_an_empty_headline_is_called_untitled() -> None:
    assert mail(alert(story(" \u202e "))).subject == "Border deployments: Untitled story"
    assert "<h1" in mail(alert(story(""))).html
    assert "Untitled story" in mail(alert(story(""))).text


@pytest.mark.parametrize(
    "url",
    [
        "javascript:alert(1)",
        "data:text/html,x",
        "",
        "https://",
        "/relative",
        "https://bank.example@evil.example/",
        "https://long.example/" + "x" * 3_000,
    ],
)
def test_an_address_that_is_not_plainly_of_the_web_is_not_linked(url: str) -> None:
    view = story(url=url)
    for value in (alert(view), digest(section(view))):
        links = {link for link in Page(mail(value).html).links if not link.startswith("#")}
        assert links <= {LINKS.unsubscribe, LINKS.change, *OFF.values(), f"{SITE.public_url}/stories/1"}
        assert len(url) < 9 or url not in mail(value).text
        assert "|Troops" not in slack_text(value)
        assert "Troops sent to the frontier" in slack_text(value)
    assert "The feed gave no web address" in mail(alert(view)).text


def test_an_address_cannot_end_its_own_link() -> None:
    view = story(url="https://wire.example/a|b>c\"d'e f\u202eg?x=1&y=2")
    link = "https://wire.example/a%7Cb%3Ec%22d%27e%20f%E2%80%AEg?x=1&y=2"
    message = mail(alert(view))
    assert link in Page(message.html).links
    assert f"\n{link}\n" in message.text
    assert f"*<{link.replace('&', '&amp;')}|Troops sent to the frontier>*" in slack_text(alert(view))


def test_names_in_a_headline_are_not_turned_into_links() -> None:
    html = mail(alert(story("Log in at evil.example or http://10.0.0.1, a@b.example; up 3.5 percent"))).html
    assert "evil.\u200bexample" in html
    assert "http:\u200b//10.0.0.1" in html
    assert "a@\u200bb.\u200bexample" in html
    assert "3.5 percent" in html


def test_long_headlines_and_snippets_end_on_a_word() -> None:
    message = mail(alert(story("Ministers meet again " * 15, snippet="The talks went on " * 40, evidence=())))
    headline = re.search(r"<h1[^>]*>(.*?)</h1>", message.html, re.S)
    assert headline
    shown = Page(headline[1]).text
    assert len(shown) <= 140
    assert shown.endswith(("meet…", "again…", "Ministers…"))
    assert len(message.subject) <= SUBJECT
    assert max(len(part) for part in re.findall(r"(?:The talks went on ?)+", message.html)) <= 320


def test_marks_beyond_the_cut_are_dropped_and_marks_at_the_cut_are_shortened() -> None:
    text = "word " * 62 + "frontier battalions"
    html = mail(alert(story(snippet=text, evidence=marks("snippet", text, "frontier", "battalions")))).html
    assert re.findall(r'<b class="mk"[^>]*>(.*?)</b>', html) == ["frontier"]


def test_overlapping_marks_are_one() -> None:
    spans = (Evidence("snippet", 4, 14, "a"), Evidence("snippet", 8, 22, "b"), Evidence("snippet", 900, 901, "c"))
    html = mail(alert(story(evidence=spans))).html
    assert re.findall(r'<b class="mk"[^>]*>(.*?)</b>', html) == ["battalions reached"]


def test_right_to_left_headlines_say_their_direction_and_language() -> None:
    view = story(
        "نشر قوات على الحدود", snippet="قوات جديدة على الحدود", language="ar", source="صحيفة الشمال", evidence=()
    )
    message = mail(alert(view))
    assert '<h1 class="h1 t" lang="ar" dir="rtl"' in message.html
    assert "Read at \u2068صحيفة الشمال\u2069" in message.html
    assert "\n\u2068نشر قوات على الحدود\u2069\n" in message.text
    assert "<h1" in mail(alert(story(language='en" onload="x'))).html
    assert "onload" not in mail(alert(story(language='en" onload="x'))).html


# --- Slack and other services ----------------------------------------------------------------------------------


def test_a_slack_alert_has_four_blocks_with_bold_matches() -> None:
    message = RENDERER.slack(alert(), READER, SITE, LINKS, AT)
    assert [block["type"] for block in message.blocks] == ["context", "section", "context", "actions"]
    assert message.text == "Border deployments: Troops sent to the frontier"
    texts = [text.replace("\u200b", "") for text in find_texts(message.blocks)]
    assert texts == [
        "*Border deployments*  |  4 sources  |  first Northern Wire 07:12 (America/Los_Angeles)",
        "*<https://northernwire.example/2026/kolva|Troops sent to the frontier>*\n"
        "Two *battalions* reached the *frontier* before dawn.",
        "Also Harbour Post, Delta Post and Kestrel Daily\nMatched: “battalions” and “frontier” in the text. "
        "You asked for Border deployments right away.",
        "Read at Northern Wire",
        "Why it matched",
        "Turn off Border deployments",
        "Change topics or times",
    ]
    assert [element["url"] for element in message.blocks[3]["elements"]] == [
        "https://northernwire.example/2026/kolva",
        "https://desk.corvid.example/stories/1",
        OFF["border"],
        LINKS.change,
    ]


def test_a_slack_alert_without_any_link_has_no_empty_row_of_buttons() -> None:
    message = RENDERER.slack(alert(story(url="")), READER, replace(SITE, public_url=""), NO_LINKS, AT)
    assert [block["type"] for block in message.blocks] == ["context", "section", "context"]


def test_a_slack_digest_lists_topics_with_bars_and_links() -> None:
    text = slack_text(sample_digest()).replace("\u200b", "")
    assert in_order(
        text,
        "9 events on 2 topics",
        "Since yesterday at 07:12.",
        "```Border deployments       ██████████████    38\nSanctioned vessels       █                  1```",
        "*Border deployments*\n• <https://northernwire.example/2026/kolva|Two coasters wait out fog>\n"
        "   1 source, Northern Wire Monday 11:12",
        "6 more in Border deployments",
        "*Sanctioned vessels*",
        "Nothing new on Sanctions.",
        "<https://desk.corvid.example/s/tok|Change topics or times>  |  <https://desk.corvid.example/u/tok|Unsubscribe>",
    )
    blocks = RENDERER.slack(sample_digest(), READER, SITE, LINKS).blocks
    assert len(blocks) == 3 + 2 * 2 + 2
    assert len(json.dumps(blocks, ensure_ascii=False)) <= SLACK_CHARACTERS


def test_slack_reads_nothing_into_a_publishers_words() -> None:
    for value in (alert(), sample_digest()):
        for block in RENDERER.slack(value, READER, SITE, LINKS).blocks:
            for text in [block.get("text", {}), *block.get("elements", ())]:
                assert text.get("type") != "mrkdwn" or text["verbatim"] is True


def test_slack_limits_are_checked() -> None:
    block: dict[str, Any] = {"type": "section", "text": {"type": "mrkdwn", "text": "x"}}
    button = {"type": "button", "text": {"type": "plain_text", "text": "x"}, "url": "https://a.example"}
    assert slack_fits([block])
    assert not slack_fits([])
    assert not slack_fits([block] * 51)
    assert not slack_fits([block | {"text": {"text": "x" * 3_001}}])
    assert not slack_fits([{"type": "header", "text": {"text": "x" * 151}}])
    assert not slack_fits([{"type": "context", "elements": [{"text": "x"}] * 11}])
    assert not slack_fits([{"type": "actions", "elements": [button | {"text": {"text": "x" * 76}}]}])
    assert not slack_fits([block | {"text": {"text": "x" * 2_900}}] * 5)


def test_a_plain_alert_has_headline_source_sentence_link_and_why() -> None:
    message = RENDERER.plain(alert(), READER, SITE, LINKS, AT)
    assert message.title == "Border deployments: Troops sent to the frontier"
    assert in_order(
        message.body,
        "Troops sent to the frontier\n4 sources, first Northern Wire 07:12, also",
        SNIPPET,
        "https://northernwire.example/2026/kolva\n",
        "Matched: “battalions” and “frontier” in the text. You asked for Border deployments right away.",
    )
    assert len(RENDERER.plain(alert(story("a.b@c " * 99)), READER, SITE, LINKS).title) <= PLAIN_TITLE


def test_a_plain_digest_lists_headlines_with_links() -> None:
    body = RENDERER.plain(sample_digest(), READER, SITE, LINKS).body
    assert in_order(
        body,
        "Since yesterday at 07:12.",
        "BORDER DEPLOYMENTS (38)",
        "Two coasters wait out fog\n1 source, Northern Wire Monday 11:12.\nhttps://northernwire.example/2026/kolva",
        "6 more in Border deployments",
        "SANCTIONED VESSELS (1)",
        "Nothing new on Sanctions.",
    )


# --- templates and text ----------------------------------------------------------------------------------------


def test_an_operators_template_replaces_ours_and_the_others_stay(tmp_path: Path) -> None:
    (tmp_path / "mail").mkdir()
    (tmp_path / "mail" / "alert.subject.j2").write_text("News: {{ alert.story.title }}")
    message = Renderer(tmp_path).mail(alert(), READER, SITE, LINKS)
    assert message.subject == "News: Troops sent to the frontier"
    assert "Why you got this" in message.html


@pytest.mark.parametrize(
    ("template", "place"),
    [
        ("one\n{{ alert.no_such_thing }}", "mail/alert.txt.j2, line 2"),
        ("one\ntwo\n{% if %}", "mail/alert.txt.j2, line 3"),
        ("{{ 1 // 0 }}", "mail/alert.txt.j2, line 1"),
        ("{% include 'mail/absent.j2' %}", "mail/absent.j2"),
        ("{{ ''.__class__.__mro__ }}", "mail/alert.txt.j2, line 1"),
    ],
)
def test_a_broken_template_is_named_with_its_line(tmp_path: Path, template: str, place: str) -> None:
    (tmp_path / "mail").mkdir()
    (tmp_path / "mail" / "alert.txt.j2").write_text(template)
    with pytest.raises(RenderError, match=re.escape(place)):
        Renderer(tmp_path).mail(alert(), READER, SITE, LINKS)


@pytest.mark.parametrize("template", ["[{]", '{"text": 1}', '["text"]', ""])
def test_a_slack_template_that_gives_no_blocks_is_named(tmp_path: Path, template: str) -> None:
    (tmp_path / "slack").mkdir()
    (tmp_path / "slack" / "alert.json.j2").write_text(template)
    with pytest.raises(RenderError, match=r"slack/alert\.json\.j2 does not give"):
        Renderer(tmp_path).slack(alert(), READER, SITE, LINKS)


def test_templates_that_are_too_long_by_themselves_are_refused(tmp_path: Path) -> None:
    (tmp_path / "mail").mkdir()
    (tmp_path / "mail" / "digest.html.j2").write_text("x" * (MAIL_BYTES + 1))
    with pytest.raises(RenderError, match="The digest is too long even without stories"):
        Renderer(tmp_path).mail(sample_digest(), READER, SITE, LINKS)


def test_every_template_of_ours_is_found_where_the_program_lies() -> None:
    assert (shipped("templates") / "words.j2").is_file()


def test_wrapped_lines_keep_their_width_in_any_script() -> None:
    text = "Two battalions " * 9 + "边境部队调动，" * 20 + " " + "x" * 200 + " " + "قوات على الحدود " * 9
    lines = wrap(text, first="1. ", rest="   ").split("\n")
    assert max(columns(line) for line in lines) <= 72
    assert all(line.startswith("   ") for line in lines[1:])
    joined = "".join(lines).replace("\u2068", "").replace("\u2069", "")
    assert re.sub(r"\s", "", joined) == "1." + re.sub(r"\s", "", text)
    assert not [line for line in lines if line.strip()[:1] == "，"]


def test_the_direction_is_that_of_the_first_letter() -> None:
    assert [direction(text) for text in ("12 “حدود” border", "border حدود", "边境", "123", "")] == [
        "rtl",
        "ltr",
        "ltr",
        "ltr",
        "ltr",
    ]


def test_labels_are_cut_to_their_escaped_length() -> None:
    assert label("Marsh & Sons") == "Marsh &amp; Sons"
    assert len(label("&" * 80)) <= 75
    assert label("&" * 80).endswith("&amp;…")


def test_first_words_are_few_and_short_also_without_blanks() -> None:
    assert first_words("one two three", 3) == "one two three"
    assert first_words("one two, three", 2) == "one two…"
    assert columns(first_words("边境" * 100, 8)) <= 61


# --- matched words of a headline

ONLY_IN_TITLE: dict[str, Any] = {
    "snippet": "Nothing of it here.",
    "evidence": marks("title", "Troops sent to the frontier", "Troops", "frontier"),
}


def test_a_mail_whose_snippet_shows_no_matched_word_marks_those_of_the_headline() -> None:
    for message in (mail(alert(story(**ONLY_IN_TITLE))), mail(digest(section(story(**ONLY_IN_TITLE))))):
        assert re.findall(r'class="mk"[^>]*>([^<]*)<', message.html) == ["Troops", "frontier"]
        assert "*Troops* sent to the *frontier*" in message.text
    assert "Highlighted words are the ones your topics matched." in mail(digest(section(story(**ONLY_IN_TITLE)))).html


def test_a_headline_stays_quiet_where_the_snippet_shows_matched_words() -> None:
    both = (*marks("title", "Troops sent to the frontier", "Troops"), *marks("snippet", SNIPPET, "battalions"))
    for message in (mail(alert(story(evidence=both))), mail(digest(section(story(evidence=both))))):
        assert re.findall(r'class="mk"[^>]*>([^<]*)<', message.html) == ["battalions"]
        assert "*Troops*" not in message.text


def test_a_headline_is_marked_at_its_words_whatever_stands_between_them() -> None:
    title = "\u202e  Troops\u200f \t sent\nto the <b>frontier</b> " + "and on " * 60 + "Troops"
    found = tuple(Evidence("title", m.start(), m.end(), m[0]) for m in re.finditer("Troops|frontier", title))
    view = story(title, snippet="", evidence=found)
    assert re.findall(r'class="mk"[^>]*>([^<]*)<', mail(alert(view)).html) == ["Troops", "frontier"]
    assert "&lt;b&gt;<b class=" in mail(alert(view)).html
    untitled = mail(alert(story("", snippet="", evidence=(Evidence("title", 0, 4, "x"),))))
    assert "Untitled story" in untitled.html
    assert 'class="mk"' not in untitled.html
