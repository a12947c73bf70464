"""How well the shipped topics find what people labelled: `python -m tests.benchmarks.topics [--wrong N]`.

Each row holds a topic of `config/topics.yaml` against one label on one part of the labelled stories, which lie beside
the checkout, in `../shared/data/stories/topics.jsonl` (`--data`). Scores are strict: label 2 is wanted, 0 is not, 1 is
left out. A story labelled for none of a row's labels is not in the row; with several labels a story is wanted when one
of them is 2.

The stories were drawn more often where a label was likely. "each once" counts every story once, as the figures in the
data's README do; "weighted" counts each as many times as its `weight` says, and so estimates the scores on the feeds as
they come. A part without weights has 1 throughout.

Half of the stories, drawn by their ids, may be read while the rules are written. The other half is only ever scored,
and `--wrong` does not show it: a rule fitted to single headlines does well on the first and poorly on the second.
"""

from __future__ import annotations

import argparse
import json
import sys
import zlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from monitor.config import load_config
from monitor.rules import Rules, compile_rules
from monitor.text import StoryText

ROOT = Path(__file__).resolve().parents[2]
DATA = ROOT.parent / "shared" / "data" / "stories" / "topics.jsonl"
HAND = ("modern_hand", "border_hand", "es_hand", "zh_hand")
MONEY = ("interest_rates", "money_fx")
WANTED, LEFT_OUT = 2, 1


@dataclass(frozen=True)
class Row:
    """A topic against a label (or any of several) on the stories of some parts in one language."""

    topic: str
    labels: tuple[str, ...]
    parts: tuple[str, ...]
    language: str
    target: str = ""


# "Central banks" has no label of its own. The indexers of 1987 had two for what central banks do: interest rates, and
# money and foreign exchange; the topic means either, and the rows below it show each alone.
ROWS = (
    Row("sanctions", ("sanctions",), HAND, "en", "P .96, R .96"),
    Row("sanctions", ("sanctions",), HAND, "es", "F1 .90"),
    Row("sanctions", ("sanctions",), HAND, "zh", "F1 .92"),
    Row("troop-deployments", ("deployment",), HAND, "en", "F1 .85"),
    Row("troop-deployments", ("deployment",), ("modern_hand",), "en"),
    Row("troop-deployments", ("deployment",), ("border_hand",), "en"),
    Row("troop-deployments", ("deployment",), HAND, "es"),
    Row("troop-deployments", ("deployment",), HAND, "zh", "F1 .70"),
    Row("border-deployments", ("border_deployment",), ("border_hand",), "en", "F1 .85"),
    Row("border-deployments", ("border_deployment",), ("modern_hand",), "en"),
    Row("border-deployments", ("border_deployment",), HAND, "es"),
    Row("border-deployments", ("border_deployment",), HAND, "zh"),
    Row("mergers", ("mergers_acquisitions",), ("reuters_modapte",), "en", "F1 .80"),
    Row("central-banks", MONEY, ("reuters_modapte",), "en", "F1 .80"),
    Row("central-banks", ("interest_rates",), ("reuters_modapte",), "en"),
    Row("central-banks", ("money_fx",), ("reuters_modapte",), "en"),
    Row("shipping-disruption", ("shipping",), ("reuters_modapte",), "en"),
    Row("elections", ("election",), ("wcep_silver",), "en"),
    Row("natural-disasters", ("earthquake",), ("wcep_silver",), "en"),
    Row("natural-disasters", ("earthquake",), ("cec_zh",), "zh"),
)


@dataclass(frozen=True)
class Labelled:
    """A story and what people said of it."""

    story: StoryText
    part: str
    labels: dict[str, int]
    weight: float

    @property
    def for_reading(self) -> bool:
        """Whether the story is in the half that may be read."""
        return zlib.crc32(self.story.id.encode()) % 2 == 0

    def wanted(self, row: Row) -> bool | None:
        """Whether the row's topic should match; None where nobody judged it, or as borderline."""
        judged = [self.labels[name] for name in row.labels if name in self.labels]
        if self.part not in row.parts or self.story.language != row.language or not judged:
            return None
        if WANTED in judged:
            return True
        return None if LEFT_OUT in judged else False


@dataclass(frozen=True)
class Outcome:
    """One story of a row: whether its topic should match, and whether it did."""

    labelled: Labelled
    wanted: bool
    matched: bool


@dataclass(frozen=True)
class Score:
    """Precision, recall and their harmonic mean; a figure with nothing to divide by is None."""

    precision: float | None
    recall: float | None
    f1: float | None

    def __str__(self) -> str:
        return " ".join(figure(value) for value in (self.precision, self.recall, self.f1))


def figure(value: float | None) -> str:
    """Return a figure in five columns: " .964", "1.000", "    -"."""
    return "    -" if value is None else f"{value:.3f}".replace("0.", " .", 1)


def score(outcomes: Iterable[Outcome], *, weighted: bool = False) -> Score:
    """Return the scores of a row's stories, each counted once or by its weight."""
    hits = false = missed = 0.0
    for outcome in outcomes:
        count = outcome.labelled.weight if weighted else 1.0
        hits += count * (outcome.wanted and outcome.matched)
        false += count * (outcome.matched and not outcome.wanted)
        missed += count * (outcome.wanted and not outcome.matched)
    parts = (hits, hits + false), (hits, hits + missed), (2 * hits, 2 * hits + false + missed)
    return Score(*(part / whole if whole else None for part, whole in parts))


def read(path: Path) -> Iterator[Labelled]:
    """Yield the labelled stories of a file of JSON lines."""
    with path.open(encoding="utf-8") as lines:
        for line in lines:
            row: dict[str, Any] = json.loads(line)
            id_, title, summary, text = (str(row.get(name) or "") for name in ("id", "title", "summary", "text"))
            story = StoryText(id=id_, title=title, summary=summary, text=text, language=row["lang"])
            yield Labelled(story, row["part"], row["labels"], row.get("weight") or 1.0)


def judge(rules: Rules, stories: Sequence[Labelled], rows: Sequence[Row]) -> dict[Row, list[Outcome]]:
    """Return each row's outcomes; every story is matched once."""
    outcomes: dict[Row, list[Outcome]] = {row: [] for row in rows}
    for labelled in stories:
        asked = [(row, wanted) for row in rows if (wanted := labelled.wanted(row)) is not None]
        matched = {match.topic for match in rules.match(labelled.story)} if asked else set()
        for row, wanted in asked:
            outcomes[row].append(Outcome(labelled, wanted, row.topic in matched))
    return outcomes


def print_table(outcomes: dict[Row, list[Outcome]]) -> None:
    """Print a line for each row: all stories, then weighted, then the two halves."""
    groups = " " * 60 + f"{'stories':^14}{'each once':^18}{'weighted':^18}{'half read':^18}{'other half':^18}"
    print(groups)
    print(
        f"{'topic':<20} {'label':<24} {'part':<11} {'':<2} {'wanted':>6} {'of':>6}"
        + "      P     R    F1" * 4
        + "  target"
    )
    for row, found in outcomes.items():
        part = "hand" if row.parts == HAND else row.parts[0].split("_")[0]
        label = "+".join(row.labels).replace("mergers_acquisitions", "mergers")
        halves = [[o for o in found if o.labelled.for_reading is kept] for kept in (True, False)]
        scores = (score(found), score(found, weighted=True), *map(score, halves))
        counts = f"{sum(o.wanted for o in found):>6} {len(found):>6}"
        line = f"{row.topic:<20} {label:<24} {part:<11} {row.language:<2} {counts}  {'  '.join(map(str, scores))}"
        print(f"{line}  {row.target}".rstrip())


def print_wrong(outcomes: dict[Row, list[Outcome]], most: int) -> None:
    """Print each row's first wrong outcomes of the half that may be read."""
    for row, found in outcomes.items():
        for kind, matched in (("missed", False), ("should not match", True)):
            wrong = [o for o in found if o.labelled.for_reading and o.matched is matched and o.wanted is not matched]
            if wrong:
                print(
                    f"\n{row.topic}, {'+'.join(row.labels)}, {'/'.join(row.parts)}, {row.language}: {kind} {len(wrong)}"
                )
            for outcome in wrong[:most]:
                story = outcome.labelled.story
                told = " | ".join(part for part in (story.title, story.summary, story.text) if part)
                print(f"  {story.id}: {' '.join(told.split())[:400]}")


def main(arguments: Sequence[str] | None = None) -> int:
    """Print the table. Returns 0 also where there is no data: nothing is wrong then."""
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks.topics", description="Score the shipped topics.")
    parser.add_argument("--config", type=Path, default=ROOT / "config")
    parser.add_argument("--data", type=Path, default=DATA, help="labelled stories, as JSON lines")
    parser.add_argument("--topic", action="append", help="only this topic; may be given more than once")
    parser.add_argument(
        "--wrong", type=int, default=0, metavar="N", help="list up to N wrong ones of each kind and row"
    )
    asked = parser.parse_args(arguments)
    if not asked.data.is_file():
        print(f"skipped: there are no labelled stories at {asked.data}", file=sys.stderr)
        return 0
    rows = [row for row in ROWS if not asked.topic or row.topic in asked.topic]
    rules = compile_rules(load_config(asked.config, {}))
    outcomes = judge(rules, list(read(asked.data)), rows)
    print_table(outcomes)
    if asked.wrong > 0:
        print_wrong(outcomes, asked.wrong)
    return 0


if __name__ == "__main__":
    sys.exit(main())
