"""What the adaptive interval is worth: `python -m tests.benchmarks.intervals [--data FILE]`.

Polls are simulated with the real publishing times of half a year's headlines, where they lie beside the checkout, in
`../shared/data/stories/stream.jsonl`; each outlet's section is a feed. Without them, times are made up that anybody can
run it on: of feeds whose rates are spread as those of 140 news feeds were (median 13.7 stories a day, one in ten over
93), by day, night and weekend of a place, some round the clock, some in bursts.

A rule learns from what its own polls saw, as the program does, for the first two weeks of each feed; then its polls are
counted, and how long each story waited for the next one. Beside each stands the fixed interval that makes as many
polls. The rules:

    mean     the feed's mean rate over two weeks, T = c / √rate
    rhythm   the program's: by hour of the day and weekday (`timing.learn`, `timing.poll_interval`)

The stream is a sample of what the outlets brought, so true rates are higher; what is compared does not hang on that.
"""

from __future__ import annotations

import argparse
import json
import math
import random
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from statistics import fmean, quantiles

from monitor.config import Feed, Polling
from monitor.timing import HISTORY, SQRT_RULE, Rhythm, learn, poll_interval, spread

DATA = Path(__file__).resolve().parents[3] / "shared" / "data" / "stories" / "stream.jsonl"
FEWEST = 30  # stories of a feed that counts
DAY = (
    *[0.1] * 5,
    0.4,
    1.0,
    1.5,
    *[2.0] * 8,
    *[1.5] * 3,
    1.0,
    0.8,
    0.6,
    0.4,
    0.2,
)  # a newsroom's hours, from midnight on
LEAST = timedelta(days=7)  # measured, of a feed that counts
Rule = Callable[[Sequence[datetime], datetime, datetime], Rhythm]


@dataclass(frozen=True)
class Measured:
    """The waits of all stories, in minutes, and the polls that were made within the time that was measured."""

    waits: tuple[float, ...]
    polls: int
    time: timedelta

    @property
    def interval(self) -> timedelta:
        """The fixed interval that makes as many polls."""
        return self.time / self.polls


def read(path: Path) -> dict[str, list[datetime]]:
    """Return the publishing times of each feed, in order."""
    feeds: dict[str, list[datetime]] = {}
    with path.open(encoding="utf-8") as lines:
        for line in lines:
            story = json.loads(line)
            feeds.setdefault(f"{story['source']}, {story['section']}", []).append(datetime.fromisoformat(story["ts"]))
    found = {name: sorted(times) for name, times in feeds.items() if len(times) >= FEWEST}
    return {name: times for name, times in found.items() if times[-1] - times[0] >= HISTORY + LEAST}


def made_up(seed: int, feeds: int = 20, days: int = 28) -> dict[str, list[datetime]]:
    """Return publishing times that nobody published: from Monday on, of feeds that are each of a kind."""
    rng, first = random.Random(seed), datetime(2026, 1, 5, tzinfo=UTC)
    found: dict[str, list[datetime]] = {}
    for number in range(feeds):
        per_day = min(max(rng.lognormvariate(math.log(13.7), 1.49), 2.0), 300.0)
        zone, wire, weekend = rng.choice((-8, -5, 0, 1, 3, 8)), rng.random() < 0.2, rng.uniform(0.2, 0.9)
        weights = [1.0 if wire else DAY[(hour + zone) % 24] for hour in range(24)]
        times: list[datetime] = []
        for hour in range(24 * days):
            start = first + timedelta(hours=hour)
            rate = per_day * weights[hour % 24] / sum(weights) * (weekend if start.weekday() >= 5 else 1.0)
            at = rng.expovariate(rate)
            while at < 1:
                times += [start + timedelta(hours=at), *_burst(start + timedelta(hours=at), rng)]
                at += rng.expovariate(rate)
        found[f"made up {number}"] = sorted(times)
    return {name: times for name, times in found.items() if len(times) >= FEWEST}


def _burst(at: datetime, rng: random.Random) -> list[datetime]:
    """Return what follows one story in ten within minutes."""
    return (
        [at + timedelta(minutes=rng.uniform(1, 10)) for _ in range(rng.choice((1, 2, 3)))] if rng.random() < 0.1 else []
    )


def mean_rate(seen: Sequence[datetime], since: datetime, now: datetime) -> Rhythm:
    """Return a rhythm that is the same at all hours."""
    per_day = learn(seen, since, now).per_day
    return Rhythm((per_day / 24,) * 24, (1.0,) * 7)


def simulate(times: Sequence[datetime], rule: Rule, polling: Polling, rng: random.Random) -> Measured:
    """Poll one feed by a rule, from its first story to its last."""
    feed = Feed(name="feed", url="https://feeds.example/feed.xml")
    began = now = times[0] + timedelta(minutes=rng.uniform(0, 60))
    measured_from, place, polls = times[0] + HISTORY, 0, 0
    seen: list[datetime] = []
    waits: list[float] = []
    rhythm, learnt = rule(seen, began, now), now
    while now < times[-1]:
        before = place
        while place < len(times) and times[place] <= now:
            if times[place] >= measured_from:
                waits.append((now - times[place]).total_seconds() / 60)
            seen.append(now)
            place += 1
        polls += now >= measured_from
        if place > before or now - learnt > timedelta(days=1):
            seen = [at for at in seen if at > now - HISTORY]
            rhythm, learnt = rule(seen, began, now), now
        now += timedelta(seconds=spread(poll_interval(feed, polling, rhythm, now), rng))
    return Measured(tuple(waits), polls, times[-1] - measured_from)


def fixed(feeds: Mapping[str, Sequence[datetime]], interval: timedelta, rng: random.Random) -> list[float]:
    """Return the waits, in minutes, of the same stories when all feeds are polled at one interval."""
    waits = []
    for times in feeds.values():
        measured_from, phase = times[0] + HISTORY, interval * rng.random()
        waits += [
            (phase - (at - measured_from)) % interval / timedelta(minutes=1) for at in times if at >= measured_from
        ]
    return waits


def compare(feeds: Mapping[str, Sequence[datetime]], rule: Rule, polling: Polling, seed: int) -> tuple[float, float]:
    """Print a row; return the mean waits by the rule and at a fixed interval, in minutes."""
    rng = random.Random(seed)
    runs = [simulate(times, rule, polling, rng) for times in feeds.values()]
    all_of_it = Measured(
        tuple(wait for run in runs for wait in run.waits),
        sum(run.polls for run in runs),
        sum((run.time for run in runs), timedelta()),
    )
    other = fixed(feeds, all_of_it.interval, rng)
    mean, mean_fixed = fmean(all_of_it.waits), fmean(other)
    tails = " ".join(
        f"{quantiles(all_of_it.waits, n=100)[n - 1]:5.1f} /{quantiles(other, n=100)[n - 1]:5.1f}" for n in (50, 90, 99)
    )
    print(
        f"{timedelta(days=1) / all_of_it.interval:8.1f} {all_of_it.interval / timedelta(minutes=1):6.1f} "
        f"{mean:6.2f} /{mean_fixed:6.2f} {1 - mean / mean_fixed:7.1%}  {tails}"
    )
    return mean, mean_fixed


def main(arguments: Sequence[str] | None = None) -> int:
    """Print the table. Returns 1 when the program's rule gains less than 25 %, or there is no such file."""
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks.intervals", description="Simulate polling.")
    parser.add_argument("--data", type=Path, help="stories, as JSON lines with source, section and ts")
    parser.add_argument("--made-up", action="store_true", help="take times of our own making, whatever there is")
    parser.add_argument("--seed", type=int, default=1)
    asked = parser.parse_args(arguments)
    data = asked.data or DATA
    if asked.data and not data.is_file():
        print(f"there are no stories at {data}", file=sys.stderr)
        return 1
    real = data.is_file() and not asked.made_up
    feeds, polling = read(data) if real else made_up(asked.seed), Polling()
    print(f"publishing times of {data.name}" if real else "publishing times made up for this benchmark")
    batches = {name: times for name, times in feeds.items() if not name.endswith(", newsapi")}
    print(f"{len(feeds)} feeds, {sum(map(len, feeds.values()))} stories; c = {SQRT_RULE / 60:g} min, waits in minutes")
    print(f"{'':28} polls/d  every   mean / fixed   saved    p50 / fixed   p90 / fixed   p99 / fixed")
    gained = True
    for name, rule in (("mean", mean_rate), ("rhythm", learn)):
        for which, some in (("all feeds", feeds), *((("without daily batches", batches),) if real else ())):
            print(f"{name:6} {which:21}", end="")
            mean, at_fixed = compare(some, rule, polling, asked.seed)
            gained = gained and (rule is not learn or some is not feeds or mean <= 0.75 * at_fixed)
    return 0 if gained else 1


if __name__ == "__main__":
    sys.exit(main())
