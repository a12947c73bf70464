"""The page on delivery names every code that a message can have for a reason, every state, and each way between two."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator

import pytest

from monitor.store import OVER_BUDGET, SUSPENDED, UNKNOWN
from monitor.store.audit import ENDED, QUEUED
from tests.conftest import PROJECT

PAGE = (PROJECT / "docs" / "reference" / "delivery.md").read_text("utf-8")
CODES = set(
    re.findall(r"`(\w+)`", "".join(re.findall(r"^\|([^|]+)\|", PAGE.partition("## Reason codes")[2], re.MULTILINE)))
)
WAYS = set(re.findall(r"^    (\S+) --> (\w+):", PAGE, re.MULTILINE))


def given() -> Iterator[str]:
    """The codes that stand in the program, of outcomes and of rows that are changed."""
    for folder in ("send", "pipeline", "store"):
        for path in (PROJECT / "monitor" / folder).glob("*.py"):
            for node in ast.walk(ast.parse(path.read_text("utf-8"))):
                if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "Outcome":
                    code = node.args[1:2]
                elif isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Tuple):
                    values = node.value.elts if isinstance(node.value, ast.Tuple) else []
                    code = [v for t, v in zip(node.targets[0].elts, values, strict=False) if _is_code(t)]
                else:
                    continue
                yield from (one.value for one in code if isinstance(one, ast.Constant) and isinstance(one.value, str))


def _is_code(target: ast.expr) -> bool:
    return isinstance(target, ast.Attribute) and target.attr == "code"


def test_every_code_is_explained() -> None:
    codes = {code for code in given() if code} | {OVER_BUDGET, SUSPENDED, UNKNOWN}
    assert {"timeout", "expired", "undeclared", "tls", "size", "smtputf8"} <= codes  # they are found
    assert codes - CODES == set()


def test_every_state_is_explained() -> None:
    states = {*QUEUED, *ENDED} - {"expired"}  # a state of earlier versions
    assert states <= set(re.findall(r"^\| `(\w+)` \|", PAGE.partition("## States")[2], re.MULTILINE))
    assert states == {state for way in WAYS for state in way} - {"[*]"}


@pytest.mark.parametrize(
    "way",
    [
        ("[*]", "held"), ("held", "pending"), ("held", "cancelled"), ("held", "dead"), ("dead", "pending"),
        ("sending", "cancelled"), ("sending", "dead"), ("sending", "held"), ("cancelled", "pending"),
    ],
)  # fmt: skip
def test_the_diagram_has_the_ways_that_are_taken_seldom(way: tuple[str, str]) -> None:
    assert way in WAYS
