"""A story's journey as it is told, and why each subscriber did or did not get it: word by word."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlmodel import select

from monitor.dispatch import Reason
from monitor.dispatch.decide import alert_key
from monitor.models import Delivery, Verdict
from monitor.pipeline import outgoing
from monitor.service import journey as service_journey
from monitor.service.journey import explain, journey_of, why
from monitor.service.marks import pieces
from monitor.snippets import snippet
from monitor.text import Evidence
from monitor.web.desk import REASONS
from tests import make
from tests.desk import NOW, World, web_of, world
from tests.pipe import Pipe, item
from tests.test_desk import text_of
from tests.test_web import Client, serving

VARKAN = "Varkan interior troops take over two Kolva river crossings"
LA = "(America/Los_Angeles)"


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    with world(tmp_path_factory.mktemp("desk")) as one:
        yield one


@pytest.fixture(scope="module")
def ask(made: World) -> Iterator[Client]:
    with serving(made.web()) as client:
        yield client


def number_of(made: World, words: str) -> int:
    """The story that these words find best; of several with the very headline, the first."""
    found = made.app.store.archive.find(words, 50)
    return min(story.id or 0 for story in found if story.title == found[0].title)


CASES = {
    "sent": (
        "Insurers suspend", "risk-desk",
        "#risk-desk got it by slack at 12:00 (Europe/London).",
        "It matched Sarn Strait disruption at 12:00 (Europe/London).",
    ),
    "held": (
        VARKAN, "ines",
        f"Ines Okafor will get it at 07:00 {LA}.",
        f"It matched Border deployments at 01:00 {LA}, in quiet hours.",
    ),
    "limited": (
        "Battalion 1-1", "arden",
        "J. Arden did not get it at once: the limit was reached.",
        "It matched Border deployments at 2026-11-23 11:32 (Europe/London). The limit of 1 alert an hour was reached.",
    ),
    "digest": (
        VARKAN, "ruth",
        "Ruth Whitcombe gets it in the digest only.",
        "It matched Border deployments at 09:00 (Europe/London). The subscription asks for the digest only.",
    ),
    "muted": (
        "Battalion moves in", "kai",
        "Kai Brandt did not get it: they turned it off.",
        "It matched Border deployments at 10:36 (Europe/London). The topic was turned off by the link in a mail.",
    ),
    "not subscribed": (
        "Insurers suspend", "ines",
        "Ines Okafor did not get it.",
        "It matched Sarn Strait disruption, and no subscription of theirs covered that then.",
    ),
    "failed for good": (
        "Council sanctions", "risk-desk",
        "#risk-desk did not get it: slack failed for good.",
        "It matched Sanctions at 13:54 (Europe/London). The channel does not exist, says Slack: channel_not_found.",
    ),
    "waiting": (
        "Grain rises", "risk-desk",
        "#risk-desk has not got it yet; it is due at 14:32 (Europe/London).",
        "It matched Grain prices at 13:00 (Europe/London). The last try failed: Slack asked us to wait 30 seconds.",
    ),
    "no match": (
        "Mayor opens", "ines",
        "Ines Okafor did not get it: it matched no topic.",
        "None came close.",
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", CASES)
def test_why_is_told_word_by_word(made: World, case: str) -> None:
    words, who, *answer = CASES[case]
    found = journey_of(made.app, number_of(made, words))
    assert list(why(made.app, found, who, NOW)) == answer


RUTH = """
subscribers:
  ruth:
    name: Ruth Whitcombe
    channels: {mail: "mailto://127.0.0.1:2525?to=ruth@corvid.example"}
    subscriptions: [{topics: all, alert: {via: [mail], wait: 60s}}]
"""


def test_every_reason_of_a_decision_has_a_word_on_the_desk() -> None:
    named = {*REASONS, Reason.NOT_SUBSCRIBED, Reason.OUT_OF_SCOPE}  # these two are worked out, and not recorded
    assert named == {str(reason) for reason in Reason}


def test_what_was_gathered_or_is_held_beyond_the_budget_is_told_as_such(tmp_path: Path) -> None:
    pipe = Pipe(tmp_path, subscribers=RUTH, monitor=make.MONITOR + "budget: 1/h\n")
    pipe.put("wire", item("1", "Sanctions on Babel of Ruritania"))
    pipe.put("wire", item("2", "Embargo hits Deluxe wine growers"))
    (row,) = pipe.app.store.outbox.claim(pipe.time + timedelta(minutes=2), 60, 10)
    pipe.app.store.outbox.finish(row.id or 0, row.fence, pipe.time + timedelta(minutes=2), "250", "", "")
    assert why(pipe.app, journey_of(pipe.app, 2), "ruth", pipe.time)[0].startswith("Ruth Whitcombe got it by mail at")
    pipe.forward(minutes=5)
    pipe.put("wire", item("3", "Sanctioned tanker Fidelio runs aground"))
    answer, behind = why(pipe.app, journey_of(pipe.app, 3), "ruth", pipe.time)
    assert answer == "Ruth Whitcombe has not got it yet: its message is held."
    assert "budget" in behind
    pipe.close()


OWN = """
topics:
  strait: {query: '"Sarn Strait" NEAR/3 closed', scope: {languages: [en]}}
  ports: {query: 'strike AND dock AND NOT drill'}
  border: {any: [border]}
"""
ONE = """
subscribers:
  ines: {name: Ines, channels: {mail: "mailto://127.0.0.1:2525?to=i@x.example"}, subscriptions: [{topics: all, alert: {via: [mail]}}]}
"""  # noqa: E501  # one line of YAML


@pytest.fixture
def pipe(tmp_path: Path) -> Pipe:
    return Pipe(tmp_path, topics=OWN, subscribers=ONE)


def told(pipe: Pipe, words: str, who: str = "ines") -> tuple[str, str]:
    return why(pipe.app, explain(pipe.app, words), who, pipe.time)


def test_a_near_miss_is_kept_with_what_it_failed_by(pipe: Pipe) -> None:
    pipe.put("wire", item("1", "Sarn Strait pilots say that the lane is closed"), item("2", "A dock strike, a drill"))
    no = "Ines did not get it: it matched no topic."
    pair = 'closest pair 6 words apart: `"Sarn Strait"` and `closed`, words 1 and 9 of the title'
    assert told(pipe, "pilots") == (no, f"It came close to strait: NEAR/3 fails ({pair}).")
    assert told(pipe, "strike") == (no, "It came close to ports: what must be absent is there: `drill` in title.")
    assert {(row.topic, row.matched) for row in pipe.rows(Verdict)} == {("strait", False), ("ports", False)}


def test_words_that_are_missing_make_no_near_miss(pipe: Pipe) -> None:
    pipe.put("wire", item("1", "Sarn Strait in sunshine"), item("2", "A strike, a drill"))
    assert pipe.rows(Verdict) == []


def test_out_of_scope_is_told(pipe: Pipe) -> None:
    pipe.put("wire", replace(item("1", "Sarn Strait closed"), language="fr"))
    assert told(pipe, "closed") == (
        "Ines did not get it: it matched no topic.", "It came close to strait: its language fr is not one of en.",
    )  # fmt: skip


SEVERAL = """
subscribers:
  ines: {name: Ines, channels: {mail: "mailto://127.0.0.1:2525?to=i@x.example"}, subscriptions: [{topics: [border], alert: {via: [mail]}}]}
  petra: {name: Petra, channels: {mail: "mailto://127.0.0.1:2525?to=p@x.example"}, subscriptions: [{topics: [strait], alert: {via: [mail]}}]}
  kim: {name: Kim, channels: {mail: "mailto://127.0.0.1:2525?to=k@x.example"}, subscriptions: [{topics: [ports], alert: {via: [mail]}}]}
"""  # noqa: E501  # one line of YAML for each
OMAR = (
    '  omar: {name: Omar, enabled: %s, channels: {mail: "mailto://127.0.0.1:2525?to=o@x.example"},'
    " subscriptions: [{topics: all, alert: {via: [mail]}}]}\n"
)


def test_who_got_no_decision_is_told_why_as_it_was_then(pipe: Pipe) -> None:
    pipe.reload(subscribers=SEVERAL)
    pipe.put("wire", replace(item("1", "Sarn Strait closed at the border"), language="fr"))
    pipe.forward(hours=2)
    pipe.reload(subscribers=SEVERAL.replace("[ports]", "[border]") + OMAR % "true")
    assert told(pipe, "closed", "petra") == (
        "Petra did not get it: it is out of scope.",
        "It matched border, which they did not follow. strait leaves it out: its language fr is not one of en.",
    )
    assert told(pipe, "closed", "kim") == (
        "Kim did not get it.", "It matched border, and no subscription of theirs covered that then.",
    )  # fmt: skip
    later = ("Omar did not get it: they were not a subscriber then.", "It matched border at 06:00 (UTC).")
    assert told(pipe, "closed", "omar") == (later[0], f"{later[1]} They were added, or switched on, later.")
    with serving(web_of(pipe.app)) as ask:
        page = text_of(ask("GET", "/stories/1?who=omar").text)
    assert "Petra strait leaves it out: its language fr is not one of en Out of scope" in page
    assert "Kim Not subscribed to what it matched Not sent" in page
    assert "Omar Not a subscriber then Not sent" in page
    assert later[0] in page
    pipe.reload(subscribers=SEVERAL + OMAR % "false")
    assert told(pipe, "closed", "omar") == (later[0], f"{later[1]} They are switched off in subscribers.yaml.")


def test_old_and_first_poll_are_told(pipe: Pipe) -> None:
    pipe.put("wire", item("1", "An old border", published=pipe.time - timedelta(days=30)))
    pipe.put("post", item("2", "A first border"), baseline=True)
    assert told(pipe, "old border") == (
        "Ines was not alerted: the story was old.",
        "It matched border at 06:00 (UTC). First seen 30 days after its own date: digest.",
    )
    assert told(pipe, "first border") == (
        "Ines was not alerted: it was there at the feed’s first poll.",
        "It matched border at 06:00 (UTC). Present at the feed's first poll, which raises no alert.",
    )


def test_paused_and_already_told_are_told(pipe: Pipe) -> None:
    same = "Troops of Ruritania cross the Danube border at Vidin"
    pipe.put("wire", item("1", same))
    pipe.forward(minutes=20)
    pipe.put("post", item("2", same))
    assert why(pipe.app, journey_of(pipe.app, 2), "ines", pipe.time) == (
        "Ines had been told of this event before.",
        "It matched border at 06:20 (UTC). Joins as a copy or light rewrite: likeness 1.00 (needs 0.37), shares "
        "Danube, Ruritania, Troops, Vidin; 0 h after the lead.",
    )
    pipe.app.store.policies.pause("ines", pipe.time + timedelta(hours=3), pipe.time)
    pipe.put("wire", item("3", "Embargo on wine closes another border"))
    assert told(pipe, "embargo") == (
        "Ines did not get it at once: their messages were paused.",
        "It matched border at 06:20 (UTC). Paused until 09:20 (UTC).",
    )
    with serving(web_of(pipe.app)) as ask:
        page = text_of(ask("GET", "/stories/3?who=ines").text)
    assert "Ines Paused until 09:20 Paused Paused until 09:20" in page
    assert "1 will not get it at once." in page


def test_the_page_says_what_retention_removed(pipe: Pipe) -> None:
    same = "Troops of Ruritania cross the Danube border at Vidin"
    pipe.put("wire", item("1", same))
    with pipe.app.store.write() as session:
        row = session.exec(select(Delivery)).one()
        row.state, row.finished_at = "sent", pipe.time
    pipe.forward(hours=2)
    pipe.put("post", item("2", same))
    before = pipe.time - timedelta(hours=1)
    with serving(web_of(pipe.app)) as ask:
        whole = text_of(ask("GET", "/stories/1").text)
        assert "removed" not in whole
        pipe.app.store.archive.prune(before - timedelta(days=1), before)
        first = text_of(ask("GET", "/stories/1").text)
        pipe.app.store.archive.prune(before, before)
        second = text_of(ask("GET", "/stories/2").text)
    assert "Nothing to deliver No message about it is on record any more." in first
    assert "1 message was removed: messages are kept for 400 days. Whether it arrived is not known any more." in first
    assert "Ines Takes this topic right away No longer on record" in first
    assert "Sent to" not in first
    assert "1 earlier story of the event was removed: stories are kept for 90 days." in second


def test_what_was_decided_stays_as_it_was_when_the_rule_changes(pipe: Pipe) -> None:
    pipe.put("wire", item("1", "A border"))
    pipe.reload(topics="topics: {border: {any: [frontier]}}")
    (verdict,) = explain(pipe.app, "border").verdicts
    assert verdict.matched
    assert verdict.explanation.true  # the rule of now would say no
    assert verdict.decided_at == pipe.time


def test_what_was_not_kept_is_tried_with_the_rule_of_now_and_says_so(pipe: Pipe) -> None:
    pipe.put("wire", item("1", "A border"))
    verdicts = {one.topic: one for one in explain(pipe.app, "border").verdicts}
    assert verdicts["border"].decided_at is not None
    assert (verdicts["ports"].decided_at, verdicts["ports"].matched) == (None, False)
    assert journey_of(pipe.app, 1).others == ("strait", "ports")


def test_retention_takes_what_was_kept_with_the_story(pipe: Pipe) -> None:
    pipe.put("wire", item("1", "A dock strike and a drill"))
    pipe.app.store.archive.prune(pipe.time + timedelta(days=1), pipe.time)
    assert pipe.rows(Verdict) == []


def test_marks_never_leave_the_text_and_overlapping_ones_are_one() -> None:
    found = [Evidence("title", 2, 5, "a"), Evidence("title", 4, 7, "b"), Evidence("title", 8, 99, "c")]
    assert pieces("0123456789", "title", found, {"a": 1, "b": 2}) == [("01", ()), ("23456", (1, 2)), ("789", ())]


def test_the_page_shows_the_whole_journey(made: World, ask: Client) -> None:
    page = text_of(ask("GET", f"/stories/{number_of(made, VARKAN)}?who=ines").text)
    for said in (
        "read from 1 feed, matched 1 of 5 topics, in an event of 5 stories from 5 sources.",
        "Sent to 3, held for 1, in the digest of 1.",
        f"Ines Okafor will get it at 07:00 {LA}.",
        '"interior troops" 1 headline 2; summary 4',
        'NEAR/12 closest pair 3 words apart: `"interior troops"` and `@kolva`, words 2 and 7 of the title',
        "frontier 5 summary 23",
        'Sarn Strait disruption: NEAR/8 fails (closest pair 13 words apart: `"Sarn Strait"` and `clos*`, words 40 and '
        "55 of the summary). As decided 09:00.",
        "Started an event of 5 stories",
        "Decided for 5 subscribers",
        "Delivered 3 of 4",
        "250 2.0.0 queued as",
    ):
        assert said in page, said


RIVERS = """
entities:
  kolva: {name: Kolva, kind: place}
  danube: {name: Danube, kind: place}
lists: {rivers: {entities: [kolva, danube]}}
"""
ONE_OF_TWO = """
topics:
  border: {query: '((troops NEAR/2 (border OR frontier)) OR @rivers) AND NOT (exercise NEAR/1 anniversary)'}
"""


def test_the_tree_and_the_text_have_the_same_numbers(tmp_path: Path) -> None:
    pipe = Pipe(tmp_path, topics=ONE_OF_TWO, entities=RIVERS)
    title, rest = "Troops at the border of Kolva, near the Danube", "An exercise at another frontier, say officials."
    pipe.put("wire", item("1", title, summary=rest))
    with serving(web_of(pipe.app)) as ask:
        page = ask("GET", "/stories/1").text
    pipe.close()
    sign, term = (
        r'<span class="(y|no)"[^>]*>.</span><span class="vh">[^<]*</span>',
        r'<span class="mono"><bdi>(.*?)</bdi>',
    )
    tree = {
        term: (sign == "y", re.findall(r'class="leaf">(\d+)<', rest), text_of(rest))
        for sign, term, rest in re.findall(rf'<li class="d\d[^>]*>{sign}{term}</span>(.*)</li>', page)
    }
    marks = re.findall(r"<mark>(\w+)<sup>(\d+)</sup></mark>", page)
    # `frontier` is no word that the NEAR found, and yet one of the rule's that is there.
    assert [word for word, _ in marks] == ["Troops", "border", "Kolva", "Danube", "frontier"]
    number = dict(marks)
    assert {term: numbers for term, (ticked, numbers, _) in tree.items() if ticked} == {
        "troops": [number["Troops"]],
        "border": [number["border"]],
        "frontier": [number["frontier"]],
        "@rivers": [number["Kolva"], number["Danube"]],
    }
    assert tree["exercise"] == (False, [], "summary 2")  # what must be absent makes nothing true


def test_a_search_leads_to_the_story_or_offers_a_choice(ask: Client) -> None:
    one = ask("GET", "/stories?story=Insurers&who=ines")
    assert one.status == 303
    assert re.fullmatch(r"stories/\d+\?who=ines", one.headers["Location"])
    assert "5 stories have these words" in text_of(ask("GET", "/stories?story=varkan").text)
    none = ask("GET", "/stories?story=no+such+words")
    assert (none.status, "No story with those words" in none.text) == (404, True)
    assert ask("GET", "/stories?story=https://x.example/%00").status == 404
    assert ask("GET", "/stories/99999").status == ask("GET", "/stories/x").status == 404


def test_a_digest_is_shown_in_a_frame_that_is_shut_off(ask: Client) -> None:
    page = ask("GET", "/subscribers/ruth/digest")
    said = text_of(page.text)
    assert re.search(r"would get at 17:00 if it went out now: \d+ stories since 00:32", said), said
    assert re.search(r'<iframe src="../../subscribers/ruth/digest/mail"[^>]* sandbox></iframe>', page.text)
    mail = ask("GET", "/subscribers/ruth/digest/mail")
    policy = mail.headers["Content-Security-Policy"]
    assert policy == "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'self'; sandbox"
    assert "Varkan interior" in mail.text
    assert "Varkan interior" in ask("GET", "/subscribers/ruth/digest?form=text").text
    assert ask("GET", "/subscribers/nobody/digest").status == 404


def test_seeing_a_digest_sends_and_changes_nothing(made: World, ask: Client) -> None:
    with made.app.store.read() as session:
        before = [row.model_dump() for row in session.exec(select(Delivery))]
    ask("GET", "/subscribers/ruth/digest/mail")
    with made.app.store.read() as session:
        assert [row.model_dump() for row in session.exec(select(Delivery))] == before


def test_of_many_who_were_told_each_message_is_looked_up_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    people = "subscribers:\n" + "".join(
        f"  p{n}: {{channels: {{mail: 'mailto://127.0.0.1:2525?to=p{n}@x.example'}},"
        " subscriptions: [{topics: all, alert: {via: [mail]}}]}\n"
        for n in range(30)
    )
    pipe = Pipe(tmp_path, topics="topics: {border: {query: border}}", subscribers=people)
    made: list[str] = []

    def shown(*given: Any) -> tuple[str, tuple[Any, ...]]:
        made.append("snippet")
        return snippet(*given)

    def key(*given: str) -> str:
        made.append("key")
        return alert_key(*given)

    monkeypatch.setattr(outgoing, "snippet", shown)
    pipe.put("wire", item("1", "Troops cross the border", summary="They came at dawn."))
    assert made == ["snippet"]  # the same for all who follow the same topics
    monkeypatch.setattr(service_journey, "alert_key", key)
    found = journey_of(pipe.app, 1)
    assert made[1:] == ["key"] * 30
    assert [len(one.deliveries) for one in found.told] == [1] * 30
    assert {one.deliveries[0].subscriber == one.decision.subscriber for one in found.told} == {True}
