"""Pages of a program with much of everything: under 60 KB each, and what is left out is a link away."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import timedelta

import pytest

from tests.desk import web_of
from tests.pipe import Pipe, item
from tests.test_desk import text_of
from tests.test_web import Client, serving

LIMIT = 60_000
SOURCES = 60
RULE = "title: Deployments of every kind of force %s, query: (border OR frontier) AND (troops OR number%s)"
TOPICS = "topics:\n" + "".join(f"  topic-{n}: {{{RULE % (n, n)}}}\n" for n in range(200))
TOPICS += "".join(f"  near-{n}: {{query: border NEAR/1 marched}}\n" for n in range(30))
FEEDS = "feeds:\n" + "".join(
    f"  outlet-{n}: {{url: 'https://o{n}.example/x.xml', source: Outlet {n}, language: en}}\n" for n in range(SOURCES)
)
PEOPLE = "subscribers:\n" + "".join(
    f"  person-{n}: {{name: Person number {n} of the desk, channels: {{mail: 'mailto://127.0.0.1:2525?to=p{n}@x.example'}},"
    f" subscriptions: [{{topics: {'all' if n % 2 else '[near-0]'}, alert: {{via: [mail]}}}}]}}\n"
    for n in range(150)
)
TITLE = "Troops of Ruritania cross the border at Vidin " + "and march on " * 15
TEXT = "Residents said that troops had marched to the border before dawn on Tuesday. " * 70


@pytest.fixture(scope="module")
def ask(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Client]:
    pipe = Pipe(tmp_path_factory.mktemp("much"), topics=TOPICS, feeds=FEEDS, subscribers=PEOPLE)
    for n in range(SOURCES):
        pipe.time += timedelta(minutes=1)
        pipe.put(f"outlet-{n}", item(f"{n}", TITLE, summary=TEXT if n in (0, SOURCES - 1) else ""))
    with serving(web_of(pipe.app)) as client:
        yield client
    pipe.close()


THOUSAND = "subscribers:\n" + "".join(
    f"  person-{n}: {{name: Person number {n} of the desk, channels: {{mail: 'mailto://127.0.0.1:2525?to=p{n}@x.example'}},"
    " digest: {at: ['17:00']}, subscriptions: [{topics: all, alert: {via: [mail]}, digest: true}]}\n"
    for n in range(1_000)
)


@pytest.fixture(scope="module")
def ask_of_many(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Client]:
    """A program with a thousand subscribers, each of whom was told of a few stories."""
    topics = "".join(TOPICS.splitlines(keepends=True)[:4])
    pipe = Pipe(tmp_path_factory.mktemp("many"), topics=topics, feeds=FEEDS, subscribers=THOUSAND)
    for n in range(3):
        pipe.time += timedelta(minutes=1)
        pipe.put(f"outlet-{n}", item(f"{n}", TITLE, summary=TEXT))
    with serving(web_of(pipe.app)) as client:
        yield client
    pipe.close()


@pytest.mark.parametrize(
    "path",
    ["/", "/events", "/stories", "/stories/1", "/stories/1?who=person-999", "/stories/1?people=975&messages=980",
     "/topics", "/topics/topic-0", "/deliveries", "/deliveries?state=queued", "/subscribers", "/subscribers?skip=950",
     "/subscribers/person-999", "/subscribers/person-999/digest", "/subscribers/person-999/digest?form=text",
     "/lab?topic=topic-0&q=border+AND+troops"],
)  # fmt: skip
def test_no_page_is_too_large_for_a_thousand_subscribers(ask_of_many: Client, path: str) -> None:
    answer = ask_of_many("GET", path)
    assert answer.status == 200
    assert len(answer.text.encode()) < LIMIT


def test_each_of_a_thousand_subscribers_is_a_few_links_away(ask_of_many: Client) -> None:
    said = text_of(ask_of_many("GET", "/stories/1").text)
    assert "Decided for 1,000 subscribers" in said
    assert "1 to 25 of 1,000 Next 25 subscribers" in said
    assert "Person number 999 of the desk" in text_of(ask_of_many("GET", "/stories/1?who=person-999").text)
    assert "1 to 50 of 1,000 Next 50" in text_of(ask_of_many("GET", "/subscribers").text)
    assert "Person number 999 of the desk" in text_of(ask_of_many("GET", "/subscribers?skip=950").text)


@pytest.mark.parametrize(
    "path",
    ["/", "/events?days=7", "/stories", "/stories?story=troops", "/stories/1", "/stories/1?who=person-7",
     "/stories/60", "/topics",
     "/topics/topic-3", "/deliveries", "/feeds", "/subscribers",
     "/stories/1?topics=20&people=25&messages=20&stories=15"],
)  # fmt: skip
def test_no_page_is_too_large_with_much_of_everything(ask: Client, path: str) -> None:
    answer = ask("GET", path)
    assert answer.status == 200
    assert len(answer.text.encode()) < LIMIT


def test_a_story_that_many_topics_match_shows_one_whole_and_leads_to_the_others(ask: Client) -> None:
    page = ask("GET", "/stories/1").text
    said = text_of(page)
    assert "matched 200 of 230 topics" in said
    whole = page.count("As decided") - page[page.index('id="close"') :].count("As decided")
    assert 1 <= whole <= 3
    assert f"Matched {200 - whole} more topics" in said
    assert f"1 to 20 of {200 - whole} Next 20 topics" in said
    seen = set(re.findall(r"\?topic=(topic-\d+)#t1", page))
    for skip in range(20, 200, 20):
        seen |= set(re.findall(r"\?topic=(topic-\d+)#t1", ask("GET", f"/stories/1?topics={skip}").text))
    assert len(seen) == 200 - whole
    other = sorted(seen)[-1]
    asked = ask("GET", f"/stories/1?topic={other}").text
    first = text_of(asked[asked.index('id="t1"') : asked.index('id="t1"') + 300])
    assert f"Deployments of every kind of force {other[6:]}" in first


def test_people_and_messages_of_a_story_come_in_parts(ask: Client) -> None:
    said = text_of(ask("GET", "/stories/1").text)
    assert "1 to 25 of 150 Next 25 subscribers" in said
    assert "1 to 20 of 75 Next 20 messages" in said
    last = ask("GET", "/stories/1?people=125&who=person-7").text
    assert "126 to 150 of 150" in text_of(last)
    assert 'href="../stories/1?who=person-7&amp;people=0#j4"' in last
    assert ask("GET", "/stories/1?people=99999&messages=x&stories=-1").status == 200


def test_of_many_subscribers_one_is_named_and_not_chosen(ask: Client) -> None:
    for path in ("/", "/stories", "/stories/1"):
        page = ask("GET", path).text
        assert "<option" not in page
        assert 'name="who"' in page
    for who in ("person-7", "Person+number+7+of+the+desk", "PERSON-7"):
        said = text_of(ask("GET", f"/stories/1?who={who}").text)
        assert "Person number 7 of the desk has not got it yet" in said
        assert re.search(r"It matched (Deployments of every kind of force \d+, ){2}.* and 197 more at", said)
    nobody = ask("GET", "/stories/1?who=%3Cb%3Enobody")
    assert (nobody.status, "No subscriber is called <bdi>&lt;b&gt;nobody</bdi>" in nobody.text) == (200, True)
