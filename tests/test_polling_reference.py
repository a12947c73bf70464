"""The list of polling rules names tests that exist."""

from __future__ import annotations

import re

from tests.conftest import PROJECT


def test_every_rule_names_a_test_that_exists() -> None:
    rows = [
        line
        for line in (PROJECT / "docs/reference/polling.md").read_text(encoding="utf-8").splitlines()
        if line.startswith("| ") and not line.startswith(("| rule", "| ---"))
    ]
    tests = "".join(path.read_text(encoding="utf-8") for path in (PROJECT / "tests").rglob("*.py"))
    defined = set(re.findall(r"^(?:async )?def (test_\w+)\(", tests, re.MULTILINE))
    assert len(rows) > 5
    for row in rows:
        named = re.findall(r"`(test_\w+)`", row.rpartition(" | ")[2])
        assert named, f"no test is named: {row}"
        assert set(named) <= defined, row
