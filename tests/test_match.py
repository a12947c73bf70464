"""`monitor match` and `monitor query`: lines in and out, in one process and in several; how a query is read."""

from __future__ import annotations

import io
import json
import os
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from typer.testing import CliRunner

from monitor import checking, service
from monitor.cli import cli
from monitor.cli.stream import match_stream, read_lines
from monitor.errors import MonitorError, QueryError

FILES = {
    "topics": """\
macros:
  military: troops OR soldiers
  moves: $military AND deploy*
  bad: troops OR OR tanks
topics:
  border: {query: border AND $military}
  leader: {query: '@petro'}
""",
    "entities": """\
entities:
  petro: {name: Gustavo Petro, weak: [Petro], context: [Colombia]}
  boric: {name: Gabriel Boric}
lists:
  leaders: {entities: [petro, boric]}
""",
    "feeds": "feeds: {}\n",
    "subscribers": "subscribers: {}\n",
}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name, text in FILES.items():
        kept = text if name != "topics" else text.replace("  bad: troops OR OR tanks\n", "")
        (tmp_path / f"{name}.yaml").write_text(kept, encoding="utf-8")
    return tmp_path


def line(number: int, title: str) -> bytes:
    return json.dumps({"id": number, "title": title}).encode() + b"\n"


def matched(folder: Path, lines: list[bytes], workers: int = 1) -> list[dict[str, object]]:
    rules = checking.load(folder, {}).rules
    return [json.loads(text) for text in match_stream(rules, lines, workers, folder)]


TITLES = ["Troops at the border", "Calm at the border", "Petro of Colombia", "Petro"]


def test_a_story_a_line_is_matched_in_order(folder: Path) -> None:
    results = matched(folder, [line(n, title) for n, title in enumerate(TITLES)])
    assert [(r["id"], sorted(r["topics"]), sorted(r["entities"])) for r in results] == [  # type: ignore[call-overload]
        (0, ["border"], []),
        (1, [], []),
        (2, ["leader"], ["petro"]),
        (3, [], []),
    ]
    assert results[0]["topics"] == {
        "border": [
            {"field": "title", "start": 0, "end": 6, "term": "troops"},
            {"field": "title", "start": 14, "end": 20, "term": "border"},
        ]
    }


def test_several_processes_give_the_same_lines_in_the_same_order(folder: Path) -> None:
    lines = [line(n, TITLES[n % 4] + " x" * (n * 37 % 500)) for n in range(600)]
    lines[700:700] = [b"\n", b"  \n"]
    assert matched(folder, lines, 3) == matched(folder, lines)


@pytest.mark.parametrize("workers", [1, 2])
def test_a_bad_line_is_told_by_its_number_after_the_lines_before_it(folder: Path, workers: int) -> None:
    lines = [line(n, "x") for n in range(250)]
    lines[123:123] = [b"\n", b"{broken\n"]
    rules = checking.load(folder, {}).rules
    seen: list[int] = []
    with pytest.raises(MonitorError, match=r"^line 125: not a line of JSON"):
        seen.extend(json.loads(text)["id"] for text in match_stream(rules, lines, workers, folder))
    assert seen == list(range(123))


def test_input_is_read_only_as_fast_as_it_is_matched(folder: Path) -> None:
    taken = 0

    def endless() -> Iterator[bytes]:
        nonlocal taken
        while True:
            taken += 1
            yield line(taken, "Troops at the border")

    rules = checking.load(folder, {}).rules
    for workers, most in ((1, 5), (2, 2_000)):
        taken = 0
        stream = match_stream(rules, endless(), workers, folder)
        for _ in range(5):
            next(stream)
        stream.close()  # type: ignore[attr-defined]
        assert taken <= most


@pytest.mark.parametrize(
    ("raw", "message"),
    [
        (b"[1]", "a story is a JSON object"),
        (b'{"title": "x"}', "a story is a JSON object with an"),
        (b'{"id": 1, "title": 5}', '"title" is int'),
        (b'{"id": 1, "tags": "x"}', '"tags" is a list of texts'),
        (b"[" * 100_000, "not a line of JSON"),
    ],
)
def test_what_is_wrong_with_a_line_is_said(folder: Path, raw: bytes, message: str) -> None:
    with pytest.raises(MonitorError, match=f"line 7: .*{message}"):
        service.match_line(checking.load(folder, {}).rules, raw, 7)


def test_a_line_too_long_is_refused_without_being_read_whole(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(service, "LINE_LIMIT", 1_000)
    lines = read_lines(io.BytesIO(line(1, "x") + b"y" * 100_000 + b"\n"))
    rules = checking.load(folder, {}).rules
    stream = match_stream(rules, lines, 1, folder)
    assert json.loads(next(stream))["id"] == 1
    with pytest.raises(MonitorError, match="line 2: longer than 1,000 bytes"):
        next(stream)


def test_a_byte_order_mark_and_half_a_surrogate_pair_do_no_harm(folder: Path) -> None:
    lines = [b"\xef\xbb\xbf" + line(1, "x"), b'{"id": "\\ud800", "title": "x"}\n', b'{"id": 3, "title": "\xff"}']
    assert [r["id"] for r in matched(folder, lines)] == [1, "\ud800", 3]


def test_a_story_of_five_megabytes_is_matched_in_seconds(folder: Path) -> None:
    text = "Troops wait at the border of a country. " * 125_000
    started = time.process_time()
    (result,) = matched(folder, [json.dumps({"id": 1, "title": "x", "text": text}).encode()])
    assert "border" in result["topics"]  # type: ignore[operator]
    assert time.process_time() - started < 5  # two on a quiet machine


# --- how a query is read


def test_a_query_is_shown_with_the_macros_and_names_of_the_configuration(folder: Path) -> None:
    found = service.read_query("title:(@petro OR @leaders) NEAR/5 FORMS(sign) AND NOT $moves", folder, {})
    assert ["  " * depth + text for depth, text in found.lines] == [
        "all of",
        "  NEAR/5",
        "    title:",
        "      any of",
        "        @petro: Gustavo Petro, Petro (weak)",
        "        @leaders: @petro, @boric",
        "    FORMS(sign)",
        "  not",
        "    all of",
        "      any of",
        "        troops",
        "        soldiers",
        "      deploy*",
    ]
    assert str(found.written).endswith("AND NOT $moves")


def test_names_that_the_configuration_lacks_are_mistakes(folder: Path) -> None:
    with pytest.raises(QueryError) as caught:
        service.read_query("border AND @petr", folder, {})
    assert "did you mean `@petro`?" in caught.value.fix
    with pytest.raises(QueryError) as caught:
        service.read_query("border AND $militry", folder, {})
    assert "did you mean `$military`?" in caught.value.fix


def test_a_macro_with_a_mistake_is_not_called_unknown(folder: Path) -> None:
    (folder / "topics.yaml").write_text(FILES["topics"], encoding="utf-8")
    with pytest.raises(QueryError, match="the macro `\\$bad` has a mistake of its own"):
        service.read_query("border AND $bad", folder, {})
    assert service.read_query("border AND $military", folder, {})


def test_without_a_good_configuration_a_query_is_read_by_itself(tmp_path: Path) -> None:
    assert service.read_query("border", tmp_path / "none", {}).note == ""
    found = service.read_query("border AND @zzz", tmp_path / "none", {})
    assert [text for _, text in found.lines] == ["all of", "border", "@zzz"]
    assert "there is no configuration" in found.note
    (tmp_path / "topics.yaml").write_text("topics: [", encoding="utf-8")
    assert "has mistakes" in service.read_query("$zzz", tmp_path, {}).note


def test_the_commands_print_and_exit_as_the_contract_says(folder: Path) -> None:
    runner = CliRunner()
    where = ["--config", str(folder)]
    shown = runner.invoke(cli, ["query", "border AND @petro", *where])
    assert (shown.exit_code, shown.stdout) == (0, "all of\n  border\n  @petro: Gustavo Petro, Petro (weak)\n")
    told = json.loads(runner.invoke(cli, ["query", "border", "--json", *where]).stdout)
    assert (told["ok"], told["query"], told["tree"]["text"]) == (True, "border", "border")
    wrong = runner.invoke(cli, ["query", "border AND @petr", *where])
    assert wrong.exit_code == 1
    assert "           ^^^^^" in wrong.stdout
    wrong = runner.invoke(cli, ["query", "/a*/", "--json", *where])
    assert (wrong.exit_code, json.loads(wrong.stdout)["ok"]) == (1, False)
    lines = b"".join(line(n, title) for n, title in enumerate(TITLES))
    for workers in ([], ["--workers", "2"]):
        result = runner.invoke(cli, ["match", *workers, *where], input=lines)
        assert result.exit_code == 0
        assert [json.loads(text)["id"] for text in result.stdout.splitlines()] == [0, 1, 2, 3]
    assert runner.invoke(cli, ["match", "--workers", "0", *where], input=b"").exit_code == 2
    assert os.environ.get("MONITOR_CONFIG") is None
