"""What machines read: JSON with OpenAPI, Atom, metrics, CSV.

schemathesis asks every path of /api/openapi.json for what its description allows and for what it forbids; a second
property test asks for what no description makes: text where a number belongs, broken characters, numbers of any size.
"""

from __future__ import annotations

import copy
import csv
import itertools
import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlencode

import pytest
import requests
import schemathesis
from fastapi import FastAPI
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from lxml import etree
from requests.adapters import HTTPAdapter
from schemathesis import checks
from schemathesis.core.failures import FailureGroup

from monitor.endpoints import OPEN_AFTER, SUSPEND_AFTER
from monitor.models import Audit
from monitor.service.metrics import metrics
from monitor.web import create_app
from monitor.web.backend import WebBackend
from monitor.web.machines import EventOut, ListOf, Machines
from monitor.web.serve import parts
from tests import make
from tests.desk import World, world
from tests.pipe import Pipe, item
from tests.test_web import TOKEN, Client, serving

ATOM = "{http://www.w3.org/2005/Atom}"


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    with world(tmp_path_factory.mktemp("desk")) as one:
        yield one


@pytest.fixture(scope="module")
def ask(made: World) -> Iterator[Client]:
    with serving(made.web()) as client:
        yield client


def got(ask: Client, path: str) -> Any:
    answer = ask("GET", path)
    assert answer.status == 200, (path, answer.text)
    return json.loads(answer.text)


def test_pages_of_stories_go_on_to_the_end_and_hold_each_once(ask: Client) -> None:
    ids: list[int] = []
    before = 0
    while True:
        page = got(ask, f"/api/stories?limit=50&before={before}")
        ids += [story["id"] for story in page["items"]]
        if page["next"] is None:
            break
        before = page["next"]
    assert ids == sorted(set(ids), reverse=True)
    assert len(ids) == got(ask, "/api/stories?limit=1")["items"][0]["id"]


def test_a_story_comes_with_its_matches_and_their_places(ask: Client) -> None:
    match = got(ask, "/api/matches?topic=grain")["items"][0]
    story = got(ask, f"/api/stories/{match['story']}")
    assert story["title"] == "Grain rises after the crossings close"
    spans = [(one["field"], story[one["field"]][one["start"] : one["end"]]) for one in story["matches"][0]["evidence"]]
    assert spans == [("summary", "price"), ("summary", "grain")]
    assert ask("GET", "/api/stories/99999").status == 404


def test_what_is_asked_for_by_value_is_all_that_comes(ask: Client) -> None:
    assert {one["state"] for one in got(ask, "/api/deliveries?state=dead")["items"]} == {"dead"}
    assert {one["feed"] for one in got(ask, "/api/stories?feed=delta-post")["items"]} == {"delta-post"}
    assert next(one["name"] for one in got(ask, "/api/topics")["items"]) == "border-deployments"
    assert [one["name"] for one in got(ask, "/api/feeds?state=broken")["items"]] == ["baltrop-observer"]


@pytest.mark.parametrize(("path", "count"), [("/api/feeds", 10), ("/api/topics", 5)])
def test_pages_of_what_has_a_name_go_on_to_the_end_and_hold_each_once(ask: Client, path: str, count: int) -> None:
    names: list[str] = []
    after = ""
    while True:
        page = got(ask, f"{path}?limit=2&after={after}")
        names += [one["name"] for one in page["items"]]
        if page["next"] is None:
            break
        after = page["next"]
    assert names == sorted(set(names))
    assert len(names) == count


def test_no_message_and_no_address_of_a_person_is_in_the_api(ask: Client) -> None:
    everything = "".join(ask("GET", path).text for path in ("/api/deliveries?limit=200", "/api/topics", "/metrics"))
    assert "corvid.example" not in everything
    assert "payload" not in everything


GATED = ["/api/stories", "/api/openapi.json", "/metrics", "/topics/grain.atom", "/export/stories.csv"]


@pytest.mark.parametrize("path", GATED)
def test_with_a_token_machines_must_send_it(made: World, path: str) -> None:
    with serving(made.web(TOKEN)) as ask:
        assert ask("GET", path).status == 401
        assert ask("GET", path, {"Authorization": f"Bearer {TOKEN}"}).status == 200
        assert ask("POST", path, {"Authorization": f"Bearer {TOKEN}"}).status == 405  # read-only


def test_the_page_and_feed_of_a_public_topic_are_open_and_nothing_else(tmp_path: Path) -> None:
    topics = "topics: {a: {query: border, public: true}, b: {query: border}}"
    made = World(tmp_path, topics=topics, subscribers="", entities="")
    made.pipe.put("delta-post", item("1", "Border & co"))
    app = create_app(
        WebBackend(made.app), site="x", token=TOKEN, host_names=[], secret=b"x", parts=parts(made.app),
        opened=Machines(made.app).opened,
    )  # fmt: skip
    with serving(app) as ask:
        paths = ("/topics/a.atom", "/topics/a", "/topics/b.atom", "/topics/b", "/topics/x/../a.atom", "/topics/c.atom")
        assert [ask("GET", path).status for path in paths] == [200, 200, 401, 401, 401, 401]
        assert [ask("POST", path).status for path in paths[:2]] == [401, 401]
        page, whole = ask("GET", "/topics/a").text, ask("GET", "/topics/a", {"Authorization": f"Bearer {TOKEN}"}).text
        assert "Border &amp; co" in page
        assert 'href="https://news.example/1"' in page
        for told in ("topics.yaml", "/lab", "/stories/", "subscribers", "deliveries"):  # what operators alone see
            assert told in whole, told
            assert told not in page, told


HOSTILE = 'Border <b>"&\u0007 ]]> =cmd'


def test_a_topic_is_an_atom_feed_whatever_its_publishers_write(tmp_path: Path) -> None:
    made = World(tmp_path, topics="topics: {a: {title: 'A <&> topic', query: border}}", subscribers="", entities="")
    made.pipe.put("delta-post", item("1", HOSTILE, url="javascript:alert(1)"), item("2", "Border & co", summary="<p>"))
    with serving(made.web()) as ask:
        answer = ask("GET", "/topics/a.atom")
        assert answer.headers["Content-Type"].startswith("application/atom+xml")
        root = etree.fromstring(answer.text.encode())
        assert root.findtext(f"{ATOM}title") == "A <&> topic – Corvid risk desk"
        entries = root.findall(f"{ATOM}entry")
        assert {entry.findtext(f"{ATOM}title") for entry in entries} == {'Border <b>"& ]]> =cmd', "Border & co"}
        links = [link.get("href") for entry in entries for link in entry.findall(f"{ATOM}link")]
        assert links == ["https://news.example/2"]
        for needed in ("id", "updated", "title", "author"):
            assert all(entry.find(f"{ATOM}{needed}") is not None for entry in entries)
        assert ask("GET", "/topics/none.atom").status == 404


def test_metrics_are_prometheus_text(ask: Client) -> None:
    lines = ask("GET", "/metrics").text.splitlines()
    sample = re.compile(r'[a-z_]+(\{[a-z]+="[^"]*"\})? [0-9.e+-]+')
    assert [line for line in lines if not line.startswith("#") and not sample.fullmatch(line)] == []
    for wanted in (
        'monitor_feeds{state="broken"} 1', "monitor_config_ok 1", 'monitor_deliveries{standing="failed"} 1',
        'monitor_topic_stories_today{topic="border-deployments"} 6',
    ):  # fmt: skip
        assert wanted in lines


def test_metrics_count_servers_that_are_down_and_addresses_that_refuse(tmp_path: Path) -> None:
    pipe = Pipe(tmp_path)
    for _ in range(OPEN_AFTER):
        pipe.app.store.endpoints.failed("mail smtp.example:25", pipe.time, "no answer", down=True)
    pipe.app.store.endpoints.failed("slack 0a1b", pipe.time, "rate limited", down=False, rest=60)
    for _ in range(SUSPEND_AFTER):
        pipe.app.store.endpoints.refused(make.delivery("k"), pipe.time, "550 no such user")
    said = metrics(pipe.app, pipe.time)
    states = re.findall(r'monitor_endpoints\{state="(\w+)"\} (\d)', said)
    assert states == [("down", "1"), ("failing", "0"), ("resting", "1")]
    assert "monitor_suspended_addresses 1\n" in said
    pipe.close()


def test_metrics_tell_what_the_last_audit_found(tmp_path: Path) -> None:
    pipe = Pipe(tmp_path)
    assert "monitor_audit" not in metrics(pipe.app, pipe.time)
    with pipe.app.store.write() as session:
        session.add(Audit(at=pipe.time, since=pipe.time, matches=1, decisions=1, deliveries=1, wrong=3))
    assert "monitor_audit_wrong 3\n" in metrics(pipe.app, pipe.time)
    pipe.close()


@pytest.mark.parametrize("title", ['=cmd|"/c calc"!A1', "+1", "-1", "@SUM(A1)", "\t=1", "＝1", 'a "quoted", cell'])
def test_no_cell_is_a_formula(tmp_path: Path, title: str) -> None:
    made = World(tmp_path, topics="topics: {}\n", subscribers="", entities="")
    made.pipe.put("delta-post", item("1", title))
    with serving(made.web()) as ask:
        answer = ask("GET", "/export/stories.csv")
        assert answer.headers["Content-Disposition"] == 'attachment; filename="stories.csv"'
        (row,) = csv.DictReader(answer.text.splitlines(keepends=True))
        assert row["title"].lstrip("'").strip() == title.strip()
        assert not re.match(r"[=+\-@\t\r\n＝＋－＠]", row["title"])
        assert ask("GET", "/export/secrets.csv").status == 404


def test_the_description_names_every_path(ask: Client) -> None:
    described = got(ask, "/api/openapi.json")
    assert sorted(described["paths"]) == [
        "/deliveries", "/events", "/feeds", "/matches", "/stories", "/stories/{number}", "/topics",
    ]  # fmt: skip
    assert all(set(methods) == {"get"} for methods in described["paths"].values())


CHECKS = [
    checks.not_a_server_error, checks.response_schema_conformance, checks.content_type_conformance,
    checks.status_code_conformance, checks.negative_data_rejection,
]  # fmt: skip
CHECKED = settings(max_examples=25, deadline=None, suppress_health_check=list(HealthCheck))


def asked_by_its_description(ask: Client, only: str = "") -> dict[str, int]:
    """Ask every path for what its description allows, and for what it forbids; return how often each was asked.

    Raises what schemathesis has to say of an answer that is not as described.
    """
    described = schemathesis.openapi.from_url(f"http://127.0.0.1:{ask.port}/api/openapi.json")
    session = requests.Session()  # without the limits of `monitor.send.http`, which keep no head of what they read
    session.mount("http://", HTTPAdapter())
    times: dict[str, int] = {}
    for mode, found in itertools.product(schemathesis.GenerationMode, described.get_all_operations()):
        operation = found.ok()

        @given(case=operation.as_strategy(generation_mode=mode))
        @CHECKED
        def asked(case: Any) -> None:
            times[case.operation.path] = times.get(case.operation.path, 0) + 1
            case.call_and_validate(checks=CHECKS, session=session)

        if only in ("", operation.path):
            asked()
    return times


def test_schemathesis_finds_no_answer_that_is_not_as_described(ask: Client) -> None:
    times = asked_by_its_description(ask)
    assert set(times) == set(got(ask, "/api/openapi.json")["paths"])
    assert all(number >= 20 for number in times.values()), times


FAULTS: dict[str, Callable[[dict[str, Any]], Any]] = {
    "another type": lambda event: event["properties"]["stories"].update(type="string"),
    "a field that is missing": lambda event: event["required"].append("outlets"),
}


@pytest.mark.parametrize("fault", FAULTS.values(), ids=FAULTS)
def test_schemathesis_would_find_a_body_that_is_not_as_described(
    made: World, monkeypatch: pytest.MonkeyPatch, fault: Callable[[dict[str, Any]], Any]
) -> None:
    whole = FastAPI.openapi

    def openapi(self: FastAPI) -> dict[str, Any]:
        described = copy.deepcopy(whole(self))
        fault(described["components"]["schemas"]["EventOut"])
        return described

    monkeypatch.setattr(FastAPI, "openapi", openapi)
    with serving(made.web()) as ask, pytest.raises(FailureGroup):
        asked_by_its_description(ask, "/events")


def test_schemathesis_would_find_a_fault_of_ours(made: World, monkeypatch: pytest.MonkeyPatch) -> None:
    def events(_self: Machines) -> ListOf[EventOut]:
        raise RuntimeError("a fault")

    monkeypatch.setattr(Machines, "events", events)
    with serving(made.web()) as ask, pytest.raises(FailureGroup, match="Server error"):
        asked_by_its_description(ask, "/events")


ODD = ["", "\x00", "%", "../", "💩", "1e9", "NaN"]
ANY = st.one_of(st.text(max_size=40), st.integers(-(2**70), 2**70).map(str), st.sampled_from(ODD))


@given(data=st.data())
@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_no_request_of_any_form_is_a_fault_of_ours(ask: Client, data: st.DataObject) -> None:
    described = got(ask, "/api/openapi.json")
    path = data.draw(st.sampled_from(sorted(described["paths"])))
    query: dict[str, str] = {}
    for parameter in described["paths"][path]["get"].get("parameters", []):
        value = data.draw(ANY, parameter["name"])
        if parameter["in"] == "path":
            path = path.replace(f"{{{parameter['name']}}}", quote(value, safe="", errors="replace"))
        elif data.draw(st.booleans()):
            query[parameter["name"]] = value
    answer = ask("GET", f"/api{path}?{urlencode(query, errors='replace')}")
    assert answer.status in (200, 307, 404, 422), (path, query, answer.status)
    if answer.status == 200:
        json.loads(answer.text)
