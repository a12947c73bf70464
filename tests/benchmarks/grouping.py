"""How well stories are grouped into events, and how fast: `python -m tests.benchmarks.grouping [--speed]`.

The labelled stories lie beside the checkout, in `../shared/data/stories/clusters.jsonl` (`--data`). Each set is sent
through the grouping in the order of publication, alone, with nothing seen before it, and so is each of its languages.
Pairwise scores count pairs of stories in one event; BCubed is the mean over stories. Beside the engine stand
all-singletons, which is the floor, and online TF-IDF: the cosine of a story with the events before it, the best over
thresholds, windows, fields and two ways of measuring the likeness to an event. It is tuned to the very set it is
measured on; the engine has one setting for all.

`--speed` measures the engine alone, on stories made of the words of real ones: stories a second and bytes a story (text
aside), with ever more of them in the window.

Half of the events, drawn by their names, may be looked at while the engine is tuned (`--half 0`); the other half is
for looking seldom.
"""

from __future__ import annotations

import argparse
import gc
import json
import math
import random
import sys
import time
import tracemalloc
import zlib
from collections import Counter, defaultdict
from collections.abc import Hashable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from itertools import product
from pathlib import Path
from typing import Any

from monitor.events import WINDOW, Grouping, Stream, sketch
from monitor.text import StoryText, words

ROOT = Path(__file__).resolve().parents[2]
DATA = ROOT.parent / "shared" / "data" / "stories" / "clusters.jsonl"
# (set, languages): what is scored, alone.
ROWS: tuple[tuple[str, tuple[str, ...]], ...] = (
    ("jan2026", ("en", "es")),
    ("jan2026", ("en",)),
    ("jan2026", ("es",)),
    ("updates", ("en",)),
    ("basil", ("en",)),
    ("ntrex", ("en", "es", "ru", "ar", "zh")),
    ("cec", ("zh",)),
    ("ant", ("ar",)),
)
DAY = 86400.0


@dataclass(frozen=True, slots=True)
class Labelled:
    """A story, when it was published (seconds since 1970), and the event that people put it into."""

    story: StoryText
    published: float
    event: str
    set: str


@dataclass(frozen=True, slots=True)
class Score:
    """Precision, recall and F1 over pairs, and the same by BCubed."""

    precision: float
    recall: float
    f1: float
    b_precision: float
    b_recall: float
    b_f1: float


def _seconds(text: str) -> float:
    """Return the time of a label; a range begins with its first day, what is no time counts as one moment."""
    try:
        moment = datetime.fromisoformat(text.partition("/")[0])
    except ValueError:
        return 0.0
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()


def labelled(row: Mapping[str, Any]) -> Labelled:
    """Return a row of the data as a story of the program."""
    story = StoryText(
        id=row["id"],
        title=row["title"],
        summary=row["summary"],
        text=row["text"],
        language=row["lang"],
        source=row["source"],
        url=row["url"] or "",
    )
    return Labelled(story, _seconds(row["ts"]), row["event"], row["set"])


def read(path: Path) -> list[Labelled]:
    """Return all labelled stories in the order of publication."""
    with path.open(encoding="utf-8") as lines:
        return sorted((labelled(json.loads(line)) for line in lines), key=lambda one: one.published)


def half(event: str) -> int:
    """Return which half of the data an event belongs to."""
    return zlib.crc32(event.encode()) & 1


def f1(precision: float, recall: float) -> float:
    """Return the harmonic mean."""
    return 2 * precision * recall / (precision + recall) if precision + recall else 0.0


def score(gold: Sequence[Hashable], found: Sequence[Hashable]) -> Score:
    """Compare the events `found` with `gold`, story by story."""
    both = Counter(zip(gold, found, strict=True))
    wanted, made = Counter(gold), Counter(found)

    def pairs(counts: Mapping[Any, int]) -> int:
        return sum(n * (n - 1) // 2 for n in counts.values())

    precision = pairs(both) / pairs(made) if pairs(made) else 1.0
    recall = pairs(both) / pairs(wanted) if pairs(wanted) else 1.0
    b_precision = sum(n * n / made[e] for (_, e), n in both.items()) / len(gold)
    b_recall = sum(n * n / wanted[g] for (g, _), n in both.items()) / len(gold)
    return Score(precision, recall, f1(precision, recall), b_precision, b_recall, f1(b_precision, b_recall))


# --- the baseline


def _vectors(stories: Sequence[Labelled], lead: int) -> Iterator[dict[str, float]]:
    """Yield the unit TF-IDF vector of each story's title and first `lead` words, by what came before it."""
    seen: Counter[str] = Counter()
    for number, one in enumerate(stories, 1):
        body = words(f"{one.story.summary} {one.story.text[:4000]}")[:lead]
        counts = Counter(word.folded for word in (*words(one.story.title), *body))
        seen.update(counts.keys())
        raw = {w: (1 + math.log(n)) * math.log((1 + number) / (0.5 + seen[w])) for w, n in counts.items()}
        length = math.sqrt(sum(x * x for x in raw.values())) or 1.0
        yield {w: x / length for w, x in raw.items()}


def _baseline(
    stories: Sequence[Labelled], vectors: Sequence[dict[str, float]], threshold: float, days: float, *, centroid: bool
) -> list[int]:
    """Return an event for each story: that of the likest story or centroid within `days`, or a new one."""
    events: list[int] = []
    sums: dict[int, dict[str, float]] = defaultdict(lambda: defaultdict(float))
    postings: dict[str, list[int]] = defaultdict(list)
    last: dict[int, float] = {}
    for at, (one, vector) in enumerate(zip(stories, vectors, strict=True)):
        likeness: dict[int, float] = defaultdict(float)
        for word, weight in vector.items():
            for place in postings[word]:
                likeness[place] += weight * (sums[place] if centroid else vectors[place])[word]
        best, found = threshold, -1
        for place, value in likeness.items():
            since = last[place] if centroid else stories[place].published
            if one.published - since > days * DAY:
                continue
            if centroid:
                value /= math.sqrt(sum(x * x for x in sums[place].values()))
            if value >= best:
                best, found = value, (place if centroid else events[place])
        event = at if found < 0 else found
        events.append(event)
        last[event] = one.published
        for word, weight in vector.items():
            if centroid and word not in sums[event]:
                postings[word].append(event)
            elif not centroid:
                postings[word].append(at)
            sums[event][word] += weight
    return events


def baseline(stories: Sequence[Labelled]) -> tuple[Score, str]:
    """Return the best pairwise F1 that online TF-IDF reaches on these stories, and with which setting."""
    gold = [one.event for one in stories]
    best: tuple[Score, str] | None = None
    for lead in (0, 60):
        vectors = list(_vectors(stories, lead))
        for threshold, days, centroid in product((0.15, 0.2, 0.25, 0.3, 0.35, 0.4, 0.5, 0.6), (1, 3), (False, True)):
            now = score(gold, _baseline(stories, vectors, threshold, days, centroid=centroid))
            if best is None or now.f1 > best[0].f1:
                best = now, f"{'centroid' if centroid else 'nearest'} >= {threshold}, {days} d, {lead} words of lead"
    assert best is not None
    return best


# --- the engine


def grouped(stories: Iterable[Labelled]) -> list[int]:
    """Return the event of each story, by the engine at its one setting: the number of the event's first story."""
    stream = Stream()
    return [stream.place(one.story, one.published).event for one in stories]


def unaddressed(stories: Iterable[Labelled]) -> list[Labelled]:
    """Return the stories without their addresses, which in `updates` are what the label was made of."""
    return [replace(one, story=replace(one.story, url="")) for one in stories]


# --- speed


def invented(count: int, span: float) -> Iterator[tuple[StoryText, float]]:
    """Yield stories within `span` seconds: each the headline of one real story and the summary of another."""
    with (DATA.parent / "stream.jsonl").open(encoding="utf-8") as lines:
        real = [json.loads(line) for line in lines]
    drawn = random.Random(1)
    for number in range(count):
        one, two, three = drawn.choices(real, k=3)
        title = " ".join((*one["title"].split()[:5], *two["title"].split()[-5:]))
        summary = " ".join((three["summary"] or three["title"], two["summary"], one["title"]))
        yield StoryText("", title, summary, language=one["lang"], source=one["source"]), number * span / count


def speed(live: int, measured: int = 5_000) -> tuple[float, float]:
    """Return the stories a second with `live` in the window, and the bytes that each takes there."""
    fresh = list(invented(live + measured, WINDOW * (live + measured) / live))
    tracemalloc.start()
    grouping = Grouping()
    for number, (story, at) in enumerate(fresh[:live]):
        new = sketch(story, at)
        grouping.add(number, new, number, grouping.decide(new).weights)
    gc.collect()
    held = tracemalloc.get_traced_memory()[0]
    tracemalloc.stop()
    start = time.process_time()
    for number, (story, at) in enumerate(fresh[live:], live):
        new = sketch(story, at)
        decision = grouping.decide(new)
        grouping.add(number, new, number if decision.event is None else decision.event, decision.weights)
    return measured / (time.process_time() - start), held / live


# --- the table


def chosen(stories: Iterable[Labelled], name: str, languages: Sequence[str], part: int | None) -> list[Labelled]:
    """Return the stories of a row: of a set, in some languages, all or one half of the events."""
    return [
        one
        for one in stories
        if one.set == name and one.story.language in languages and part in (None, half(one.event))
    ]


def show(label: str, found: Score, note: str = "") -> None:
    """Print one line of the table."""
    values = (found.precision, found.recall, found.f1, found.b_precision, found.b_recall, found.b_f1)
    print(f"  {label:<12}" + "".join(f"{value:7.3f}" for value in values) + f"  {note}")


def main(argv: Sequence[str] | None = None) -> int:
    """Print the table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--data", type=Path, default=DATA)
    parser.add_argument("--half", type=int, choices=(0, 1), help="only one half of the events")
    parser.add_argument("--fast", action="store_true", help="leave the baseline out")
    parser.add_argument("--speed", action="store_true", help="stories a second and memory, instead of the scores")
    options = parser.parse_args(argv)
    if not options.data.exists():
        print(f"skipped: there are no labelled stories at {options.data}", file=sys.stderr)
        return 0
    if options.speed:
        for live in (1_000, 10_000, 50_000, 100_000):
            rate, held = speed(live)
            print(f"{live:>8,} in the window: {rate:6,.0f} stories/s, {held:6,.0f} bytes a story", flush=True)
        return 0
    stories = read(options.data)
    print("pairwise P, R, F1; BCubed P, R, F1")
    for name, languages in ROWS:
        row = chosen(stories, name, languages, options.half)
        print(f"{name} {'+'.join(languages)}: {len(row)} stories")
        gold = [one.event for one in row]
        show("singletons", score(gold, range(len(row))))
        if not options.fast:
            show("TF-IDF", *baseline(row))
        show("engine", score(gold, grouped(unaddressed(row))), "without addresses")
        show("engine", score(gold, grouped(row)))
    return 0


if __name__ == "__main__":
    sys.exit(main())
