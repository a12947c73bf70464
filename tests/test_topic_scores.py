"""The scores of the topic benchmark: which stories count, how they are counted, what is said where there are none."""

from __future__ import annotations

from pathlib import Path

import pytest

from monitor.text import StoryText
from tests.benchmarks.topics import Labelled, Outcome, Row, Score, main, score

ROW = Row("central-banks", ("rates", "money"), ("wire",), "en")


def labelled(labels: dict[str, int], part: str = "wire", language: str = "en", weight: float = 1.0) -> Labelled:
    return Labelled(StoryText(id="1", language=language), part, labels, weight)


@pytest.mark.parametrize(
    ("story", "wanted"),
    [
        (labelled({"rates": 2, "money": 0}), True),
        (labelled({"rates": 0, "money": 0}), False),
        (labelled({"rates": 0}), False),
        (labelled({"rates": 1, "money": 2}), True),
        (labelled({"rates": 1, "money": 0}), None),
        (labelled({"grain": 2}), None),
        (labelled({"rates": 2}, part="other"), None),
        (labelled({"rates": 2}, language="es"), None),
    ],
)
def test_a_story_counts_where_it_was_judged_and_not_as_borderline(story: Labelled, wanted: bool | None) -> None:
    assert story.wanted(ROW) is wanted


def test_weights_count_a_story_as_often_as_it_stands_for_others() -> None:
    heavy, light = labelled({"rates": 2}, weight=3.0), labelled({"rates": 2})
    outcomes = [Outcome(heavy, True, True), Outcome(light, True, False), Outcome(light, False, True)]
    assert score(outcomes) == Score(0.5, 0.5, 0.5)
    assert score(outcomes, weighted=True) == Score(0.75, 0.75, 0.75)


def test_nothing_wanted_and_nothing_found_has_no_score() -> None:
    assert score([Outcome(labelled({"rates": 0}), False, False)]) == Score(None, None, None)


def test_without_the_data_it_says_so_and_is_content(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--data", str(tmp_path / "none.jsonl")]) == 0
    assert "skipped: there are no labelled stories at" in capsys.readouterr().err
