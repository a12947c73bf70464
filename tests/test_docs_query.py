"""The pages on the query language: every example is run, every error and warning is the program's own, none is missing.

A page's fenced blocks, by their info string:

    query   queries with stories: `+` one that matches, with what is highlighted in [ ]; `-` one that does not
    error   what `monitor query` prints for a mistake: the message, the query, the carets, the remedy
    check   a configuration, and what `monitor check` says of it behind the place
    console what `monitor match` prints for a story
    yaml    a configuration: entities and macros of the page's examples, and topics with examples of their own
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, get_args

import pytest
import yaml
from typer.testing import CliRunner

from monitor.checking import check
from monitor.cli import cli
from monitor.config import Config, load_config
from monitor.errors import QueryError
from monitor.query import META_FIELDS, TEXT_FIELDS, Field, Near, Node, Phrase, Regex, expand, parse, walk
from monitor.rules import compile_query, compile_rules
from monitor.rules.warnings import too_common
from monitor.text import StoryText
from tests.conftest import PROJECT

REFERENCE = PROJECT / "docs" / "reference" / "query-language.md"
PAGES = (REFERENCE, *sorted((PROJECT / "docs" / "howto").glob("from-*.md")))
FILES = {"entities": "entities", "lists": "entities", "macros": "topics", "topics": "topics", "feeds": "feeds"}
KEYS = ("title", "summary", "text", "language", "source", "feed", "tags", "url", "author", "country")
SHOWN_AS = {"lang": "language", "tag": "tags"}  # fields of evidence → those of a story


@dataclass(frozen=True)
class Example:
    """A query of a page, and a story that it finds (`wanted`) or not, with what is highlighted in [ ]."""

    page: Path
    query: str
    story: str
    wanted: bool


def blocks(page: Path, kind: str) -> list[str]:
    """The fenced blocks of one kind."""
    return re.findall(rf"^```{kind}\n(.*?)^```$", page.read_text("utf-8"), re.MULTILINE | re.DOTALL)


def paragraphs(page: Path, kind: str) -> Iterator[str]:
    """What blank lines part in the blocks of one kind."""
    for block in blocks(page, kind):
        yield from re.split(r"\n\n+", block.strip("\n"))


def queries(page: Path) -> Iterator[tuple[str, list[str]]]:
    """Each query of the page's examples, with its lines of stories."""
    for paragraph in paragraphs(page, "query"):
        lines = paragraph.split("\n")
        stories = [line for line in lines if line.startswith(("+ ", "- "))]
        yield "\n".join(lines[: len(lines) - len(stories)]), stories


def every(kind: str) -> list[Any]:
    return [
        pytest.param(page, text, id=f"{page.stem}: {text.splitlines()[-1][:60]}")
        for page in PAGES
        for text in (blocks(page, kind) if kind == "yaml" else paragraphs(page, kind))
    ]


def examples() -> list[Any]:
    return [
        pytest.param(Example(page, query, line[2:], line[0] == "+"), id=f"{page.stem}: {query} {line}"[:120])
        for page in PAGES
        for query, lines in queries(page)
        for line in lines
    ]


def write(folder: Path, *declared: dict[str, Any]) -> Path:
    """Write a configuration, one part laid over the other."""
    folder.mkdir(exist_ok=True)
    files: dict[str, dict[str, Any]] = {name: {name: {}} for name in ("feeds", "entities", "topics", "subscribers")}
    for part in declared:
        for key, values in part.items():
            files.setdefault(FILES[key], {}).setdefault(key, {}).update(values)
    for name, content in files.items():
        text = yaml.safe_dump(content, allow_unicode=True, width=10_000)
        (folder / f"{name}.yaml").write_text(text, encoding="utf-8")
    return folder


def declared(page: Path) -> list[dict[str, Any]]:
    return [yaml.safe_load(block) for block in blocks(page, "yaml")]


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[Path, Path]:
    """A folder for each page, with the configuration that the page declares; all use the reference's names too."""
    root = tmp_path_factory.mktemp("docs")
    return {page: write(root / page.stem, *declared(REFERENCE), *declared(page)) for page in PAGES}


@pytest.fixture(scope="module")
def configs(folders: dict[Path, Path]) -> dict[Path, Config]:
    return {page: load_config(folder, {}) for page, folder in folders.items()}


def read(line: str) -> tuple[StoryText, set[tuple[str, int, int]]]:
    """A line of a page as a story, and the places (field of the story, from, to) that it marks."""
    values: dict[str, Any] = {}
    marked: set[tuple[str, int, int]] = set()
    for number, part in enumerate(re.sub(r" +# .*", "", line).split(" | ")):
        name, colon, value = part.partition(": ")
        name, value = (name, value) if number and colon and name in KEYS else ("title", part)
        pieces = value.split(", ") if name == "tags" else [value]
        clean = []
        for piece in pieces:
            text = ""
            for index, bit in enumerate(re.split(r"[\[\]]", piece)):
                if index % 2:
                    marked.add((name, len(text), len(text) + len(bit)))
                text += bit
            clean.append(text)
        assert name not in values, line
        values[name] = tuple(clean) if name == "tags" else clean[0]
    return StoryText(**values), marked


# --- examples


@pytest.mark.parametrize("example", examples())
def test_an_example_is_true(example: Example, configs: dict[Path, Config]) -> None:
    story, marked = read(example.story)
    found = compile_query(example.query, configs[example.page]).match(story)
    assert bool(found) == example.wanted
    places = {(SHOWN_AS.get(e.field, e.field), e.start, e.end) for match in found for e in match.evidence}
    assert places == marked


def test_every_query_has_a_story_that_it_finds_and_one_that_it_does_not() -> None:
    for page in PAGES:
        assert list(queries(page)), f"{page.name} has no examples"
        for query, lines in queries(page):
            assert {line[0] for line in lines} == {"+", "-"}, f"{page.name}: {query}"


@pytest.mark.parametrize(("page", "block"), every("yaml"))
def test_a_configuration_on_a_page_is_good_and_its_examples_pass(page: Path, block: str, tmp_path: Path) -> None:
    names = [{key: part[key] for key in part.keys() & {"entities", "lists", "macros"}} for part in declared(REFERENCE)]
    own = yaml.safe_load(block)
    found = check(write(tmp_path, *names, own), {})
    assert found.problems == ()
    for name, topic in own.get("topics", {}).items():
        assert topic["examples"].keys() == {"match", "no_match"}, f"{page.name}: {name}"


def test_every_link_leads_somewhere() -> None:
    for page in PAGES:
        for link in re.findall(r"\]\((?!https?://)([^)#]+)", page.read_text("utf-8")):
            assert (page.parent / link).exists(), f"{page.name}: {link}"


# --- errors and warnings


@pytest.mark.parametrize(("page", "block"), every("error"))
def test_an_error_is_what_monitor_query_prints(page: Path, block: str, folders: dict[Path, Path]) -> None:
    shown = CliRunner().invoke(cli, ["query", _query_of(block), "--config", str(folders[page])], terminal_width=200)
    assert shown.exit_code == 1
    assert shown.stdout == f"{block}\n"


def _query_of(block: str) -> str:
    """The query that an error shows: the line that is set in; none of an empty query."""
    return next((line[4:] for line in block.split("\n") if line.startswith("    ")), "")


@pytest.mark.parametrize("block", [block for page in PAGES for block in blocks(page, "check")])
def test_a_problem_is_what_monitor_check_prints(block: str, tmp_path: Path) -> None:
    start = re.search(r"^(error|warning): ", block, re.MULTILINE)
    assert start is not None
    found = check(write(tmp_path, yaml.safe_load(block[: start.start()])), {})
    said = block[start.start() :]
    assert said.strip("\n") in [_without_place(str(problem)) for problem in found.problems]


def _without_place(problem: str) -> str:
    return re.sub(r"\A.*?:\d+:\d+: ", "", problem)


@pytest.mark.parametrize(("page", "block"), every("console"))
def test_what_monitor_match_prints_is_what_the_page_shows(page: Path, block: str, folders: dict[Path, Path]) -> None:
    shown = re.fullmatch(r"\$ echo '(.*)' \| monitor match\n(.*)", block)
    assert shown is not None
    story, printed = shown.groups()
    run = CliRunner().invoke(cli, ["match", "--config", str(folders[page])], input=f"{story}\n")
    assert run.stdout == f"{printed}\n"


# --- nothing is missing


def messages() -> str:
    """All that the reference shows of errors and warnings, and its table of limits."""
    text = REFERENCE.read_text("utf-8")
    quoted = text[text.index("\n## Warnings") :].replace("\n> ", " ")
    return "\n".join((*blocks(REFERENCE, "error"), *blocks(REFERENCE, "check"), quoted))


_RAISED = {"QueryError": 0, "_error": 0, "_Mistake": 0, "_warning": 1}  # what makes a message → which argument it is
# Functions that return or yield a message → which of the values it is.
_RETURNED = {"refusal": 0, "_unknown": 0, "_no_text": 0, "often": 0, "_no_feed": 1}
# Handed on from where it is collected; and the one that no query reaches, since the others come before it.
_NOT_SHOWN = {"error.message", "*_unknown", "*said", "*often", "{}", "`{}` cannot stand here"}


def patterns(*files: Path) -> Iterator[tuple[str, str]]:
    """Every message that the code can make, as a pattern with `{}` for what is put in, and where it is made."""
    for file in files:
        tree = ast.parse(file.read_text("utf-8"))
        for function in ast.walk(tree):
            if isinstance(function, ast.FunctionDef):
                for made in _messages(function):
                    for text in _texts(made, function):
                        yield text, f"{file.name}: {function.name}"


def _messages(function: ast.FunctionDef) -> Iterator[ast.expr]:
    for node in ast.walk(function):
        if isinstance(node, ast.Call):
            name = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
            if name in _RAISED and function.name != "_error":
                yield node.args[min(_RAISED[name], len(node.args) - 1)]
        elif isinstance(node, ast.Return | ast.Yield) and function.name in _RETURNED:
            value = node.value.body if isinstance(node.value, ast.IfExp) else node.value
            if isinstance(value, ast.Tuple):
                yield value.elts[_RETURNED[function.name]]


def _texts(made: ast.expr, function: ast.FunctionDef) -> Iterator[str]:
    if isinstance(made, ast.Constant) and isinstance(made.value, str):
        yield made.value
    elif isinstance(made, ast.JoinedStr):
        yield "".join(str(bit.value) if isinstance(bit, ast.Constant) else "{}" for bit in made.values)
    elif isinstance(made, ast.BinOp):
        yield "".join(next(_texts(side, function)) for side in (made.left, made.right))
    elif isinstance(made, ast.IfExp):
        yield from _texts(made.body, function)
        yield from _texts(made.orelse, function)
    elif isinstance(made, ast.Name):
        yield from _assigned(made.id, function)
    else:
        yield ast.unparse(made).partition("(")[0]


def _assigned(name: str, function: ast.FunctionDef) -> Iterator[str]:
    for node in ast.walk(function):
        if isinstance(node, ast.Assign) and any(isinstance(to, ast.Name) and to.id == name for to in node.targets):
            yield from _texts(node.value, function)


def test_every_message_of_the_language_is_on_the_page() -> None:
    shown = messages()
    found = list(patterns(*sorted((PROJECT / "monitor" / "query").glob("*.py")), PROJECT / "monitor/rules/warnings.py"))
    assert len(found) > 60
    for text, where in found:
        if text not in _NOT_SHOWN:
            pattern = ".+?".join(map(re.escape, text.split("{}")))
            assert re.search(rf"(^| ){pattern}", shown, re.MULTILINE), f"{where}: {text!r} is not shown"


def test_every_kind_of_term_operator_and_field_is_in_an_example(configs: dict[Path, Config]) -> None:
    config = configs[REFERENCE]
    found = [node for query, _ in queries(REFERENCE) for node in walk(parse(query, part=True))]
    kinds = {type(node) for node in found}
    assert {kind.__name__ for kind in _kinds(Node)} == {kind.__name__ for kind in kinds}
    assert {node.name for node in found if isinstance(node, Field)} == {*TEXT_FIELDS, *META_FIELDS}
    assert {node.ordered for node in found if isinstance(node, Near)} == {True, False}
    assert {node.ignore_case for node in found if isinstance(node, Regex)} == {True, False}
    assert any(node.within for node in found if isinstance(node, Phrase))
    assert config.entities
    written = REFERENCE.read_text("utf-8")
    assert all(word in written for word in ("NEAR/2f", "PRE/2", "<<<", "~2", "wom?n"))


def _kinds(union: Any) -> Iterator[type]:
    for member in get_args(union):
        yield from _kinds(member) if get_args(member) else (member,)


def test_the_overview_is_read() -> None:
    cells = re.findall(r"^\| `([^`]+)` \|", REFERENCE.read_text("utf-8"), re.MULTILINE)
    assert len(cells) > 20
    for cell in cells:
        if not cell.endswith(":"):
            assert parse(cell)


# --- other tools


def conversions() -> Iterator[tuple[str, str]]:
    """What the tables of other tools show: what is written there, and the cell that says what to write here."""
    for page in PAGES[1:]:
        for row in re.findall(r"^\| (`.*) \| (.*) \|$", page.read_text("utf-8"), re.MULTILINE):
            for written in re.findall(r"`([^`]+)`", row[0]):
                yield written.replace("\\|", "|"), row[1]


def is_read(text: str) -> bool:
    """Whether a query, or an operator between two words, is read without a mistake."""
    try:
        parse(f"a {text} b" if re.fullmatch(r"/\w+|\w+/\w+|and|or|not|(and|but) not", text) else text)
    except QueryError:
        return False
    return True


def test_nothing_written_for_another_tool_is_read_as_something_else() -> None:
    converted = [(written, here) for written, here in conversions() if not here.startswith("the same")]
    assert len(converted) > 50
    silent = {written for written, here in converted if is_read(written) and f"`{written}`" not in here}
    # A word is a word, a name is looked up; the page says what the two fields mean here.
    assert silent == {"diet", "@mention", "url:guardian.com", "country:usa"}


def test_what_a_table_says_to_write_is_read() -> None:
    for written, here in conversions():
        for query in re.findall(r"`([^`]+)`", here):
            if " " in query and not query.startswith(("scope: ", "AND NOT")):
                assert is_read(query), f"{written}: {query}"
        if here.startswith("the same"):
            assert is_read(written)


# --- what takes a thousand terms, or an archive, to show


def _nested(depth: int) -> str:
    return "(a AND (b OR " * (depth // 2) + "c" + "))" * (depth // 2)


TOO_MUCH: list[tuple[str, dict[str, str]]] = [
    ("a" * 150_001, {}),
    ("(" * 101 + "a" + ")" * 101, {}),
    (_nested(100), {}),
    ("$a", {"a": _nested(96), "b": _nested(96)} | {"a": _nested(96).replace("c", "$b")}),
    ("$a", {"a": " OR ".join(["$b"] * 300), "b": " OR ".join("abcde" * 40)}),
    ("a NEAR/101 b", {}),
    (" NEAR/1 ".join("abcdefghi"), {}),
    ('"a b c d e f g h i"~8', {}),
    ("ATLEAST/1001(a)", {}),
    (f"/{'a' * 1_001}/", {}),
]


@pytest.mark.parametrize(("query", "macros"), TOO_MUCH, ids=range(len(TOO_MUCH)))
def test_a_limit_is_told_as_the_page_says(query: str, macros: dict[str, str]) -> None:
    with pytest.raises(QueryError) as caught:
        expand(parse(query), {name: parse(text) for name, text in macros.items()}, (), query)
    table = REFERENCE.read_text("utf-8").partition("\n## Limits")[2]
    assert caught.value.message.removeprefix("within `$a`: ") in table


def test_the_warning_of_a_topic_that_is_too_common_is_as_the_page_says(tmp_path: Path) -> None:
    config = load_config(write(tmp_path, {"topics": {"t": {"any": ["the"]}}}), {})
    stories = [StoryText(title="The end" if number % 4 else "An end") for number in range(100)]
    (warning,) = too_common(config, compile_rules(config), stories, 400)
    quoted = " ".join(re.findall(r"^> (.*)", REFERENCE.read_text("utf-8"), re.MULTILINE))
    assert f"{warning.message}. Fix: {warning.fix}" == quoted
