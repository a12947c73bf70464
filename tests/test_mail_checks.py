"""Mails as html-validate and caniemail see them: valid HTML, and nothing needed that a mail program does not know."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from typing import Any

import pytest

from tests import family
from tests.conftest import PROJECT
from tests.family import AT, LINKS, RENDERER, SITE

TOOLS = PROJECT / "tests" / "mailtools"
# What some mail program does not know, and why the mail is right without it.
DISPENSABLE = {
    "<body> element": "its colour is on the table within, too",
    "Local anchors": "the counts at the top lead to their topics where anchors work, and the topics stand below anyway",
    "aria-label attribute": "without it links and the chart are read out as they stand",
    "border-radius": "square corners",
    "display:none": "the preheader shows as a first line, for accounts of others in Gmail's mobile web page",
    "height attribute": "a program that drops it has the property",
    "height property": "a program that drops it has the attribute, and bars are as high as their line",
    "lang attribute": "read out in the reader's own language",
    "overflow": "the preheader is hidden by three other means",
    "overflow-wrap": "long words break by word-break, or the table grows",
    "role attribute": "tables of layout are read out as tables",
    "text-decoration": "headlines are underlined",
    "white-space": "links may break at a blank",
    "width attribute": "the bars have their widths as percentages of a table that grows; hey.com shows the counts",
    "word-break": "long words break by overflow-wrap, or the table grows",
}


@pytest.fixture(scope="module")
def checked() -> dict[str, Any]:
    node = shutil.which("node")
    if node is None or not (TOOLS / "node_modules").is_dir():
        message = "the checkers of mails are not installed (node; npm ci --prefix tests/mailtools)"
        if os.environ.get("MONITOR_TEST_REQUIRE_ALL"):
            pytest.fail(message)
        pytest.skip(message)
    mails = {
        f"{name}-{language}": RENDERER.mail(value, family.reader(language), SITE, LINKS, AT).html
        for name, value in family.MAILS.items()
        for language in ("en", "ar")
    }
    done = subprocess.run(
        [node, str(TOOLS / "check.mjs")], input=json.dumps(mails), capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, done.stderr[-2000:]
    found: dict[str, Any] = json.loads(done.stdout)
    assert set(found) == set(mails)
    return found


def test_every_mail_is_valid_html(checked: dict[str, Any]) -> None:
    assert {name: each["html"] for name, each in checked.items() if each["html"]} == {}


def test_no_mail_needs_what_a_mail_program_does_not_know(checked: dict[str, Any]) -> None:
    unknown = {title: programs for each in checked.values() for title, programs in each["unknown"].items()}
    assert {title: programs for title, programs in unknown.items() if title not in DISPENSABLE} == {}
    assert set(DISPENSABLE) == set(unknown), "what no mail uses any more needs no excuse"
