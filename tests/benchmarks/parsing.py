"""What reading a feed costs: feedparser as it comes, feedparser bare, ours of the whole, and ours of what is new.

    python -m tests.benchmarks.parsing [--rounds 5] [--documents 60] [--json FILE]

Works on real documents of at most 200 KB that can be cut, half of them of 40 to 60 items. All times are processor time
of one process, medians of rounds in which the ways take turns on each document. Needs ../shared/data.
"""

from __future__ import annotations

import argparse
import gc
import io
import json
import random
import statistics
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import feedparser

from monitor.parse import parse_feed
from monitor.parse.cut import Seen, header_mark, mark, pieces, seen
from monitor.parse.encoding import decode

DATA = Path(__file__).resolve().parents[3] / "shared" / "data" / "feeds"
URL = "https://wire.example/feed.xml"
LARGEST = 200_000  # bytes


@dataclass(frozen=True)
class Document:
    """A real document, with what is known of it when all its items are and when one is not."""

    name: str
    body: bytes
    items: int
    all_known: str
    one_new: str


def load(most: int) -> list[Document]:
    """Return up to `most` documents, half of them of about 50 items where there are as many."""
    found = []
    for path in sorted(path for path in DATA.rglob("*") if path.is_file() and path.stat().st_size <= LARGEST):
        body = path.read_bytes()
        if known := parse_feed(body, URL).seen:
            whole = seen(known)
            new = next(iter(whole.items))
            rest = {name: place for name, place in whole.items.items() if name != new}
            found.append(Document(path.name, body, len(whole.items), known, Seen(whole.header, rest).written()))
    random.Random(5).shuffle(found)
    fifty = [one for one in found if 40 <= one.items <= 60][: most // 2]
    others = [one for one in found if one.items >= 5 and not 40 <= one.items <= 60]
    return fifty + others[: most - len(fifty)]


def ways(one: Document) -> dict[str, Callable[[], Any]]:
    """Return what is measured of a document, by name."""
    return {
        "feedparser": lambda: feedparser.parse(io.BytesIO(one.body)),
        "bare": lambda: feedparser.parse(io.BytesIO(one.body), sanitize_html=False, resolve_relative_uris=False),
        "whole": partial(parse_feed, one.body, URL),
        "one new": partial(parse_feed, one.body, URL, "", one.one_new),
        "all known": partial(parse_feed, one.body, URL, "", one.all_known),
        "scan": partial(_scan, one.body),
    }


def _scan(body: bytes) -> list[str]:
    parts = pieces(decode(body)[0])
    assert parts is not None
    return [header_mark(parts, URL), *map(mark, parts.items)]


def measure(one: Document, rounds: int) -> dict[str, float]:
    """Return the milliseconds of each way, as medians."""
    times: dict[str, list[float]] = {}
    for _ in range(rounds):
        for name, way in ways(one).items():
            gc.collect()
            began = time.process_time()
            way()
            times.setdefault(name, []).append(1000 * (time.process_time() - began))
    return {name: statistics.median(taken) for name, taken in times.items()}


def main() -> int:
    """Measure and print; return 1 where there is nothing to measure."""
    arguments = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    arguments.add_argument("--rounds", type=int, default=5)
    arguments.add_argument("--documents", type=int, default=60)
    arguments.add_argument("--json", type=Path, help="write the figures here too")
    said = arguments.parse_args()
    if not DATA.is_dir():
        print(f"there are no documents to measure at {DATA}")
        return 1
    documents = load(said.documents)
    taken = {one: measure(one, said.rounds) for one in documents}
    fifty = [one for one in documents if 40 <= one.items <= 60]
    groups = {"all documents": documents, "of 40 to 60 items": fifty}
    figures: dict[str, dict[str, dict[str, float]]] = {}
    for title, group in groups.items():
        size = statistics.mean(len(one.body) for one in group)
        items = statistics.mean(one.items for one in group)
        print(f"\n{title}: {len(group)}, on average {size / 1000:.0f} KB and {items:.0f} items")
        print(f"{'':12}{'ms a feed':>12}{'times as fast':>16}{'median':>10}{'worst tenth':>14}")
        for name in ways(group[0]):
            mean = statistics.mean(taken[one][name] for one in group)
            ratio = statistics.mean(taken[one]["feedparser"] for one in group) / mean
            each = sorted(taken[one]["feedparser"] / taken[one][name] for one in group)
            median, low = statistics.median(each), each[len(each) // 10]
            figures.setdefault(title, {})[name] = {"ms": mean, "ratio": ratio, "median": median, "low": low}
            print(f"{name:12}{mean:12.2f}{ratio:15.1f}x{median:9.1f}x{low:13.1f}x")
    if said.json:
        said.json.write_text(json.dumps(figures, indent=1))
    return 0


if __name__ == "__main__":
    sys.exit(main())
