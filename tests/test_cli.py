"""The command line: exit statuses, what goes to which stream, and the names of JSON's fields, as the contract says."""

from __future__ import annotations

import csv
import email
import gzip
import json
import logging
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from email.policy import default
from io import BytesIO, StringIO, TextIOWrapper
from pathlib import Path
from typing import Any

import pytest
from rich.cells import cell_len
from rich.console import Console

from monitor import __version__
from monitor.cli import cli, commands, common, main
from monitor.config import load_config
from monitor.endpoints import OPEN_AFTER, SUSPEND_AFTER
from monitor.errors import QueryError
from monitor.models import Delivery, Story
from monitor.query import parse
from monitor.store import Store
from tests.conftest import PROJECT
from tests.fakes import Answer, FeedServer
from tests.make import MONITOR, SUBSCRIBERS, rss, write_config
from tests.pipe import Pipe, item
from tests.servers import MailServer
from tests.test_sanctions import OFAC

TOPICS = """
topics:
  sanctions: {title: Sanctions, any: [sanction*, embargo, "@ardent-lark"], examples: {match: [New sanctions]}}
  ports: {title: Ports, any: [harbour]}
"""
ENTITIES = "entities:\n  ardent-lark: {name: Ardent Lark, kind: vessel}\n"


@dataclass(frozen=True)
class Ran:
    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)


Run = Callable[..., Ran]


@pytest.fixture
def run(folder: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> Iterator[Run]:
    """Run a command in this process, as `monitor` would be, on `config` and `data` in `folder`."""
    monkeypatch.chdir(folder)
    root = logging.getLogger()
    before, level = root.handlers[:], root.level
    monkeypatch.delenv("MONITOR_CONFIG", raising=False)
    monkeypatch.delenv("MONITOR_DATA", raising=False)
    monkeypatch.setenv("COLUMNS", "200")

    def run_it(*words: str, stdin: bytes = b"") -> Ran:
        monkeypatch.setattr(sys, "argv", ["monitor", *words])
        monkeypatch.setattr(sys, "stdin", TextIOWrapper(BytesIO(stdin), encoding="utf-8"))
        capfd.readouterr()
        with pytest.raises(SystemExit) as stopped:
            main()
        shown = capfd.readouterr()
        code = stopped.value.code
        return Ran(code if isinstance(code, int) else 0 if code is None else 1, shown.out, shown.err)

    yield run_it
    root.handlers[:] = before
    root.setLevel(level)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with a good configuration in `config`."""
    write_config(tmp_path / "config", topics=TOPICS, entities=ENTITIES)
    return tmp_path


@pytest.fixture
def wire() -> Iterator[FeedServer]:
    with FeedServer() as server:
        yield server


@pytest.fixture
def mail_server() -> Iterator[MailServer]:
    server = MailServer()
    server.start()
    yield server
    server.stop()


@pytest.fixture
def told(folder: Path, wire: FeedServer, mail_server: MailServer, run: Run) -> Path:
    """The folder after `monitor run --once`, twice: a story was alerted by mail, another matched nothing."""
    url = wire.route("/feed.xml", Answer(rss(("0", "Old harbour"))))
    feeds = f"feeds:\n  wire: {{url: '{url}', source: Northern Wire, language: en}}\n"
    subscribers = SUBSCRIBERS.replace("2525", str(mail_server.port))
    write_config(folder / "config", feeds=feeds, subscribers=subscribers, topics=TOPICS, entities=ENTITIES)
    assert run("run", "--once").code == 0
    wire.route("/feed.xml", Answer(rss(("0", "Old harbour"), ("1", "Embargo on the Ardent Lark|x"), ("2", "Fair"))))
    assert run("run", "--once").code == 0
    assert len(mail_server.mails) == 1
    return folder


# --- every command, as a whole

COMMANDS = sorted(
    str(command.name or command.callback.__name__) for command in cli.registered_commands if command.callback
)


def test_the_commands_are_those_of_the_reference() -> None:
    reference = (PROJECT / "docs" / "reference" / "commands.md").read_text(encoding="utf-8")
    names = [name.replace("_", "-") for name in COMMANDS]
    assert [name for name in names if f"| `monitor {name}" not in reference] == []
    assert {"check", "deliveries", "demo", "digest", "explain", "export", "extract", "feeds", "group", "import", "init",
            "match", "migrate", "parse", "poll", "query", "retry", "run", "schema", "status"} <= set(names)  # fmt: skip


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_has_help_and_takes_the_common_options(run: Run, command: str) -> None:
    shown = run(command.replace("_", "-"), "--help")
    assert (shown.code, shown.err) == (0, "")
    for option in ("--config", "--data", "--json", "--help"):
        assert option in shown.out


WRONG_USAGE = [
    ("frobnicate",),
    ("check", "--frobnicate"),
    ("check", "extra"),
    ("init",),
    ("poll",),
    ("query",),
    ("parse",),
    ("extract",),
    ("explain",),
    ("digest",),
    ("retry",),
    ("retry", "seven"),
    ("silence", "sanctions"),
    ("silence", "--for", "4h"),
    ("silence", "sanctions", "--for", "4h", "--lift"),
    ("silence", "sanctions", "--for", "soon"),
    ("pause", "ruth"),
    ("pause", "ruth", "--for", "a week"),
    ("audit", "--since", "noon"),
    ("run", "--only", "poll,sing"),
    ("deliveries", "--state", "lost"),
    ("deliveries", "--limit", "0"),
    ("digest", "ruth", "--format", "pdf"),
    ("digest", "ruth", "--at", "noon"),
    ("digest", "ruth", "--at", "0001-01-01T00:00"),
    ("digest", "ruth", "--at", "9999-12-31T23:59:59-11:00"),
    ("demo", "--pace", "0"),
    ("import",),
    ("import", "opml"),
    ("import", "cookies", "x.txt"),
    ("export",),
    ("export", "secrets"),
    ("export", "stories", "--format", "xml"),
    ("export", "stories", "--since", "noon"),
    ("export", "stories", "--since", "9999999d"),
    ("export", "stories", "--json", "--format", "csv"),
    ("export", "opml", "--format", "csv"),
    ("try",),
    ("try", "a", "--since", "noon"),
]


@pytest.mark.parametrize("words", WRONG_USAGE, ids=" ".join)
def test_wrong_usage_exits_2_and_says_so_on_standard_error(run: Run, words: tuple[str, ...]) -> None:
    shown = run(*words)
    assert (shown.code, shown.out) == (2, "")
    assert shown.err


NEEDS_CONFIG = [
    ("check",),
    ("run", "--once"),
    ("run",),
    ("migrate",),
    ("status",),
    ("feeds",),
    ("poll", "wire"),
    ("match",),
    ("group",),
    ("digest", "ruth"),
    ("deliveries",),
    ("retry", "1"),
    ("silence",),
    ("pause",),
    ("release",),
    ("audit",),
    ("explain", "x"),
    ("export", "stories"),
    ("import", "opml", "http://127.0.0.1:9/list.opml"),
]


@pytest.mark.parametrize("words", NEEDS_CONFIG, ids=" ".join)
def test_a_bad_configuration_exits_1_and_names_the_place(folder: Path, run: Run, words: tuple[str, ...]) -> None:
    (folder / "config" / "topics.yaml").write_text("topics: {t: {query: 'a AND'}}\n")
    shown = run(*words)
    assert shown.code == 1
    where, other = (shown.out, shown.err) if words == ("check",) else (shown.err, shown.out)
    assert "config/topics.yaml:1:" in where
    assert other == ""
    assert "Traceback" not in shown.err


@pytest.mark.parametrize(
    "words",
    [w for w in NEEDS_CONFIG if w[0] not in ("check", "match", "group", "import") and w != ("run",)],
    ids=" ".join,
)
def test_a_database_that_cannot_be_opened_exits_3(folder: Path, run: Run, words: tuple[str, ...]) -> None:
    (folder / "data").mkdir()
    (folder / "data" / "monitor.db").write_text("this is no database, whatever its name says " * 100)
    shown = run(*words)
    assert (shown.code, shown.out) == (3, "")
    assert shown.err
    assert "Traceback" not in shown.err


def test_the_version_is_printed(run: Run) -> None:
    assert run("--version").out == f"News Monitor {__version__}\n"


def test_the_command_is_installed_and_exits_as_it_does_here(folder: Path) -> None:
    command = [sys.executable, "-m", "monitor", "match"]
    done = subprocess.run(command, input=b'{"id": 1}\nnot JSON\n', capture_output=True, cwd=folder, timeout=60)
    assert (done.returncode, done.stdout) == (1, b'{"id": 1, "topics": {}, "entities": {}}\n')
    assert done.stderr.startswith(b"line 2: not a line of JSON")


# --- init, check, schema, migrate


def test_init_writes_a_configuration_that_is_good_and_never_over_another(tmp_path: Path, run: Run) -> None:
    shown = run("init", str(tmp_path / "desk"))
    assert (shown.code, shown.err) == (0, "")
    assert f"monitor check --config {tmp_path / 'desk'}" in shown.out
    assert load_config(tmp_path / "desk", {}).topics
    again = run("init", str(tmp_path / "desk"))
    assert (again.code, again.out) == (1, "")
    assert "is not empty" in again.err
    as_json = run("init", str(tmp_path / "other"), "--json").json
    assert as_json["files"] == ["entities.yaml", "feeds.yaml", "monitor.yaml", "subscribers.yaml", "topics.yaml"]
    (tmp_path / "file").write_text("")
    assert run("init", str(tmp_path / "file" / "desk")).code == 3


def test_check_says_what_is_good(folder: Path, run: Run) -> None:
    (folder / "config" / "monitor.yaml").write_text(MONITOR.replace("web: off\n", ""))
    shown = run("check")
    assert (shown.code, shown.err) == (0, "")
    assert shown.out == "config is good: 2 feeds, 2 topics with 1 good example, 1 subscriber switched on.\n"
    assert run("check", "--json").json == {"ok": True, "problems": []}


def test_check_prints_every_problem_with_the_fields_of_the_contract(folder: Path, run: Run) -> None:
    write_config(
        folder / "config",
        topics="topics:\n  a: {query: 'x AND'}\n  b: {any: [y], examples: {match: [z]}}\n",
        subscribers="subscribers:\n  r: {channels: {m: 'foo://bar'}, subscriptions: [{topics: [a], alert: {}}]}\n",
        monitor="site: Desk\n",
    )
    shown = run("check", "--json")
    assert (shown.code, shown.err) == (1, "")
    assert list(shown.json) == ["ok", "problems"]
    assert shown.json["ok"] is False
    assert {tuple(problem) for problem in shown.json["problems"]} == {
        ("level", "file", "line", "column", "message", "fix")
    }
    assert [(p["level"], p["file"], p["line"]) for p in shown.json["problems"]] == [
        ("error", "config/topics.yaml", 2),
        ("error", "config/topics.yaml", 3),
        ("error", "config/subscribers.yaml", 2),
    ]
    text = run("check")
    assert text.out.endswith("3 mistakes in config.\n")
    assert "knows no service `foo://`; mail is mailto:// or mailtos://, Slack is slack://" in text.out


def test_the_topic_of_the_tutorial_holds_and_breaks_as_it_says(folder: Path, run: Run) -> None:
    text = (PROJECT / "docs" / "tutorial.md").read_text(encoding="utf-8")
    topic = text.partition("```yaml\n")[2].partition("```")[0]
    assert run("init", "my-desk").code == 0
    topics = folder / "my-desk" / "topics.yaml"
    shipped = topics.read_text(encoding="utf-8")
    topics.write_text(shipped + topic, encoding="utf-8")
    assert run("check", "--config", "my-desk").code == 0
    topics.write_text(shipped + topic.replace("export*", "exprot*"), encoding="utf-8")
    broken = run("check", "--config", "my-desk")
    assert broken.code == 1
    assert "`Wheat exports halted after the storm` must match, and it does not" in broken.out
    topics.write_text(shipped + topic, encoding="utf-8")
    line = text.partition("echo '")[2].partition("'")[0]
    assert list(run("match", "--config", "my-desk", stdin=line.encode()).json["topics"]) == ["grain"]


def test_check_of_a_failing_example_alone_exits_1(folder: Path, run: Run) -> None:
    write_config(folder / "config", topics="topics:\n  b: {any: [y], examples: {match: [z]}}\n")
    shown = run("check")
    assert shown.code == 1
    assert shown.out.endswith("1 mistake in config.\n")


def test_schema_is_json_with_and_without_being_asked_to(run: Run) -> None:
    assert run("schema").json == run("schema", "--json").json
    assert "properties" in run("schema").json


def test_migrate_makes_the_database(folder: Path, run: Run) -> None:
    assert run("migrate").out == "The database is up to date.\n"
    assert (folder / "data" / "monitor.db").exists()
    assert run("migrate", "--json").json == {"ok": True}


# --- query, match, parse: no database


def test_query_shows_the_tree_or_the_mistake_with_its_caret(run: Run) -> None:
    assert run("query", "troops AND border").out == "all of\n  troops\n  border\n"
    good = run("query", "troops AND border", "--json").json
    assert list(good) == ["ok", "query", "tree"]
    assert good["tree"]["kind"] == "and"
    below = [(child["kind"], child["text"]) for child in good["tree"]["children"]]
    assert below == [("term", "troops"), ("term", "border")]
    assert run("query", "@nosuchthing").code == 1
    bad = run("query", "troops AND")
    assert (bad.code, bad.err) == (1, "")
    assert "troops AND\n" in bad.out
    assert "^" in bad.out
    as_json = run("query", "troops AND", "--json")
    assert as_json.code == 1
    assert list(as_json.json) == ["ok", "message", "start", "end", "fix"]


def test_many_terms_side_by_side_share_a_line(run: Run) -> None:
    few = " OR ".join("abcde")
    assert run("query", few).out == "any of\n  a\n  b\n  c\n  d\n  e\n"
    assert run("query", f"{few} OR f OR (g AND h)").out == "any of\n  a, b, c, d, e, f\n  all of\n    g\n    h\n"
    assert run("query", f"{few} OR @ardent-lark").out.endswith("  e\n  @ardent-lark: Ardent Lark\n")


@pytest.fixture
def terminal(monkeypatch: pytest.MonkeyPatch) -> Console:
    """A terminal of 40 columns in place of standard output."""
    made = Console(
        file=StringIO(),
        force_terminal=True,
        color_system="standard",
        width=40,
        record=True,
        highlight=False,
        soft_wrap=True,
    )
    monkeypatch.setattr(common, "out", made)
    return made


def _mistake(query: str) -> QueryError:
    with pytest.raises(QueryError) as caught:
        parse(query)
    return caught.value


def test_in_a_terminal_a_long_query_is_cut_around_its_mistake(terminal: Console) -> None:
    common.mistake(_mistake(f"{'alpha OR ' * 30}东京 AND beta{' OR gamma' * 30}"))
    shown = terminal.export_text().splitlines()
    line, under = shown[2:4]
    assert line.startswith("    …")
    assert line.endswith("…")
    assert cell_len(line) <= 40
    assert cell_len(under.rstrip("^")) == cell_len(line[: line.index("AND")])
    assert under.endswith(" ^^^")
    assert all(cell_len(text) <= 40 for text in shown)


def test_the_mistake_is_marked_by_colour_too_and_alone_where_a_line_runs_from_right_to_left(terminal: Console) -> None:
    common.mistake(_mistake("a XOR b"))
    assert "a \x1b[1;31mXOR\x1b[0m b" in terminal.export_text(styles=True, clear=False)
    assert "      ^^^" in terminal.export_text()
    common.mistake(_mistake("سیاست XOR مرزی"))
    shown = terminal.export_text()
    assert "    at: XOR\n" in shown
    assert "write \u2066`سیاست OR مرزی`\u2069" in shown
    assert "^" not in shown


def test_check_colours_the_place_and_the_mistake_and_not_the_words(
    folder: Path, terminal: Console, monkeypatch: pytest.MonkeyPatch, run: Run
) -> None:
    monkeypatch.setattr(commands, "out", terminal)
    write_config(folder / "config", topics="topics: {t: {query: border XOR troops}}", entities=ENTITIES)
    assert run("check").code == 1
    shown = terminal.export_text(styles=True)
    assert "error:\x1b[0m unknown operator `XOR`\n    border XOR troops\n\x1b[1;31m           ^^^\x1b[0m\n" in shown
    assert "\x1b[1mFix:\x1b[0m write `border OR troops`" in shown


def test_match_answers_each_line_in_order_with_the_fields_of_the_contract(folder: Path, run: Run) -> None:
    lines = b'{"id": "a", "title": "Embargo on the Ardent Lark"}\n\n{"id": 2, "summary": "Nothing"}\r\n'
    shown = run("match", stdin=lines)
    assert (shown.code, shown.err) == (0, "")
    first, second = (json.loads(line) for line in shown.out.splitlines())
    assert list(first) == ["id", "topics", "entities"]
    assert first["topics"] == {
        "sanctions": [
            {"field": "title", "start": 0, "end": 7, "term": "embargo"},
            {"field": "title", "start": 15, "end": 26, "term": "@ardent-lark"},
        ]
    }
    assert first["entities"] == {"ardent-lark": [{"field": "title", "start": 15, "end": 26, "term": "Ardent Lark"}]}
    assert second == {"id": 2, "topics": {}, "entities": {}}
    assert run("match", "--json", stdin=lines).out == shown.out
    assert not (folder / "data").exists()


def reported(*stories: tuple[str, str, str, str]) -> bytes:
    """Lines of stories: id, headline, source and when it was published."""
    names = ("id", "title", "source", "published")
    return "".join(json.dumps(dict(zip(names, one, strict=True))) + "\n" for one in stories).encode()


FIRE = reported(
    ("a", "Fire at Swiss ski resort kills several people", "Herald", "2026-01-01T08:00:00Z"),
    ("b", "Hamburg mayor resigns over land deal", "Wire", "2026-01-01T08:30:00+01:00"),
    ("c", "Several dead in Swiss ski resort bar fire", "Wire", "2026-01-01T10:00:00"),
)


def test_group_names_each_storys_event_and_why_in_order(folder: Path, run: Run) -> None:
    shown = run("group", stdin=FIRE + b"\n")
    assert (shown.code, shown.err) == (0, "")
    lines = [json.loads(line) for line in shown.out.splitlines()]
    assert [list(line) for line in lines] == [["id", "event", "why"]] * 3
    assert [(line["id"], line["event"]) for line in lines] == [("a", "a"), ("b", "b"), ("c", "a")]
    assert lines[2]["why"].startswith("joins: likeness 0.")
    assert "2 h after the lead; the nearest refused: " not in lines[0]["why"]
    assert run("group", "--json", stdin=FIRE).out == shown.out
    assert not (folder / "data").exists()


def test_group_keeps_to_the_window_of_the_configuration_and_needs_none(folder: Path, run: Run) -> None:
    events = [json.loads(line)["event"] for line in run("group", "--config", "nowhere", stdin=FIRE).out.splitlines()]
    assert events == ["a", "b", "a"]
    for said, wanted in (
        ("{window: 1h}", ["a", "b", "c"]),
        ("off", ["a", "b", "c"]),
        ("{window: 3h}", ["a", "b", "a"]),
    ):
        (folder / "config" / "monitor.yaml").write_text(f"{MONITOR}events: {said}\n")
        assert [json.loads(line)["event"] for line in run("group", stdin=FIRE).out.splitlines()] == wanted


@pytest.mark.parametrize("published", [None, "", "yesterday", "2002-09-0614", "9999-12-31T23:59:59Z"])
def test_group_takes_a_story_that_says_no_time_as_of_the_one_before(run: Run, published: str | None) -> None:
    odd = {"id": 7, "title": "Hamburg mayor resigns over the land deal", "published": published}
    lines = FIRE.splitlines(keepends=True)
    shown = run("group", stdin=b"".join([*lines[:2], json.dumps(odd).encode() + b"\n", lines[2]]))
    events = [json.loads(line)["event"] for line in shown.out.splitlines()]
    assert events == ["a", "b", 7 if published and published.startswith("9999") else "b", "a"]


def test_group_of_a_line_that_is_no_story_exits_1_and_names_the_line(run: Run) -> None:
    shown = run("group", stdin=FIRE + b'{"id": 4, "published": 5}\n')
    assert (shown.code, shown.err) == (1, 'line 4: "published" is int, and text is wanted\n')
    assert len(shown.out.splitlines()) == 3


def test_match_needs_neither_feeds_nor_subscribers(folder: Path, run: Run) -> None:
    for name in ("feeds", "subscribers", "monitor"):
        (folder / "config" / f"{name}.yaml").unlink()
    shown = run("match", stdin=b'{"id": 1, "title": "Embargo"}')
    assert (shown.code, shown.err, list(shown.json["topics"])) == (0, "", ["sanctions"])


def test_match_takes_a_byte_order_mark_and_letters_that_no_encoding_has(run: Run) -> None:
    shown = run("match", stdin=b'\xef\xbb\xbf{"id": "\\ud83d", "title": "Embargo"}\n')
    assert (shown.code, shown.err) == (0, "")
    assert shown.json["id"] == "\ud83d"


BAD_LINES = [
    (b"not JSON", "line 1: not a line of JSON"),
    (b"[1]", 'line 1: a story is a JSON object with an "id"'),
    (b'{"title": "x"}', 'line 1: a story is a JSON object with an "id"'),
    (b'{"id": 1, "title": 5}', 'line 1: "title" is int, and text is wanted'),
    (b'{"id": 1, "tags": "x"}', 'line 1: "tags" is a list of texts'),
    (b'{"id": 1}\n{"id": 2', "line 2: not a line of JSON"),
    (b"[" * 100_000, "line 1: not a line of JSON"),
]


@pytest.mark.parametrize(("stdin", "said"), BAD_LINES, ids=[said for _, said in BAD_LINES])
def test_match_of_a_line_that_is_no_story_exits_1_and_names_the_line(run: Run, stdin: bytes, said: str) -> None:
    shown = run("match", stdin=stdin)
    assert shown.code == 1
    assert shown.err.startswith(said)
    assert len(shown.out.splitlines()) == stdin.count(b"\n")


def test_parse_prints_a_document_with_the_fields_of_the_contract(tmp_path: Path, run: Run) -> None:
    file = tmp_path / "feed.xml"
    file.write_bytes(rss(("g1", "A title|A summary")).replace(b"https://news.example/g1", b"/g1"))
    shown = run("parse", str(file), "--url", "https://wire.example/rss", "--content-type", "text/xml")
    assert (shown.code, shown.err) == (0, "")
    assert list(shown.json) == ["feed", "stories", "problems"]
    (story,) = shown.json["stories"]
    assert list(story) == ["guid", "url", "title", "summary", "text", "author", "published", "tags"]
    assert (story["guid"], story["title"], story["summary"]) == ("g1", "A title", "A summary")
    assert run("parse", "-", stdin=file.read_bytes()).json["stories"][0]["url"].endswith("/g1")
    assert run("parse", str(file), "--json").json["feed"] == shown.json["feed"]


def test_parse_of_what_is_no_feed_or_no_file_exits_1(tmp_path: Path, run: Run) -> None:
    page = run("parse", "-", stdin=b"<html><body>no feed</body></html>")
    assert page.code == 1
    assert page.json["stories"] == []
    assert page.json["problems"]
    for path in (tmp_path / "nowhere.xml", tmp_path):
        shown = run("parse", str(path))
        assert (shown.code, shown.out) == (1, "")
        assert f"{path} cannot be read" in shown.err


def test_parse_gives_up_at_the_deadline(tmp_path: Path, run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("monitor.cli.inspect.PARSE_DEADLINE", 0.2)
    file = tmp_path / "feed.xml"
    file.write_bytes(b"<rss><channel>" + b"<item><title>a</title></item>" * 500_000)
    shown = run("parse", str(file))
    assert (shown.code, shown.out) == (1, "")
    assert "took longer than 0.2 seconds" in shown.err


ARTICLE = (
    b"<html lang='en'><head><title>Soldiers to guard the quay</title><link rel='canonical' href='/quay'>"
    b"<meta property='article:published_time' content='2026-11-25T09:30:00Z'></head><body><article><p>"
    + b"The harbour authority said that forty soldiers would guard the northern quay. " * 20
    + b"</p></article></body></html>"
)


@pytest.mark.parametrize("packed", [False, True])
def test_extract_prints_an_article_with_the_fields_of_the_contract(tmp_path: Path, run: Run, packed: bool) -> None:
    file = tmp_path / "page"
    file.write_bytes(gzip.compress(ARTICLE) if packed else ARTICLE)
    shown = run("extract", str(file))
    assert (shown.code, shown.err) == (0, "")
    assert list(shown.json) == ["title", "text", "published", "language", "canonical_url", "paywalled"]
    assert shown.json["text"].count("northern quay") == 20
    assert shown.json["title"] == "Soldiers to guard the quay"
    assert (shown.json["published"], shown.json["language"]) == ("2026-11-25T09:30:00Z", "en")
    assert shown.json["paywalled"] is False


def test_extract_of_an_address_fetches_it_within_the_configurations_limits(run: Run, wire: FeedServer) -> None:
    url = wire.route("/story", Answer(ARTICLE, content_type="text/html"))
    shown = run("extract", url)
    assert (shown.code, shown.json["canonical_url"]) == (0, wire.url("/quay"))
    write_config(Path("config"), monitor="mail_from: news@corvid.example\n")
    refused = run("extract", url)
    assert (refused.code, refused.out) == (3, "")
    assert "private or reserved address" in refused.err


def test_extract_of_what_holds_no_article_or_is_no_file_exits_1(tmp_path: Path, run: Run) -> None:
    file = tmp_path / "page.html"
    file.write_bytes(b"<html><body></body></html>")
    shown = run("extract", str(file))
    assert (shown.code, shown.json["text"], shown.json["published"]) == (1, "", None)
    broken = tmp_path / "page.html.gz"
    broken.write_bytes(gzip.compress(ARTICLE)[:200])
    for path in (tmp_path / "nowhere.html", tmp_path, broken):
        shown = run("extract", str(path))
        assert (shown.code, shown.out) == (1, "")
        assert f"{path} cannot be read" in shown.err


# --- run, poll, status, feeds


def test_run_once_says_on_standard_error_that_there_is_nothing_to_do(folder: Path, run: Run) -> None:
    for name in ("feeds", "subscribers"):
        (folder / "config" / f"{name}.yaml").unlink()
    shown = run("run", "--once")
    assert shown.code == 0
    assert "There is nothing to poll" in shown.err
    assert "There is nobody to tell" in shown.err
    assert shown.out.startswith("0 feeds polled")


@pytest.mark.usefixtures("told")
def test_run_once_polls_and_sends_and_tells_what_it_did(run: Run, wire: FeedServer) -> None:
    shown = run("run", "--once")
    assert "1 feeds polled, 0 failed; 0 new stories" in shown.out
    as_json = run("run", "--once", "--json").json
    assert list(as_json) == ["polled", "new", "matched", "messages"]
    wire.route("/feed.xml", Answer(status=500))
    failed = run("run", "--once")
    assert failed.code == 3
    assert "wire: " in failed.out


@pytest.mark.usefixtures("told")
def test_poll_tells_what_came_and_exits_3_when_the_feed_cannot_be_read(run: Run, wire: FeedServer) -> None:
    assert run("poll", "wire").out.startswith("wire: ")
    (row,) = run("poll", "wire", "--json").json
    assert (row["feed"], row["result"]) == ("wire", "unchanged")
    wire.route("/feed.xml", Answer(status=404))
    assert run("poll", "wire").code == 3
    unknown = run("poll", "wier")
    assert (unknown.code, unknown.out) == (1, "")
    assert "no feed `wier`" in unknown.err


def test_run_once_tells_the_operators_of_a_feed_that_breaks(folder: Path, run: Run, wire: FeedServer) -> None:
    monitor = MONITOR + 'operators: ["json://127.0.0.1:9/"]\n'
    feeds = f"feeds:\n  wire: {{url: '{wire.url()}', source: Wire}}\n"
    write_config(folder / "config", monitor=monitor, feeds=feeds)
    for _ in range(3):
        run("run", "--once")
    assert "Feed wire is broken" in [row["subject"] for row in run("deliveries", "--json").json]
    assert "1 cannot be read: wire" in run("status").out
    assert "broken" in run("feeds").out


@pytest.mark.usefixtures("told")
def test_status_and_feeds_show_what_is_recorded(run: Run) -> None:
    text = run("status")
    assert (text.code, text.err) == (0, "")
    assert "Feeds: 1." in text.out
    assert "Messages: 1 sent" in text.out
    status = run("status", "--json").json
    assert (status["feeds"], status["stories"], status["queue"]) == (1, 3, {"sent": 1})
    assert run("feeds").out.splitlines()[0].startswith("feed")
    (feed,) = run("feeds", "--json").json
    assert (feed["name"], feed["state"], feed["failures"]) == ("wire", "healthy", 0)


# --- digest


@pytest.mark.usefixtures("told")
def test_a_digest_to_look_at_has_the_sender_and_recipient_of_the_one_that_would_go(run: Run) -> None:
    shown = run("digest", "ruth", "--format", "eml")
    assert (shown.code, shown.err) == (0, "")
    mail = email.message_from_string(shown.out, policy=default)
    assert (mail["From"], mail["To"]) == ("Corvid risk desk <news@corvid.example>", "ruth@corvid.example")
    assert mail["Message-ID"].endswith("@corvid.example>")
    assert [part.get_content_type() for part in mail.walk()] == ["multipart/alternative", "text/plain", "text/html"]
    assert run("digest", "ruth").out.startswith("2 EVENTS ON 2 TOPICS")
    assert "<html" in run("digest", "ruth", "--format", "html").out
    assert list(run("digest", "ruth", "--format", "slack").json) == ["text", "blocks"]
    assert run("digest", "ruth", "--json").json["subscriber"] == "ruth"
    past = run("digest", "ruth", "--at", "2020-01-01T07:00", "--json").json
    assert (past["until"], past["sections"]) == ("2020-01-01T07:00:00Z", [])


def test_a_digest_of_one_without_mail_channel_goes_to_nobody(folder: Path, run: Run) -> None:
    without = (
        "subscribers:\n  zoë: {name: Zoë, channels: {chat: 'slack://T0DEMO0001/B0DEMO0001/demodemodemodemodemodemo'}}\n"
    )
    write_config(folder / "config", monitor="web: off\n", subscribers=without)
    shown = run("digest", "zoë", "--format", "eml")
    assert shown.code == 0
    mail = email.message_from_string(shown.out, policy=default)
    assert (mail["From"], mail["To"]) == ("News Monitor <news@127.0.0.1>", "Zoë <zoë@no-mail-channel.invalid>")


@pytest.mark.usefixtures("told")
def test_a_digest_that_is_sent_is_in_the_outbox(run: Run) -> None:
    rows = run("digest", "ruth", "--send", "--json").json
    assert [(row["subscriber"], row["channel"], row["kind"], row["state"]) for row in rows] == [
        ("ruth", "mail", "digest", "pending")
    ]
    assert "payload" not in rows[0]
    assert run("digest", "ruth", "--send").out.startswith("In the outbox: message ")
    unknown = run("digest", "rut")
    assert (unknown.code, unknown.out) == (1, "")
    assert "declared: ruth" in unknown.err


# --- deliveries, retry, explain


def test_deliveries_and_retry(told: Path, run: Run) -> None:
    (row,) = run("deliveries", "--json").json
    assert list(row)[:6] == ["id", "key", "kind", "subscriber", "channel", "topics"]
    assert row["state"] == "sent"
    assert "sent" in run("deliveries").out
    assert run("deliveries", "--state", "dead", "--json").json == []
    none = run("retry", "1")
    assert (none.code, none.out) == (1, "")
    _kill(told)
    assert run("retry", "1", "--json").json == [1]
    assert run("retry", "1").out.startswith("Due now: 1.")
    assert run("cancel", "1", "--json").json == [1]
    assert run("deliveries", "--state", "cancelled", "--json").json[0]["detail"] == "cancelled by hand"
    none = run("cancel", "1")
    assert (none.code, none.out) == (1, "")
    assert "can be cancelled" in none.err


def test_status_tells_of_servers_that_are_down_and_addresses_that_refuse(told: Path, run: Run) -> None:
    assert {"Down", "Suspended"}.isdisjoint(run("status").out.split())
    store, now = Store("sqlite:///monitor.db", told / "data"), datetime.now(UTC)
    (row,) = store.outbox.latest()
    for _ in range(OPEN_AFTER):
        store.endpoints.failed(row.endpoint, now, "no answer", down=True)
    store.endpoints.failed("slack 0a1b", now, "rate limited", down=False, rest=60)
    for _ in range(SUSPEND_AFTER):
        store.endpoints.refused(row, now, "550 no such user")
    store.close()
    shown = " ".join(run("status").out.split())
    assert f"Down: {row.endpoint} (ruth by mail), 3 failures since" in shown
    assert "Resting: slack 0a1b asked to be left alone until" in shown
    assert "Suspended: ruth by mail since" in shown
    facts = run("status", "--json").json
    assert [one["key"] for one in facts["endpoints"]] == [row.endpoint, "slack 0a1b"]
    assert [one["error"] for one in facts["suspended"]] == ["550 no such user"]


def _kill(folder: Path) -> None:
    """Let message 1 be one that was given up."""
    store = Store("sqlite:///monitor.db", folder / "data")
    with store.write() as session:
        row = session.get(Delivery, 1)
        assert row is not None
        row.state, row.detail, row.receipt = "dead", "550 no such user", ""
        session.add(row)
    store.close()


@pytest.mark.usefixtures("told")
def test_explain_tells_the_journey_of_a_story(run: Run) -> None:
    shown = run("explain", "embargo")
    assert (shown.code, shown.err) == (0, "")
    for said in ("Embargo on the Ardent Lark", "Sanctions (sanctions): matched", "ruth: sent", "; by mail: sent"):
        assert said in shown.out
    found = run("explain", "https://news.example/1?utm_source=rss", "--json").json
    assert list(found) == [
        "story", "event", "outlets", "sightings", "page", "topics", "matches", "decisions",
        "untold", "deliveries",
    ]  # fmt: skip
    assert list(found["story"])[:4] == ["id", "key", "event_id", "feed"]
    assert found["decisions"][0]["deliveries"] == [{"id": 1, "channel": "mail", "state": "sent"}]
    assert [topic["topic"] for topic in run("explain", "embargo", "--topic", "ports", "--json").json["topics"]] == [
        "ports"
    ]
    assert run("explain", "embargo", "--json").out == run("explain", "embargo", "--json").out
    assert "did not match" in run("explain", "fair").out


@pytest.mark.usefixtures("told")
def test_explain_puts_the_terms_that_do_not_occur_together_and_a_weak_alias_apart(folder: Path, run: Run) -> None:
    entities = "entities: {petro: {name: Gustavo Petro, weak: [Fair], context: [Bogota]}}"
    write_config(
        folder / "config", topics=f"topics: {{t: {{any: [{', '.join('abcdefg')}, '@petro']}}}}", entities=entities
    )
    shown = run("explain", "fair", "--topic", "t").out
    assert "    ✗ does not occur: a, b, c, d, e, f, g\n" in shown
    assert "    ✗ @petro  (does not occur: `Fair` is a weak alias" in shown


@pytest.mark.usefixtures("told")
def test_explain_says_where_the_closest_pair_of_a_near_stands(folder: Path, run: Run) -> None:
    write_config(folder / "config", topics="topics: {t: {query: embargo ONEAR/1 lark}}")
    shown = " ".join(run("explain", "embargo", "--topic", "t").out.split())
    assert "✗ ONEAR/1 (closest pair 3 words apart: `embargo` and `lark`, words 1 and 5 of the title)" in shown


@pytest.mark.usefixtures("told")
def test_explain_names_the_topics_that_matched_first_and_is_brief_of_those_that_did_not(folder: Path, run: Run) -> None:
    words = ", ".join(f"word{n}" for n in range(40))
    write_config(
        folder / "config",
        topics=f"topics: {{far: {{query: 'FIRST/60(quay NEAR/3 ({words.replace(', ', ' OR ')}))'}}, "
        f"sanctions: {{any: [{words}, embargo]}}}}",
    )
    shown = run("explain", "embargo").out
    assert shown.index("sanctions (sanctions): matched") < shown.index("far (far): did not match")
    assert "    ✗ NEAR/3  (absent: quay and word0, word1, word2, …)\n\n" in shown
    assert "--topic NAME shows the whole tree" in shown
    whole = run("explain", "fair", "--topic", "far").out
    assert "word39" in whole
    assert "--topic" not in whole


def test_run_once_reads_pages_after_the_headlines_went_out_and_explain_says_so(
    folder: Path, wire: FeedServer, mail_server: MailServer, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("monitor.hosts.PAGE_GAP", 0.0)
    text = b"The embargo is announced at the quay. " * 20
    wire.route("/1", Answer(b"<html><article><p>" + text + b"</p></article></html>", content_type="text/html"))
    links = {title: wire.url(f"/{n}") for n, title in enumerate(("News from the quay, announced", "A fair"), 1)}
    items = "".join(f"<item><link>{url}</link><title>{title}</title></item>" for title, url in links.items())
    feed = wire.route("/feed.xml", Answer(f"<rss version='2.0'><channel>{items}</channel></rss>".encode()))
    declared = f"feeds: {{wire: {{url: '{feed}', full_text: always, first_poll: alert}}}}"
    subscribers = SUBSCRIBERS.replace("2525", str(mail_server.port))
    write_config(folder / "config", feeds=declared, subscribers=subscribers, topics=TOPICS, entities=ENTITIES)
    shown = run("run", "--once")
    assert (shown.code, len(mail_server.mails)) == (0, 1)
    assert "its page was read at" in run("explain", "quay").out
    assert "its page was not read: 127.0.0.1 has nothing at this address (404)" in run("explain", "fair").out
    assert run("explain", "fair", "--json").json["page"]["tries"] == 1


def test_explain_shows_that_a_message_decided_on_was_given_up(told: Path, run: Run) -> None:
    _kill(told)
    assert "; by mail: dead" in run("explain", "embargo").out
    assert run("explain", "embargo", "--json").json["decisions"][0]["deliveries"][0]["state"] == "dead"


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("",), "no story is found by ''"),
        (("b",), "no story is found by 'b'"),
        (("zebra",), "no story is found by 'zebra'"),
        (("embargo", "--topic", "sanction"), "no topic `sanction` is declared (declared: sanctions, ports)"),
        (("embargo", "--subscriber", "rut"), "no subscriber `rut` is declared (declared: ruth)"),
    ],
)
@pytest.mark.usefixtures("told")
def test_explain_of_what_is_not_there_exits_1_and_says_what_is(run: Run, words: tuple[str, ...], said: str) -> None:
    shown = run("explain", *words)
    assert (shown.code, shown.out) == (1, "")
    assert said in shown.err


@pytest.mark.usefixtures("told")
def test_an_alert_names_entities_as_people_know_them(mail_server: MailServer) -> None:
    assert "It names Ardent Lark." in mail_server.mails[0].content.decode()


# --- import, export

OPML = """<opml version="2.0"><body><outline text="Press">
  <outline type="rss" text="Новости: мир" xmlUrl="https://wire.example/rss?a=1&b=2"/>
  <outline text="Files" xmlUrl="file:///etc/passwd"/></outline></body></opml>"""


def checked(run: Run, folder: Path, feeds: str) -> dict[str, str]:
    """Return the addresses that `monitor check` accepts, by name."""
    write_config(folder / "imported", feeds=feeds)
    assert run("check", "--config", str(folder / "imported")).code == 0
    return {name: feed.address for name, feed in load_config(folder / "imported", {}).feeds.items()}


def test_import_prints_the_feeds_of_a_list_and_what_it_leaves_out(folder: Path, run: Run) -> None:
    (folder / "list.opml").write_text(OPML)
    shown = run("import", "opml", "list.opml")
    assert (shown.code, shown.err) == (0, "line 3: “Files”: the address is not http:// or https://; it is left out\n")
    assert "новости-мир:" in shown.out
    assert checked(run, folder, shown.out) == {"новости-мир": "https://wire.example/rss?a=1&b=2"}
    (folder / "config" / "feeds.yaml").write_text("feeds: [")  # it may be what the list is for
    as_json = run("import", "opml", "-", "--json", stdin=OPML.encode())
    assert list(as_json.json["feeds"]) == ["новости-мир"]
    assert as_json.json["notes"] == [shown.err.strip()]


@pytest.mark.parametrize(
    ("body", "said"),
    [
        (b"<opml><body/></opml>", "- holds no feed"),
        (b"<html>", "the document is not OPML"),
        (b"", "the document is not OPML"),
    ],
)
def test_import_of_a_list_without_feeds_exits_1(run: Run, body: bytes, said: str) -> None:
    shown = run("import", "opml", "-", stdin=body)
    assert (shown.code, shown.out) == (1, "")
    assert said in shown.err
    assert "nowhere.opml cannot be read" in run("import", "opml", "nowhere.opml").err


def test_import_of_a_list_that_takes_too_long_gives_up(folder: Path, run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("monitor.transfer.PARSE_DEADLINE", 0.2)
    (folder / "list.opml").write_text("<opml>" + "<outline text='a'/>" * 1_000_000)
    shown = run("import", "opml", "list.opml")
    assert (shown.code, shown.out) == (1, "")
    assert "took longer than 0.2 seconds" in shown.err


def test_import_of_an_address_prints_the_feed_that_the_page_leads_to(folder: Path, run: Run, wire: FeedServer) -> None:
    links = "".join(f'<link rel="alternate" type="application/rss+xml" href="/{n}.xml">' for n in (1, 2, 3))
    home = wire.route("/", Answer(f"<html><head>{links}</head></html>".encode(), content_type="text/html"))
    second = wire.route("/2.xml", Answer(rss(("1", "News"), title="Northern Wire")))
    shown = run("import", "opml", home)
    assert shown.code == 0
    assert f"{home} is a web page; it leads to the feed {second}" in shown.err
    assert f"it also leads to {wire.url('/3.xml')}" in shown.err
    assert checked(run, folder, shown.out) == {"northern-wire": second}
    # The address of a feed, of a sitemap and of a list are as good.
    assert checked(run, folder, run("import", "opml", second).out) == {"northern-wire": second}
    index = wire.route("/index.xml", Answer(b"<sitemapindex><sitemap><loc>/1.xml</loc></sitemap></sitemapindex>"))
    assert "sitemap: http" in run("import", "opml", index).out
    listed = run("import", "opml", wire.route("/list", Answer(OPML.encode(), content_type="text/x-opml")))
    assert checked(run, folder, listed.out) == {"новости-мир": "https://wire.example/rss?a=1&b=2"}


def test_import_of_an_address_without_a_feed_says_why(folder: Path, run: Run, wire: FeedServer) -> None:
    home = wire.route("/", Answer(b"<html><body>Nothing</body></html>", content_type="text/html"))
    shown = run("import", "opml", home)
    assert (shown.code, shown.out) == (1, "")
    assert "usual addresses such as /feed are not tried unasked" in shown.err
    assert wire.count("/feed") == 0
    assert run("import", "opml", wire.url("/nowhere")).code == 3
    # Without a configuration that allows it, no private address is fetched.
    blocked = run("import", "opml", home, "--config", str(folder / "none"))
    assert (blocked.code, blocked.out) == (3, "")
    assert "private or reserved address" in blocked.err
    assert wire.count("/") == 1


def test_import_prints_entities_and_topics_that_can_be_used(folder: Path, run: Run) -> None:
    (folder / "sdn.xml").write_text(OFAC)
    (folder / "rules.txt").write_text('"Ardent Lark" -football\nsince date:P1W\n')
    entities, topics = (
        run("import", "entities", "sdn.xml"),
        run("import", "topics", "rules.txt", "--format", "freshrss"),
    )
    assert (entities.code, topics.code) == (0, 0)
    assert topics.err == "line 2: “since date:P1W”: `date:` has no like here; it is left out\n"
    (folder / "config" / "entities.yaml").write_text(entities.out)
    (folder / "config" / "topics.yaml").write_text(topics.out + "  listed: {query: '@ofac-list'}\n")
    (folder / "config" / "subscribers.yaml").write_text("subscribers: {}\n")
    found = run("match", stdin=b'{"id": 1, "title": "Ardent Lark seized"}')
    assert set(found.json["topics"]) == {"ardent-lark-football", "listed"}
    assert list(run("import", "entities", "sdn.xml", "--json").json["lists"]) == ["ofac-list"]


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (("entities", "-"), 1, "this is no list of the UN"),
        (("topics", "-"), 1, "- holds no topics"),
        (("words", "-"), 2, "what is imported is one of opml, entities, topics"),
        (("topics", "-", "--format", "un"), 2, "topics are of trendradar, miniflux, freshrss, google"),
        (("entities", "https://lists.example/un.xml"), 2, "fetch it first"),
    ],
)
def test_import_says_what_it_cannot_read(run: Run, arguments: tuple[str, ...], code: int, said: str) -> None:
    shown = run("import", *arguments, stdin=b"")
    assert (shown.code, shown.out) == (code, "")
    assert said in " ".join(shown.err.replace("│", " ").split())


@pytest.mark.usefixtures("told")
def test_export_prints_what_is_recorded_as_json_lines_or_csv(run: Run) -> None:
    lines = [json.loads(line) for line in run("export", "stories").out.splitlines()]
    assert [story["title"] for story in lines] == ["Old harbour", "Fair", "Embargo on the Ardent Lark"]
    assert {"id", "url", "source", "summary", "text", "tags", "first_seen_at"} <= set(lines[0])
    assert run("export", "stories", "--json").out == run("export", "stories", "--format", "jsonl").out
    (harbour, embargo) = [json.loads(line) for line in run("export", "matches").out.splitlines()]
    assert (harbour["topic"], embargo["topic"], embargo["title"]) == (
        "ports",
        "sanctions",
        "Embargo on the Ardent Lark",
    )
    assert embargo["evidence"][0]["term"] == "embargo"
    (delivery,) = [json.loads(line) for line in run("export", "deliveries").out.splitlines()]
    assert (delivery["kind"], delivery["subscriber"], delivery["state"]) == ("alert", "ruth", "sent")
    assert "payload" not in delivery
    for kind, row in (("stories", lines[0]), ("matches", embargo), ("deliveries", delivery)):
        table = list(csv.DictReader(StringIO(run("export", kind, "--format", "csv").out, newline="")))
        assert list(table[0]) == list(row)
    assert run("export", "stories", "--since", "2999-01-01").out == ""
    assert run("export", "stories", "--since", "1h").out == run("export", "stories").out
    head = run("export", "deliveries", "--since", "2999-01-01", "--format", "csv").out
    assert head.startswith("id,key,kind,")
    assert head.count("\n") == 1


def test_export_of_many_rows_is_whole_and_tricks_no_spreadsheet(folder: Path, run: Run) -> None:
    assert run("migrate").code == 0
    store = Store("sqlite:///monitor.db", folder / "data")
    at = datetime(2026, 11, 25, tzinfo=UTC)
    titles = ["=1+1", "+1", "-1", "@SUM(A1)", "\t=1", "\r=1", "\n=1", '=HYPERLINK("http://x"&A1)', 'a"b,c\nd', "1-1"]
    titles += [f"Story {n}" for n in range(1_200)]
    with store.write() as session:
        for number, title in enumerate(titles):
            story = Story(key=f"{number}", feed="wire", source="Wire", url="", title=title, tags=["=x"],
                          first_seen_at=at, effective_at=at)  # fmt: skip
            session.add(story)
            session.flush()
    store.close()
    rows = list(csv.DictReader(StringIO(run("export", "stories", "--format", "csv").out, newline="")))
    assert [row["title"] for row in rows] == [f"'{title}" for title in titles[:8]] + titles[8:]
    assert {(row["tags"], row["first_seen_at"], row["date_doubtful"]) for row in rows} == {
        ('["=x"]', "2026-11-25T00:00:00Z", "false")
    }
    assert [json.loads(line)["title"] for line in run("export", "stories").out.splitlines()] == titles


def test_exported_feeds_are_imported_as_the_same(folder: Path, run: Run) -> None:
    shown = run("export", "opml")
    assert shown.code == 0
    again = run("import", "opml", "-", stdin=shown.out.encode())
    write_config(folder / "again", feeds=again.out)
    before, after = (load_config(folder / name, {}).feeds for name in ("config", "again"))
    assert {name: feed.model_dump() for name, feed in after.items()} == {
        name: feed.model_dump() for name, feed in before.items()
    }
    assert again.err == ""


def test_events_are_shown_split_and_merged(folder: Path, run: Run) -> None:
    pipe = Pipe(folder)
    pipe.put("wire", item("1", "Embargo breach: tanker Pell Star seized off Crete"))
    pipe.put("post", item("2", "Tanker Pell Star seized off Crete for embargo breach"))
    pipe.put("post", item("3", "Hamburg mayor resigns over sanctions land deal"))
    pipe.put("post", item("4", "Hamburg gets a new bridge over Crete Canal"))
    pipe.close()
    assert re.search(
        r"^      the nearest that it did not join: event \d, likeness 0\.\d\d, shares ", run("events", "3").out, re.M
    )
    shown = run("events")
    assert (shown.code, shown.err) == (0, "")
    assert shown.out.splitlines()[1].split()[:2] == ["1", "2"]
    assert all(word in shown.out for word in ("Northern", "Wire,", "Harbour", "Post"))
    (row,) = json.loads(run("events", "--json").out)
    assert [story["title"][:6] for story in row["stories"]] == ["Embarg", "Tanker"]
    assert row["stories"][1]["event_why"].startswith("joins")
    assert "\n      joins as a copy or light rewrite: likeness" in run("events", "show", "1").out
    assert run("events", "1").out == run("events", "show", "1").out
    assert run("events", "shw", "1").code == 2
    split = run("events", "split", "1", "2")
    assert (split.code, split.out.count("an operator split it from event 1")) == (0, 1)
    (row,) = json.loads(run("events", "merge", "1", "2", "4", "--json").out)
    assert [story["id"] for story in row["stories"]] == [1, 2, 3]
    assert run("events", "merge", "1", "9").code == 1
    assert [
        run("events", *asked).code for asked in (("9" * 20,), ("split", "9" * 20, "1"), ("merge", "1", "9" * 20))
    ] == [1] * 3
    assert run("events", "show", "9").code == 1
    assert run("events", "split", "1").code == 2


# --- silence, pause, release, audit


@pytest.mark.usefixtures("told")
def test_silence_shows_makes_and_lifts(run: Run) -> None:
    assert run("silence", "--json").json == []
    shown = run("silence", "sanctions", "--for", "4h", "--why", "a word that means two things")
    assert (shown.code, shown.err) == (0, "")
    assert "sanctions alerts nobody until" in shown.out
    (row,) = run("silence", "--json").json
    assert (row["topic"], row["why"]) == ("sanctions", "a word that means two things")
    assert "a word that means two things" in run("silence").out
    assert "Silenced: sanctions until" in run("status").out
    assert run("silence", "sanctions", "--lift").code == 0
    assert run("silence", "--json").json == []
    assert run("silence", "sanctions", "--lift").code == 1
    unknown = run("silence", "sanction", "--for", "4h")
    assert (unknown.code, "declared: sanctions, ports" in unknown.err) == (1, True)


@pytest.mark.usefixtures("told")
def test_pause_shows_makes_and_ends(run: Run) -> None:
    assert run("pause").out == "Nobody is paused.\n"
    assert "ruth gets nothing until" in run("pause", "ruth", "--for", "7d").out
    assert [row["subscriber"] for row in run("pause", "--json").json] == ["ruth"]
    assert run("pause", "ruth", "--end").code == 0
    assert run("pause", "--json").json == []
    assert run("pause", "ruth", "--end").code == 1
    assert run("pause", "rut", "--for", "7d").code == 1


def test_release_lets_go_what_the_budget_holds(told: Path, run: Run) -> None:
    assert run("release").code == 1
    for words, state in ((("release", "--drop"), "cancelled"), (("release",), "pending")):
        store = Store("sqlite:///monitor.db", told / "data")
        with store.write() as session:
            row = session.get(Delivery, 1)
            assert row is not None
            row.state, row.code, row.detail = "held", "budget", "the budget was used up"
        assert run("deliveries", "--state", "held", "--json").json[0]["id"] == 1
        assert run(*words).out.startswith("1 message ")
        assert [row.state for row in store.outbox.latest()] == [state]
        store.close()


def test_audit_exits_1_with_what_is_wrong(told: Path, run: Run) -> None:
    good = run("audit", "--json")
    assert (good.code, good.json["ok"], good.json["matches"], good.json["deliveries"]) == (0, True, 2, 1)
    assert "in order" in run("audit", "--since", "30d").out
    store = Store("sqlite:///monitor.db", told / "data")
    with store.write() as session:
        row = session.get(Delivery, 1)
        assert row is not None
        row.key = "another"
    store.close()
    shown = run("audit")
    assert shown.code == 1
    assert "no message by mail is in the outbox" in shown.out
    assert run("audit", "--json").json["findings"]
    assert "Audit:" not in run("status").out  # which tells of the daemon's own


def test_explain_says_who_is_not_subscribed_and_whom_a_scope_leaves_out(
    folder: Path, wire: FeedServer, run: Run
) -> None:
    url = wire.route("/feed.xml", Answer(rss(("1", "Embargo on the harbour"))))
    feeds = f"feeds:\n  wire: {{url: '{url}', language: en, first_poll: alert}}\n"
    topics = TOPICS.replace("any: [harbour]", "any: [harbour], scope: {languages: [es]}")
    subscriber = (
        "channels: {mail: 'mailto://127.0.0.1:2?to=a@corvid.example'}, subscriptions: [{topics: [%s], alert: {}}]"
    )
    text = "".join(
        f"  {name}: {{{subscriber % topic}}}\n" for name, topic in (("ruth", "sanctions"), ("omar", "ports"))
    )
    files = {"feeds": feeds, "entities": ENTITIES, "subscribers": f"subscribers:\n{text}"}
    write_config(folder / "config", topics=topics, **files)
    run("run", "--once")
    shown = run("explain", "harbour")
    assert "omar: out of scope: ports: its language en is not one of es\n" in shown.out
    assert [(row["subscriber"], row["reason"]) for row in run("explain", "harbour", "--json").json["untold"]] == [
        ("omar", "out of scope")
    ]
    write_config(folder / "config", topics=topics.replace("[es]", "[fr]"), **files)
    assert "by the rule of now, which is another one than then" in run("explain", "harbour").out
    write_config(folder / "config", topics=TOPICS.replace("harbour", "quay"), **files)
    said = run("explain", "harbour", "--subscriber", "omar").out
    assert "omar: not subscribed: no subscription covered a topic that matched (sanctions)" in said
