"""The family of messages: what each says, and that no publisher's words break one, in any language."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from pydantic import TypeAdapter

from monitor.dispatch import Alert, Change, Digest, Notice, Opening, VolumeAlert
from monitor.events.news import _COUNTS
from monitor.render import MAIL_BYTES, PLAIN_CHARACTERS, PLAIN_TITLE, SUBJECT, slack_fits
from monitor.render.escape import columns
from tests import family
from tests.family import AT, FAMILY, LINKS, READER, RENDERER, SITE, TOPICS, Value
from tests.test_render import HOSTILE as PUBLISHED
from tests.test_render import Page, find_texts, in_order, visible

WORD = "Donaudampfschifffahrtselektrizitätenhauptbetriebswerkbauunterbeamtengesellschaft"
HOSTILE = PUBLISHED | {
    "300 characters": ("Ministers meet again & again " * 15)[:300],
    "one word of 80 letters": WORD,
    "right to left": "قوات فاركان تسيطر على معبرين (12) على نهر كولفا",
    "both directions": "Kolva كولفا (12) [x] \u202eevil\u202c",
    "emoji": "🇺🇦👩‍👩‍👧‍👦🏴\U000e0067\U000e0062\U000e007f e\u0301" + "\u0336" * 200,
    "json": '"},{"type":"section","text":"x\\',
}


def mail(value: Value, language: str = "en") -> Any:
    return RENDERER.mail(value, family.reader(language), SITE, LINKS, AT)


def slack_texts(value: Value, language: str = "en") -> str:
    return "\n".join(find_texts(RENDERER.slack(value, family.reader(language), SITE, LINKS, AT).blocks))


# --- what each says ---------------------------------------------------------------------------------------------


def test_an_alert_lists_the_other_outlets_reports_with_first_and_latest_time() -> None:
    shown = visible(mail(FAMILY["alert"]).html)
    assert in_order(
        shown,
        "9 sources, first 01:12, latest 06:27",
        "Kolva bridges closed to trucks as battalion moves in",
        "Delta Post 01:30",
        "Sarn Radio 06:27",
        "All 9 sources",
        "It names Kolva River.",
        "Full trail",
    )
    assert "https://deltapost.example/report" in Page(mail(FAMILY["alert"]).html).links


def test_who_told_it_first_is_named_also_where_the_lead_is_another() -> None:
    early = family.report("First word from the river", "Sarn Radio", 9)
    view = replace(family.ENGINEERS, reports=(early,), others=("Sarn Radio", "Delta Post"))
    told = "3 sources, first Sarn Radio Monday 22:12, also Halden Courier and Delta Post."
    assert told in visible(mail(family.digest(family.section("border", view))).html)
    assert "Read at Halden Courier" in visible(mail(family.alert(view)).html)


def test_an_update_says_what_is_new_and_answers_the_message_that_opened_the_thread() -> None:
    message = mail(FAMILY["update"])
    assert message.subject == "Re: Border deployments: Varkan troops seen near the Kolva crossings"
    news = ("What is new", "Now 9 sources, was 4.", "Dead: 31, was 14.", "Northern Wire has corrected its story.")
    assert in_order(
        visible(message.html), "Update, 07:12", "Varkan interior troops", *news, "Two battalions", "Read at"
    )
    assert in_order(message.text, "WHAT IS NEW\n- Now 9 sources, was 4.\n- Dead: 31, was 14.\n", "Read at")
    hidden = message.html.partition("mso-hide:all;")[2].partition("</div>")[0]
    assert "Now 9 sources, was 4. Dead: 31" in hidden
    slack = RENDERER.slack(FAMILY["update"], READER, SITE, LINKS, AT)
    assert "Now 9 sources, was 4." in slack.text
    assert [block["type"] for block in slack.blocks] == ["context", "section", "section", "context", "actions"]
    assert in_order(
        slack_texts(FAMILY["update"]), "*What is new*\n• Now 9 sources, was 4.\n• Dead: 31, was 14.\n• Arrested: 4."
    )
    assert in_order(RENDERER.plain(FAMILY["update"], READER, SITE, LINKS, AT).body, "Now 9 sources, was 4.")


def test_an_update_keeps_the_subject_of_its_thread_however_long() -> None:
    long = family.story("Ministers meet again and again " * 9)
    topics = ("border", "election")
    first = mail(family.alert(long, *topics)).subject
    opening = Opening(tuple(TOPICS[name] for name in topics), long.title)
    later = family.alert(family.story("Quite another headline"), *topics, news=(Change("headline"),), opening=opening)
    assert mail(later).subject == f"Re: {first}"
    assert len(first) > 140


def test_an_update_without_known_opening_says_that_it_is_one() -> None:
    value = family.alert(family.FOG, "strait", news=(Change("retraction", "Delta Post"),))
    assert (
        mail(value).subject
        == "Update on Sarn Strait disruption: Two coasters wait out fog at the strait’s northern mouth"
    )


def test_every_change_is_said_in_words() -> None:
    said = [visible(mail(value).html) for value in (family.every_change(), family.every_other_change())]
    assert in_order(
        said[0], "Now 12 sources.", "The headline now says 31, was 14.", "The headline now says 31.",
        "The headline was “14 dead”.", "The headline has changed.", "Now also about Grain.",
    )  # fmt: skip
    assert in_order(
        said[1], "Severity is now critical, was high.", "Severity is now low.", "The story was corrected.",
        "Delta Post has withdrawn its story.", "The story was withdrawn.", "§",
    )  # fmt: skip
    assert in_order(visible(mail(family.every_count()).html), "Dead: 3, was 2.", "People: 3", "It names Pell Star.")


@pytest.mark.parametrize(("language", "dead"), [("es", "Muertos"), ("fr", "Morts"), ("de", "Tote"), ("ar", "قتلى")])
def test_what_a_number_counts_is_said_in_the_readers_language(language: str, dead: str) -> None:
    counted = replace(family.every_count(), news=tuple(Change("fact", "3", "", about) for about in _COUNTS))
    for value in (FAMILY["update"], counted):
        message = mail(value, language)
        assert f"{dead}:" in message.text.replace("\xa0", "").replace(" :", ":")
        assert not [about for about in _COUNTS if f"{about}:" in message.text.lower()]


def test_an_alert_of_several_events_shows_each_and_counts_the_rest() -> None:
    message = mail(FAMILY["gathered"])
    told = ("Varkan interior troops", "7 more stories", "Ostrel calls up engineers", "4 sources, first Halden Courier",
            "Port Halden detains tanker", "4 more stories", "Why you got this")  # fmt: skip
    assert in_order(visible(message.html), *told)
    assert in_order(
        message.text, "Varkan interior", "7 MORE STORIES\n\n1. Ostrel calls up", "3. Port Halden", "4 more stories"
    )
    assert in_order(slack_texts(FAMILY["gathered"]), "*7 more stories*\n• <https://", "Ostrel calls up")
    many = family.alert(more=tuple(replace(family.ENGINEERS, id=n) for n in range(300)))
    assert "300 more stories" in visible(mail(many).html)
    assert "290 more stories" in visible(mail(many).html)
    assert slack_fits(RENDERER.slack(many, READER, SITE, LINKS, AT).blocks)


def test_a_held_alert_says_since_when() -> None:
    assert "Held since 01:18 by your quiet hours." in visible(mail(FAMILY["alert-held"]).html)


def test_a_digest_shows_volume_against_usual_and_speaks_of_what_is_unusual() -> None:
    message = mail(FAMILY["digest"])
    assert message.subject.startswith("16 events on 4 topics: Varkan interior troops")
    assert in_order(
        visible(message.html),
        "Since yesterday at 07:12. Border deployments is 3.1 times usual.",
        "Border deployments 38usual 12",
        "Sanctioned vessels 11usual 16",
        "Sarn Strait disruption 1too new to say",
    )
    assert "Border deployments           38 ==================== usual 12\n" in message.text
    bars = re.findall(r'class="(br|us)" bgcolor="#\w+" width="(\d+)%"', message.html)
    assert bars[:6] == [("br", "100"), ("us", "32"), ("br", "37"), ("us", "29"), ("br", "29"), ("us", "43")]
    assert in_order(slack_texts(FAMILY["digest"]), "3.1 times usual", "██████████████    38  usual 12\n")


def test_nothing_is_said_of_usual_where_nobody_counted() -> None:
    message = mail(family.digest(family.section("border", family.KOLVA), family.section("strait", family.FOG)))
    assert "usual" not in message.html + message.text
    assert "too new" not in message.html + message.text


def test_more_leads_to_the_topics_page_and_the_trail_to_the_storys() -> None:
    odd = replace(TOPICS["border"], name="a/b c")
    digest = family.digest(replace(family.section("border", family.KOLVA, more=2), topic=odd))
    links = Page(mail(digest).html).links
    assert "https://desk.corvid.example/topics/a%2Fb%20c" in links
    assert "https://desk.corvid.example/stories/1" in links
    assert "\n   https://desk.corvid.example/topics/a%2Fb%20c\n" in mail(digest).text
    assert "<https://desk.corvid.example/topics/a%2Fb%20c|2 more in Border deployments>" in slack_texts(digest)
    nowhere = RENDERER.mail(digest, READER, replace(SITE, public_url=""), LINKS)
    assert not [link for link in Page(nowhere.html).links if "/topics/" in link or "/stories/" in link]


def test_the_heaviest_event_leads_the_subject() -> None:
    heavy = replace(family.FOG, weight=9.0)
    digest = family.digest(family.section("border", family.KOLVA), family.section("strait", heavy))
    assert "Two coasters" in mail(digest).subject


def test_a_summary_says_what_held_it_back() -> None:
    message = mail(FAMILY["summary"])
    assert message.subject == "Held back: 6 events on 2 topics: Ostrel calls up engineers to strengthen its side…"
    assert in_order(visible(message.html), "Held back, 07:12", "6 events on 2 topics",
                    "Held back by the limit of 6 alerts an hour. Since yesterday",
                    "You asked for alerts about Border deployments and Sanctioned vessels.")  # fmt: skip


def test_an_empty_digest_names_the_topics_that_were_watched() -> None:
    for text in (visible(mail(FAMILY["empty"]).html), mail(FAMILY["empty"]).text, slack_texts(FAMILY["empty"])):
        assert "Nothing new on Border deployments, Sanctioned vessels and Grain exports." in text


def test_a_topic_far_louder_than_usual_has_a_message_with_its_days_and_events() -> None:
    message = mail(FAMILY["spike"])
    assert message.subject == "Border deployments: 38 stories, 3.1 times usual"
    assert in_order(visible(message.html), "Since yesterday at 07:12. Usual: 12.", "Stories a day",
                    "Varkan interior", "See Border deployments on the desk", "watched for unusual volume")  # fmt: skip
    assert 'role="img" aria-label="Stories a day, the last is today’s: 9 14 11' in message.html
    assert in_order(message.text, "11 November             9 =========\n", "24 November            38 =====")
    assert message.headers[0] == ("List-Id", "Border deployments <border.corvid.example>")
    assert "References" not in dict(message.headers)
    new = replace(FAMILY["spike"], usual=None)  # type: ignore[arg-type]  # it is a VolumeAlert
    assert mail(new).subject == "Border deployments: 38 stories in 24 hours"
    assert "What is usual is too new to say." in mail(new).text


def test_a_topic_that_fell_silent_has_a_message_that_says_since_when() -> None:
    message = mail(FAMILY["quiet"])
    assert message.subject == "Nothing on Sanctioned vessels for 2 days"
    said = ("Since Sunday at 05:12. Usual: 16. Its query or its feeds may need a look.", "watched for silence.")
    assert in_order(" ".join(message.text.split()), *said)
    assert [b["type"] for b in RENDERER.slack(FAMILY["quiet"], READER, SITE, LINKS, AT).blocks] == [
        "header", "section", "section", "context", "actions",
    ]  # fmt: skip


@pytest.mark.parametrize("name", FAMILY)
def test_a_message_that_waited_in_the_outbox_is_the_same(name: str) -> None:
    value = FAMILY[name]
    adapter: TypeAdapter[Value] = TypeAdapter(type(value))
    assert adapter.validate_python(json.loads(json.dumps(adapter.dump_python(value, mode="json")))) == value


def test_a_message_written_by_an_earlier_version_is_read() -> None:
    old = TypeAdapter(Value).dump_python(FAMILY["alert"], mode="json")
    for name in ("news", "opening", "more", "beyond", "held_since"):
        del old[name]
    for name in ("reports", "latest", "weight"):
        del old["story"][name]
    assert TypeAdapter(Alert).validate_python(old).story.title == family.KOLVA.title


# --- limits -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("language", family.LANGUAGES)
def test_a_digest_of_120_events_stays_under_90_kb(language: str) -> None:
    long = [
        replace(family.KOLVA, id=n, title=("Northern & southern <ministers> " * 12)[:300],
                snippet="Troops & more. " * 40, url=f"https://wire.example/{'a&b' * 200}/{n}", others=(WORD,) * 40)
        for n in range(120)
    ]  # fmt: skip
    for sections in ([family.section("border", *long)], [family.section(n, *long[:24], usual=3) for n in TOPICS]):
        message = mail(family.digest(*sections), language)
        assert len(message.html.encode()) <= MAIL_BYTES
        assert message.html.count("<h3") >= 5
        assert len(message.text.encode()) <= MAIL_BYTES


# --- hostile words ----------------------------------------------------------------------------------------------

_FORBIDDEN = re.compile("[\x00-\x09\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066\u2067\ud800-\udfff]")
_TAGS = {tag for value in FAMILY.values() for tag in Page(mail(value).html).tags} | {"span"}
_OURS = re.compile(r"#t\d+$|https://[a-z]+\.example/|https://desk\.corvid\.example/")


def assert_harmless(value: Value, language: str) -> None:
    """Each surface keeps its shape, and shows nothing of a publisher's as more than words."""
    message = mail(value, language)
    page = Page(message.html)
    assert (page.mistakes, page.open) == ([], [])
    assert set(page.tags) <= _TAGS
    assert len(page.ids) == len(set(page.ids))
    assert all(_OURS.match(link) for link in page.links), page.links
    assert len(message.html.encode()) <= MAIL_BYTES
    assert 0 < len(message.subject) <= SUBJECT + 4
    assert "=?" not in message.subject
    for part in (message.html, message.text, message.subject):
        assert not _FORBIDDEN.search(part)
        assert part.count("\u2068") >= part.count("\u2069")
    for line in message.text.splitlines():
        assert columns(line) <= 72 or "https://" in line, line
        assert line.count("\u2068") == line.count("\u2069")
    slack = RENDERER.slack(value, family.reader(language), SITE, LINKS, AT)
    assert slack_fits(slack.blocks)
    assert all(block["type"] in ("header", "section", "context", "actions", "divider") for block in slack.blocks)
    for text in [slack.text, *find_texts(slack.blocks)]:
        assert not _FORBIDDEN.search(text)
        assert not re.search(r"<(?!https://([a-z]+|desk\.corvid)\.example/)", text), text
    body = RENDERER.plain(value, family.reader(language), SITE, LINKS, AT)
    assert len(body.title) <= PLAIN_TITLE
    assert len(body.body) <= PLAIN_CHARACTERS
    assert not re.search(r"@\w|<[@!#]|\]\(|evil\.example", body.body + body.title)


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_words_break_no_message_of_the_family_in_any_language(name: str) -> None:
    for kind, value in FAMILY.items():
        hostile = family.reworded(value, HOSTILE[name])
        for language in family.LANGUAGES if kind in ("update", "digest") else ("ar",):
            assert_harmless(hostile, language)


def collected(folder: Path) -> Iterator[str]:
    for path in sorted(folder.glob("*/*.json")):
        if path.parent.name in (
            "naughty_strings",
            "unicode",
            "slack_chat_injection",
            "xss",
            "email_injection",
            "ssti_jinja2",
        ):
            yield from _strings(json.loads(path.read_text(encoding="utf-8", errors="surrogatepass")))


def _strings(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, (list, dict)):
        for each in value.values() if isinstance(value, dict) else value:
            yield from _strings(each)


def test_the_collection_of_hostile_strings_breaks_no_message(shared_data: Path) -> None:
    strings = list(dict.fromkeys(collected(shared_data / "hostile")))
    assert len(strings) > 400
    for index in range(0, len(strings), 15):
        stories = [
            replace(family.KOLVA, id=index + n, title=text, snippet=text, source=text, others=(text,), reports=(),
                    evidence=family.marked("title", text, text[1:9]))
            for n, text in enumerate(strings[index : index + 15])
        ]  # fmt: skip
        sections = [
            family.section(name, *stories[n : n + 5]) for n, name in ((0, "border"), (5, "grain"), (10, "strait"))
        ]
        assert_harmless(family.digest(*(s for s in sections if s.stories)), ("en", "ar")[index % 2])
    for text in strings[::12]:
        assert_harmless(family.reworded(FAMILY["update"], text), "ar")
        assert_harmless(family.reworded(FAMILY["notice"], text), "en")


def test_every_member_of_the_family_is_tried() -> None:
    assert {type(value) for value in FAMILY.values()} == {Alert, Digest, VolumeAlert, Notice}
