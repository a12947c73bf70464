"""The rule lab: a draft on the archive, against the saved topic."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from urllib.parse import urlencode

import pytest
import yaml
from fastapi import FastAPI
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from jinja2 import DictLoader

from monitor.config import load_config
from monitor.errors import NotFoundError, QueryError
from monitor.rules import DRAFT, check_draft, compile_draft, compile_rules
from monitor.service import lab
from monitor.service.lab import try_query
from monitor.service.mending import mistakes
from monitor.store import reports
from monitor.web import create_app, desk
from monitor.web.backend import WebBackend
from monitor.web.pages import Pages
from monitor.web.serve import parts
from tests.desk import NOW, World, world
from tests.pipe import Pipe, item
from tests.test_desk import text_of
from tests.test_web import Client, serving

TOPICS = """
topics:
  border:
    title: Border deployments
    query: 'troops AND border'
    scope: {languages: [en]}
    examples: {match: ["Troops at the border", "Soldiers at the border"], no_match: ["Troops at home"]}
"""


@pytest.fixture
def pipe(tmp_path: Path) -> Pipe:
    made = Pipe(tmp_path, topics=TOPICS)
    titles = ("Troops at the border", "Soldiers cross the border", "Troops and a border collie show", "Nothing at all")
    for day, title in enumerate(titles):
        made.put("wire", item(str(day), title, summary="A summary."))
        made.forward(days=1)
    return made


def test_gained_and_lost_are_told_with_the_clause_that_is_the_cause(pipe: Pipe) -> None:
    found = try_query(pipe.app, "(troops OR soldiers) AND border AND NOT collie", pipe.time, topic="border")
    assert (found.searched, found.hits, found.was, found.whole) == (4, 2, 2, True)
    assert (found.gained_count, found.lost_count, found.same) == (1, 1, 1)
    (gained,), (lost,) = found.gained, found.lost
    assert "".join(text for text, _ in gained.title) == "Soldiers cross the border"
    assert [text for text, marks in gained.title if marks] == ["Soldiers", "border"]
    assert gained.cause == "nothing of group 1 (troops) occurs"
    assert lost.cause == "what must be absent is there: `collie` in title"


def test_hits_are_counted_by_day_and_alerts_by_event(pipe: Pipe) -> None:
    pipe.put("post", item("again", "Troops at the border of the north today"))
    pipe.put("wire", item("copy", "Troops at the border of the north today"))
    found = try_query(pipe.app, "troops", pipe.time, days=7)
    assert [draft for _, draft, _ in found.days] == [0, 0, 1, 0, 1, 0, 2]
    assert (found.hits, found.events, found.was) == (4, 3, None)


def test_examples_of_the_topic_are_tried_on_the_draft(pipe: Pipe) -> None:
    found = try_query(pipe.app, "troops", pipe.time, topic="border")
    assert [(one.title, one.wanted, one.good) for one in found.examples] == [
        ("Soldiers at the border", True, False),
        ("Troops at home", False, False),
        ("Troops at the border", True, True),
    ]
    assert found.examples[1].why == "`troops` in title"


def test_without_a_query_the_saved_one_is_tried(pipe: Pipe) -> None:
    found = try_query(pipe.app, " ", pipe.time, topic="border")
    assert (found.query, found.gained_count, found.lost_count) == ("troops AND border", 0, 0)


def test_a_draft_has_the_scope_of_its_topic(pipe: Pipe) -> None:
    pipe.put("wire", replace(item("fr", "Troops border in French"), language="fr"))
    assert try_query(pipe.app, "french", pipe.time, topic="border").hits == 0
    assert try_query(pipe.app, "french", pipe.time).hits == 1


def test_what_the_time_did_not_allow_is_said(pipe: Pipe) -> None:
    found = try_query(pipe.app, "troops", pipe.time, seconds=-1)
    assert found.whole  # all four are in the first chunk
    for number in range(3):
        pipe.put("wire", *(item(f"{number}-{n}", f"Story {number} {n}") for n in range(400)))
    found = try_query(pipe.app, "FORMS(troop)", pipe.time, seconds=-1)  # of which the index does not know
    assert (found.whole, found.searched, found.total) == (False, 500, 1204)
    assert found.reached == pipe.time
    found = try_query(pipe.app, "troops", pipe.time, seconds=-1)
    assert (found.whole, found.searched, found.total, found.decided) == (True, 1204, 1204, 2)


MISTAKES = [
    ("a NEAR b", "NEAR needs a distance", ["a NEAR/12 b"]),
    ("a b", "no operator between", ['"a b"', "a AND b", "a OR b"]),
    ("(a OR b", "never closed", ["(a OR b)"]),
    ("a and b", "no operator between", ["a AND b"]),
    ("a OR b AND c", "which comes first", ["a OR (b AND c)", "(a OR b) AND c"]),
    ("a NOT b", "no operator between", ["a AND NOT b"]),
    ("tittle:x", "unknown field", ["title:x"]),
    ("NOT a", "only says what a story must not have", []),
    ("@nobody", "unknown entity", []),
]


@pytest.mark.parametrize(("query", "said", "fixes"), MISTAKES, ids=[query for query, _, _ in MISTAKES])
def test_a_mistake_is_told_with_fixes_that_mend_it(pipe: Pipe, query: str, said: str, fixes: list[str]) -> None:
    (wrong,) = try_query(pipe.app, query, pipe.time).wrong
    assert said in wrong.message
    assert "^" in wrong.carets
    assert [fix.query for fix in wrong.fixes] == fixes
    for fix in wrong.fixes:
        assert try_query(pipe.app, fix.query, pipe.time).wrong == ()


SEVERAL = [
    (
        "(a NEAR b) AND (@ourr OR c)\nAND tittle:x",
        ["NEAR needs", "unknown entity or list `@ourr`", "unknown field `tittle:`"],
    ),
    ("tittle:x AND foo:y AND bar:z", ["unknown field `tittle:`", "unknown field `foo:`", "unknown field `bar:`"]),
    ("a NEAR b AND c NEAR d", ["NEAR needs a distance", "NEAR needs a distance"]),
    ("(a OR b AND c OR d AND e) AND (f AND g OR h)", ["AND and OR in one group", "AND and OR in one group"]),
    ("big border troops AND @nobody", ["no operator between `big` and `border`", "unknown entity or list `@nobody`"]),
    ("@nobody AND (a b c) AND $none", ["unknown entity", "no operator between `a` and `b`", "unknown macro"]),
    ("() AND @nobody AND (a OR b", ["nothing stands in these", "unknown entity", "this parenthesis is never closed"]),
    ("a) AND (b OR c AND *d", ["this parenthesis closes nothing", "never closed", "AND and OR", "at the start of"]),
    ("border troops AND (x y OR z AND ur:a)", ["`border` and `troops`", "`x` and `y`", "AND and OR", "field `ur:`"]),
    ("ORR ORR ORR AND @nobody", ["unknown operator `ORR`", "unknown entity"]),
    ("NOT a AND NOT @nobody", ["only says what a story must not have", "unknown entity"]),
    ("a OR b AND", ["AND has nothing after it"]),
]


@pytest.mark.parametrize(("query", "said"), SEVERAL, ids=[query for query, _ in SEVERAL])
def test_every_mistake_is_told_at_its_place(tmp_path: Path, query: str, said: list[str]) -> None:
    pipe = Pipe(tmp_path, topics="topics: {}", entities=ENTITIES)
    wrong = try_query(pipe.app, query, pipe.time).wrong
    told = [one.message for one in wrong]
    assert len(told) == len(said), told
    lines = query.split("\n")
    for one, wanted in zip(wrong, said, strict=True):
        assert wanted in one.message
        assert one.source == lines[one.line - 1]
        assert one.carets.index("^") == one.column - 1
        assert "qqq" not in one.message + one.remedy
        for fix in one.fixes:
            left = try_query(pipe.app, fix.query, pipe.time).wrong
            assert len(left) < len(wrong), fix
    pipe.close()


def test_a_name_that_was_meant_is_put_in_its_place_alone(tmp_path: Path) -> None:
    pipe = Pipe(tmp_path, topics="topics: {}", entities=ENTITIES)
    (wrong,) = try_query(pipe.app, "troops AND @totl", pipe.time).wrong
    assert [fix.query for fix in wrong.fixes] == ["troops AND @total"]
    pipe.close()


WRITTEN = [
    "a",
    "b",
    "AND",
    "OR",
    "NOT",
    "NEAR",
    "NEAR/3",
    "(",
    ")",
    "@x",
    "$y",
    "tittle:",
    "title:",
    '"',
    "{",
    "*",
    "~3",
]


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.sampled_from(WRITTEN)).map(" ".join))
def test_whatever_is_written_its_first_mistake_is_told_or_none_is_there(pipe: Pipe, query: str) -> None:
    config, rules = pipe.app.config, pipe.app.rules
    first = ""
    try:
        check_draft(query, config, rules)
    except QueryError as error:
        first = error.message
    wrong = mistakes(query, config, rules)
    assert first in [one.message for one in wrong] if first else not wrong
    assert [(one.line, one.column) for one in wrong] == sorted((one.line, one.column) for one in wrong)


def test_a_query_of_any_length_and_an_unknown_topic_are_told(pipe: Pipe) -> None:
    (wrong,) = try_query(pipe.app, "a OR " * 5000 + "a", pipe.time).wrong
    assert "longer than 10,000 characters" in wrong.message
    for query in ("a b " * 2_000, "@nobody AND " * 800 + "a"):  # of which reading all takes seconds
        assert try_query(pipe.app, query, pipe.time).wrong
    with pytest.raises(NotFoundError, match="no topic `nope`"):
        try_query(pipe.app, "a", pipe.time, topic="nope")


ENTITIES = """
entities:
  may: {name: Theresa May, aliases: [May], weak: [Teresa]}
  total: {name: Total, kind: organisation}
lists: {ours: {entities: [may, total]}}
"""
WARNED = [
    ("troops OR ½", "no text can match `½`: it holds no word. Write a word that a story can hold"),
    ("$odd AND troops", "no text can match `½`: it holds no word. Write"),
    ("@may AND troops", "the alias `May` of `may` is also a common word (English), and matches it. Move it to"),
    ("@may AND troops", "the weak aliases of `may` never count: it has no `context`. Add"),
    ("@ours", "the alias `Total` of `total` is also a common word"),
    ("troops AND lang:es", "no feed in the scope of the draft could match it: it asks for `lang:es`; they are in en."),
]


@pytest.mark.parametrize(("query", "said"), WARNED)
def test_what_check_would_warn_of_is_told_of_a_draft(tmp_path: Path, query: str, said: str) -> None:
    pipe = Pipe(tmp_path, topics="macros: {odd: 'troops OR ½'}\ntopics: {}", entities=ENTITIES)
    assert any(one.startswith(said) for one in try_query(pipe.app, query, pipe.time).warnings)
    assert try_query(pipe.app, "troops", pipe.time).warnings == ()
    pipe.close()


def test_a_draft_that_its_topics_scope_shuts_in_is_warned_of(pipe: Pipe) -> None:
    (said,) = try_query(pipe.app, "troops AND lang:es", pipe.time, topic="border").warnings
    assert said.startswith("no feed in the scope of `border` could match it")


def test_a_draft_that_would_alert_too_often_is_warned_of_by_the_days_that_there_are(tmp_path: Path) -> None:
    pipe = Pipe(tmp_path, topics="topics: {}")
    pipe.put("post", *(item(f"first-{n}", f"The story of fleet {n}") for n in range(200)), baseline=True)
    assert try_query(pipe.app, "fleet", pipe.time).warnings == ()  # a first poll alerts nobody
    for day in range(2):
        pipe.put("wire", *(item(f"{day}-{n}", f"The story of day {day} and number {n}") for n in range(60)))
        pipe.forward(days=1)
    found = try_query(pipe.app, "the", pipe.time)
    assert found.hits == 320
    assert found.warnings == (
        "the draft would alert about 60 times a day: it matches 120 stories of the last 2 days, most often by `the`. "
        "Narrow it with AND, NEAR or `title:`, or leave the term out",
    )
    with serving(web(pipe)) as ask:
        page = ask("GET", "/lab?q=the").text
    assert "most often by <code><bdi>the</bdi></code>. Narrow it" in page
    pipe.close()


def web(pipe: Pipe) -> FastAPI:
    app = pipe.app
    return create_app(WebBackend(app), site="x", token=None, host_names=[], secret=b"x", parts=parts(app))


def test_no_page_of_the_lab_shows_a_backtick(ask: Client) -> None:
    for query in ("q=grain&topic=grain", "q=a+b+OR+c", "q=@nobody", "topic=border-deployments&q=army+AND+NOT+collie"):
        text = text_of(re.sub(r"<(textarea|pre).*?</\1>", "", ask("GET", f"/lab?{query}").text, flags=re.DOTALL))
        assert "`" not in text, query


@pytest.mark.parametrize("query", ["troops AND border", '"a: b" OR\n  # OR {x}', "title:troops\n\nAND border"])
def test_the_yaml_to_paste_says_the_same(tmp_path: Path, pipe: Pipe, query: str) -> None:
    found = try_query(pipe.app, query.replace("# OR ", ""), pipe.time, topic="border")
    assert found.wrong == ()
    assert found.place == "topics.yaml line 3"
    pasted = "topics:\n" + "".join(f"  {line}\n" for line in found.yaml.splitlines())
    assert yaml.safe_load(pasted)["topics"]["border"]["title"] == "Border deployments"
    (tmp_path / "config" / "topics.yaml").write_text(pasted)
    config = load_config(tmp_path / "config", {})
    again = compile_rules(config).compiled("border").tree
    assert str(again) == str(try_query_tree(pipe, found.query))


def try_query_tree(pipe: Pipe, query: str) -> object:
    return compile_draft(query, pipe.app.config, pipe.app.rules, "").compiled(DRAFT).tree


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    with world(tmp_path_factory.mktemp("desk")) as one:
        yield one


@pytest.fixture(scope="module")
def ask(made: World) -> Iterator[Client]:
    with serving(made.web()) as client:
        yield client


def test_the_page_leads_with_a_verdict(ask: Client) -> None:
    query = {"q": "suspend* NEAR/20 strait OR grain", "topic": "sarn-strait", "days": "30"}
    page = text_of(ask("GET", f"/lab?{urlencode(query)}").text)
    assert "1 story gained, 0 lost, 1 the same." in page
    assert "#risk-desk would get about 1 more alert every 30 days." in page
    assert "Not in the saved topic: NEAR/8 fails" in page
    assert re.search(r"YAML to paste at topics.yaml line \d+", page)


def test_the_page_of_a_mistake_offers_a_fix_and_no_old_result(ask: Client) -> None:
    page = ask("GET", "/lab?q=grain+NEAR+price&topic=grain").text
    assert "<title>Error: NEAR needs a distance" in page
    assert 'aria-invalid="true"' in page
    assert "No result yet" in page
    several = text_of(ask("GET", "/lab?q=grain+NEAR+price%0AAND+@kolwa&topic=grain").text)
    for told in ("The query has 2 mistakes", "Line 1, column 7: NEAR needs", "Line 2, column 5: unknown", "Use @kolva"):
        assert told in several
    assert "Correct the 2 mistakes" in several
    fix = re.search(r'href="(\?q=[^"]*)">Use NEAR/12', page)
    assert fix
    mended = text_of(ask("GET", "/lab" + fix[1].replace("&amp;", "&")).text)
    assert "0 stories gained, 0 lost, 1 the same." in mended


@pytest.mark.parametrize(
    "query", ["", "q=&topic=nope&days=x", "q=%3Cscript%3Ealert(1)%3C/script%3E", "q=%00%ff", "q=%F0%9F%92%A9"]
)
def test_the_page_answers_whatever_is_asked(made: World, ask: Client, query: str) -> None:
    answer = ask("GET", f"/lab?{query}")
    assert answer.status == 200
    assert "<script" not in answer.text
    assert made.app.now() == NOW


PEOPLE = """
subscribers:
  ruth:
    {channels: {mail: "mailto://127.0.0.1:2525?to=r@x.example"}, {QUIET}subscriptions: [{topics: all, alert: {RUTH}}]}
"""


SETTINGS = [
    "{}", "{at_most: 2/h}", "{at_most: 2/h, each: story}", "{each: story}", "{wait: 30m}", "{wait: 15m, at_most: 1/h}",
    "{updates: {sources: 2}}", "{updates: material}",
]  # fmt: skip


@pytest.mark.parametrize("quiet", ["", "quiet_hours: {from: '22:00', to: '08:00'}, "])
@pytest.mark.parametrize("settings", SETTINGS)
def test_alerts_are_what_the_policy_really_made_of_the_stories(tmp_path: Path, settings: str, quiet: str) -> None:
    pipe = Pipe(tmp_path, topics=TOPICS, subscribers=PEOPLE.replace("{RUTH}", settings).replace("{QUIET}", quiet))
    pipe.put("wire", item("first", "Troops at the border of a first poll"), baseline=True)
    heads = ["march in the north", "leave the south", "wait at a bridge", "are paid at last"]
    pipe.forward(days=1)
    for number, head in enumerate(heads):
        pipe.put("wire", item(f"a{number}", f"Troops of the border {head}"))
        pipe.forward(minutes=10)
    for feed in ("post", "wire"):
        pipe.put(feed, item(f"{feed}-same", "Border troops elect a new speaker in a long session today"))
        pipe.forward(minutes=1)
    pipe.forward(days=1)
    pipe.put("post", item("b", "Troops say little of border plans"))
    pipe.put("wire", item("c", "Border fence painted by troops on leave"))
    (alerts,) = try_query(pipe.app, "troops AND border", pipe.time, topic="border", days=7).alerts
    made = len(pipe.deliveries("alert"))
    limited = sum(reason == "limited" for _, reason in pipe.reasons())
    assert (alerts.who, alerts.messages, alerts.limited) == (("ruth",), made, limited)
    assert made > 1
    pipe.close()


def test_without_anybody_who_takes_it_the_usual_settings_are_assumed(pipe: Pipe) -> None:
    (alerts,) = try_query(pipe.app, "troops", pipe.time, days=7).alerts
    assert (alerts.who, alerts.messages) == ((), 2)


def test_those_who_turned_the_topic_off_are_not_counted_and_others_by_their_settings(tmp_path: Path) -> None:
    several = "subscribers:\n" + "".join(
        f'  {name}: {{channels: {{mail: "mailto://a:b@127.0.0.1:2525?to={name}@x.example"}}, '
        f"subscriptions: [{{topics: all, alert: {alert}}}]}}\n"
        for name, alert in (("ann", "{}"), ("bob", "{}"), ("cy", "{at_most: 1/h}"), ("di", "{}"))
    )
    pipe = Pipe(tmp_path, topics=TOPICS, subscribers=several)
    pipe.app.store.preferences.turn_off("di", "border", pipe.time, None, "a test")
    for head in (
        "Troops say little of plans",
        "Fence painted by troops on leave",
        "Bread of troops runs short in April",
    ):
        pipe.put("wire", item(head[:4], head))
    found = try_query(pipe.app, "troops", pipe.time, topic="border").alerts
    assert [(one.who, one.messages, one.limited) for one in found] == [(("ann", "bob"), 3, 0), (("cy",), 1, 2)]
    pipe.close()


def test_a_page_that_takes_longer_says_how_far_it_is_and_ends_as_any_other(
    ask: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = "/lab?" + urlencode({"q": "FORMS(battalion)", "topic": "border-deployments", "days": "90"})
    whole = ask("GET", path).text
    assert "so far" not in whole
    monkeypatch.setattr(reports, "CHUNK", 20)
    monkeypatch.setattr(lab, "CHUNK", 20)
    monkeypatch.setattr(desk, "PATIENCE", -1)
    told = ask("GET", path).text
    lines = re.findall(r"<p>Looking: (\d+) of (\d+) stories so far.</p>", told)
    assert len(lines) > 3
    assert [int(done) for done, _ in lines] == sorted({int(done) for done, _ in lines})
    without = re.sub(r'<div class="progress".*?</div>', "", told, flags=re.DOTALL)
    seconds = r"searched in [\d.]+ s"
    assert re.sub(seconds, "", text_of(without)) == re.sub(seconds, "", text_of(whole))


def test_what_is_known_of_a_page_is_sent_before_the_rest_is() -> None:
    def steps() -> Iterator[tuple[int, int]]:
        for number in (1, 2):
            sent.append(f"step {number}")
            yield number, 2

    sent: list[str] = []
    pages = Pages("x")
    pages._environment.loader = DictLoader({"p.html.j2": "a{% for n, _ in steps %}{{ n }}{{ part }}{% endfor %}z"})
    for part in pages.parts("p", up="", steps=steps()):
        sent.append(part)
    assert sent == ["step 1", "a1", "step 2", "2", "z"]
