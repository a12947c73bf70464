"""How fast stories are matched: ours, from text to evidence, beside other engines, in one run on the same stories.

    python -m tests.benchmarks.matching [--rules 1000,10000,100000] [--rounds 3] [--quick] [--json FILE]

All times are processor time of one process on one core, medians of rounds in which the engines take turns. The other
engines are given stories already folded and cut, for which only ours is charged. Needs ../shared/data; mokaccino,
PostgreSQL and spaCy are measured where they are installed. MONITOR_PURE=1 measures ours without the compiled core.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import json
import re
import statistics
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass, field, replace
from functools import partial
from pathlib import Path
from types import MappingProxyType
from typing import Any

from monitor.collector import lasting, set_aside, uncollected
from monitor.config import Config, Topic
from monitor.entities import Aliases
from monitor.rules.compile import compile_topics
from monitor.rules.core import CORE
from monitor.rules.engine import Rules, compile_rules
from monitor.rules.evaluate import find, shown, whole
from monitor.rules.folded import Folded
from monitor.rules.reading import Reading
from monitor.text import StoryText, words
from tests.benchmarks.peers import (
    Cut,
    Matches,
    Mokaccino,
    Peer,
    Phrases,
    Postgres,
    Seconds,
    Yardstick,
    cut,
    timed,
)
from tests.benchmarks.workload import DATA, Workload, length, load, million_aliases
from tests.postgres import Missing, postgres_server

TICK = 0.005
BLOCKED = 0.05  # seconds; an event loop kept waiting as long is called blocked
BOUNDS = {1_000: 3.5, 10_000: 10.0, 100_000: 20.0}  # times as fast as mokaccino with verification


@dataclass
class Result:
    """A figure and, where there is one, the bound it must keep."""

    section: str
    name: str
    value: float
    unit: str
    bound: str = ""
    good: bool | None = None

    def line(self) -> str:
        """Return it as a line of the table."""
        verdict = "" if self.good is None else "PASS" if self.good else "FAIL"
        return f"{self.name:<62} {_figure(self.value):>9} {self.unit:<6} {self.bound:<10} {verdict}".rstrip()


@dataclass
class Report:
    """All figures, printed as they come."""

    results: list[Result] = field(default_factory=list)
    _section: str = ""

    def section(self, title: str) -> None:
        """Begin a part of the table."""
        self._section = title
        print(f"\n{title}\n{'-' * len(title)}", flush=True)

    def say(self, text: str) -> None:
        """Print what is no figure."""
        print(text, flush=True)

    def add(self, name: str, value: float, unit: str, *, most: float | None = None, least: float | None = None) -> None:
        """Note and print a figure and whether it keeps its bound."""
        result = Result(self._section, name, value, unit)
        if most is not None:
            result.bound, result.good = f"<= {most:g}", value <= most
        elif least is not None:
            result.bound, result.good = f">= {least:g}", value >= least
        self.results.append(result)
        print(result.line(), flush=True)


def _figure(value: float) -> str:
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.2f}"


class Ours:
    """The engine of `monitor.rules`, from `str` to evidence."""

    name = "monitor.rules, str to evidence"

    def __init__(self, rules: Rules, build: float) -> None:
        self.rules, self.build = rules, build

    def run(self, stories: Sequence[Cut]) -> tuple[Seconds, Matches]:
        """Match the stories."""
        texts = [replace(story.story) for story in stories]
        match = self.rules.match
        seconds, found = timed(lambda: [match(text) for text in texts])
        return {"match": seconds}, [{int(match.topic[1:]) for match in matches} for matches in found]


def take_turns(engines: Sequence[Peer], stories: Sequence[Cut], rounds: int) -> dict[str, Seconds]:
    """Return each engine's median seconds of each part, after as many rounds in which all take their turn."""
    taken: dict[str, list[Seconds]] = {engine.name: [] for engine in engines}
    for engine in engines:
        engine.run(stories[:20])  # warms caches, as a daemon's are
    for _ in range(rounds):
        for engine in engines:
            gc.collect()
            taken[engine.name].append(engine.run(stories)[0])
    return {
        name: {part: statistics.median(one[part] for one in parts) for part in parts[0]}
        for name, parts in taken.items()
    }


# Engines side by side


def compare(report: Report, workload: Workload, size: int, options: argparse.Namespace, port: int | None) -> None:
    """Measure all engines with the first `size` rules."""
    report.section(f"{size:,} rules: processor time a story")
    config = workload.config(size)
    aliases = Aliases(config)
    build, topics = timed(lambda: compile_topics(config, aliases)[0])
    indexed, rules = timed(lambda: Rules(topics, aliases))
    ours = Ours(rules, build + indexed)
    mokaccino = _made(report, lambda: Mokaccino(topics, aliases))
    spacy = _made(report, lambda: Phrases(topics, aliases))
    server = _made(report, lambda: Postgres(port, topics, aliases)) if port is not None else None
    engines: list[Peer] = [engine for engine in (ours, mokaccino, spacy, server, Yardstick()) if engine is not None]
    count = _share(options.stories, size)
    stories = [cut(story) for story in workload.sample(count)]
    matches = ours.run(stories)[1]
    report.say(f"{len(stories)} stories; {statistics.mean(map(len, matches)):.2f} matches a story")
    median = take_turns(engines, stories, options.rounds)
    each = {name: {part: s / len(stories) * 1e6 for part, s in parts.items()} for name, parts in median.items()}
    for engine in engines:
        for part, micros in each[engine.name].items():
            report.add(f"{engine.name}: {part}", micros, "us")
        if len(each[engine.name]) > 1:
            report.add(f"{engine.name}: together", sum(each[engine.name].values()), "us")
    ratios(report, each, ours.name, size)
    agree(report, [engine for engine in (mokaccino, server) if engine is not None], stories, matches)
    for engine in engines:
        if engine.build:
            report.add(f"{engine.name}: building", engine.build, "s")
    if server is not None:
        server.close()


def _share(stories: int, size: int) -> int:
    """Return how many stories are enough for so many rules: the slowest peer takes tens of milliseconds a story."""
    return stories if size <= 1_000 else max(100, stories * 2 // 5) if size <= 10_000 else max(100, stories * 3 // 20)


def ratios(report: Report, each: dict[str, Seconds], ours: str, size: int) -> None:
    """Print how many times our time each engine takes."""
    our = each[ours]["match"]
    for name, parts in each.items():
        if name == Mokaccino.name:
            exact = parts["percolate"] + parts["places"] + parts["verify"]
            whole = exact + parts["document"]
            report.add(f"times as fast as {name} + verify, from folded words", whole / our, "x", least=BOUNDS.get(size))
            report.add("the same, its documents given too", exact / our, "x")
            report.add("the same, and words' places too", (exact - parts["places"]) / our, "x")
            report.add(f"times as fast as {name} without verify", parts["percolate"] / our, "x")
        elif name == Yardstick.name:
            report.add(f"times as long as {name}", our / parts["find"], "x", most=1.5 if size == 1_000 else None)
        elif name != ours:
            report.add(f"times as fast as {name}", sum(parts.values()) / our, "x")


def agree(report: Report, peers: Sequence[Peer], stories: Sequence[Cut], ours: Matches) -> None:
    """Print in how many stories the peers' verified matches differ from ours."""
    for peer in peers:
        found = peer.run(stories)[1]
        differing = sum(one != other for one, other in zip(ours, found, strict=True))
        report.add(f"stories of {len(stories)} in which {peer.name} differs", differing, "", most=0)


def _made(report: Report, make: Callable[[], Any]) -> Any:
    try:
        return make()
    except Missing as why:
        report.say(f"left out: {why}")
        return None


# Cost of each stage


def stages(report: Report, workload: Workload, size: int, options: argparse.Namespace) -> None:
    """Print what each step of a match takes, by the engine's own functions one after another on the same stories."""
    report.section(f"{size:,} rules: each stage, a story")
    rules = compile_rules(workload.config(size))
    stories = workload.sample(_share(options.stories, size))
    taken: dict[str, list[float]] = defaultdict(list)
    for _ in range(options.rounds):
        gc.collect()
        total: dict[str, float] = defaultdict(float)
        for start in range(0, len(stories), 20):
            for stage, seconds in _stages(rules, stories[start : start + 20]).items():
                total[stage] += seconds
        total["whole"] = timed(lambda: [rules.match(story) for story in stories])[0]
        for stage, seconds in total.items():
            taken[stage].append(seconds / len(stories) * 1e6)
    middle = {stage: statistics.median(micros) for stage, micros in taken.items()}
    for stage, micros in middle.items():
        report.add(f"{stage} ({micros / middle['whole']:.0%} of match)", micros, "us")


def _stages(rules: Rules, stories: Sequence[StoryText]) -> Seconds:
    """Return the seconds of each stage, which together are those of `Rules.match`."""
    index = rules._index
    fold, folded = timed(lambda: [Folded(story.title, story.summary, story.text) for story in stories])
    if index.matcher is not None:
        # Scanning, sifting, deciding and evidence are one call there; what it did not decide is left to Python.
        match = index.matcher.match
        compiled, told = timed(
            lambda: [match(one.data, one.joined, one.origins, one.before, one.place) for one in folded]
        )
        others = [(story, one, found) for story, one, found in zip(stories, folded, told, strict=True) if found[2]]
        rest, _ = timed(
            lambda: [
                list(rules._judged(whole(Reading(story, index, (one, found[3]))), found[2]))
                for story, one, found in others
            ]
        )
        return {"fold": fold, "core": compiled, "decided in Python": rest}
    scan, read = timed(lambda: [Reading(story, index) for story in stories])
    candidates, chosen = timed(lambda: [index.sieve.candidates(reading.text.hits) for reading in read])
    trees = [topic.tree for topic in rules._list]
    decide, found = timed(
        lambda: [
            [spans for number in numbers if (spans := find(trees[number], whole(reading))) is not None]
            for reading, numbers in zip(read, chosen, strict=True)
        ]
    )
    evidence, _ = timed(
        lambda: [
            [list(rules._alone(reading.text)), [shown(places, reading.text) for places in matched]]
            for reading, matched in zip(read, found, strict=True)
        ]
    )
    return {"fold": fold, "scan": scan - fold, "candidates": candidates, "decide": decide, "evidence": evidence}


# Building and memory, each in a process of its own


def build_cost(file: str) -> dict[str, float]:
    """Return what building the rules of a file takes, in seconds and in megabytes (as JSON to the parent process)."""
    config = _config_of(file)
    gc.collect()
    before = _megabytes()
    start = time.process_time()
    with uncollected():  # as compile_rules does
        aliases = Aliases(config)
        topics, _ = compile_topics(config, aliases)
        parsed = time.process_time()
        trees = _megabytes()
        rules = Rules(topics, aliases)
    done = time.process_time()
    after, peak = _megabytes(), _megabytes("VmHWM")
    assert not rules.match(StoryText())
    return {
        "parse": parsed - start,
        "index": done - parsed,
        "trees": trees - before,
        "growth": after - before,
        "peak": peak - before,
    }


def _config_of(file: str) -> Config:
    """Return the configuration of a file of queries and entities: the sampling of them would leave memory behind."""
    queries, entities = json.loads(Path(file).read_text(encoding="utf-8"))
    return Workload((), tuple(queries), entities).config(len(queries))


def _megabytes(name: str = "VmRSS") -> float:
    found = re.search(rf"{name}:\s+(\d+) kB", Path("/proc/self/status").read_text())
    assert found is not None
    return int(found[1]) / 1024


def alias_cost(count: int, rounds: int, stories: int) -> dict[str, float]:
    """Return what a story takes with 1,000 rules alone and with `count` aliases beside them, and the building."""
    workload = load(stories, 1_000)
    alone = compile_rules(workload.config(1_000))
    config = workload.config(1_000, million_aliases(count))
    before = _megabytes()
    build, beside = timed(lambda: compile_rules(config))
    after = _megabytes()
    cuts = [cut(story) for story in workload.stories]
    both = (Ours(alone, 0), Ours(beside, build))
    plain = {number for number, query in enumerate(workload.queries) if not query.startswith("@")}
    differ = sum(one & plain != other & plain for one, other in zip(*(e.run(cuts)[1] for e in both), strict=True))
    taken: list[list[float]] = [[], []]
    for _ in range(rounds):
        for engine, seconds in zip(both, taken, strict=True):
            gc.collect()
            seconds.append(engine.run(cuts)[0]["match"] / len(cuts) * 1e6)
    alone_us, beside_us = map(statistics.median, taken)
    return {
        "build": build,
        "growth": after - before,
        "alone": alone_us,
        "beside": beside_us,
        "ratio": beside_us / alone_us,
        "differ": differ,
    }


def _in_child(*task: str | int) -> dict[str, float]:
    command = [sys.executable, "-m", "tests.benchmarks.matching", "--child", json.dumps(task)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    found: dict[str, float] = json.loads(done.stdout)
    return found


def _child(task: list[Any]) -> dict[str, float]:
    name, *arguments = task
    return build_cost(*arguments) if name == "build" else alias_cost(*arguments)


def build_and_memory(report: Report, workload: Workload, size: int) -> None:
    """Print what building the rules takes."""
    report.section(f"{size:,} rules: building, in a process of its own")
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "workload.json"
        file.write_text(json.dumps([workload.queries[:size], workload.entities]), encoding="utf-8")
        cost = _in_child("build", str(file))
    most = 10 if size == 100_000 else None
    report.add("queries parsed and expanded", cost["parse"], "s")
    report.add("index built", cost["index"], "s")
    report.add("build together", cost["parse"] + cost["index"], "s", most=most)
    report.add("memory of the trees", cost["trees"], "MB")
    report.add("memory of trees and index", cost["growth"], "MB", most=250 if size == 100_000 else None)
    report.add("memory at its peak while building", cost["peak"], "MB")


def aliases(report: Report, count: int, options: argparse.Namespace) -> None:
    """Print what aliases beside the rules cost."""
    report.section(f"{count:,} aliases beside 1,000 rules")
    cost = _in_child("aliases", count, options.rounds, options.stories)
    report.add("1,000 rules alone", cost["alone"], "us")
    report.add("with the aliases", cost["beside"], "us")
    report.add("times as long", cost["ratio"], "x", most=1.8)
    report.add("build", cost["build"], "s")
    report.add("memory of aliases and index", cost["growth"], "MB")
    # Of rules with an entity fewer may match: the longest alias wins, and there are more of them.
    report.add("stories in which rules without an entity differ", cost["differ"], "", most=0)


# A change while an event loop runs


def live_change(report: Report, workload: Workload, size: int, rounds: int) -> None:
    """Print how long a change of one topic takes, and how long the event loop was kept waiting."""
    report.section(f"One topic among {size:,} changed, compiled in a thread")
    config = workload.config(size)
    before = compile_rules(config)
    changed = _changed(workload.config(size))  # read anew, as from files
    topics, aliases = tuple(before._list), before._index.aliases
    judged = size == 10_000
    measured: tuple[tuple[str, Callable[[], Any], bool], ...] = (
        ("a sleep, as a comparison", partial(time.sleep, 0.3), False),
        ("one topic compiled (compile_rules)", partial(_reload, changed, (config, before)), judged),
        ("all compiled anew (compile_rules)", partial(_reload, changed), False),
        ("the index alone built anew (Rules)", partial(Rules, topics, aliases), False),
    )
    set_aside()
    for name, work, judge in measured:
        both = [asyncio.run(_beside_a_loop(work)) for _ in range(rounds)]
        ready, gap = statistics.median(one for one, _ in both), max(other for _, other in both)
        report.add(f"{name}: ready after", ready * 1e3, "ms", most=300 if judge else None)
        report.add(f"{name}: longest gap of the loop", gap * 1e3, "ms", most=BLOCKED * 1e3 if judge else None)
    gc.unfreeze()


def _changed(config: Config) -> Config:
    name = f"r{len(config.topics) - 1}"
    topics = {**config.topics, name: Topic(name=name, query="(quince OR medlar) AND orchard*")}
    return replace(config, topics=MappingProxyType(topics))


def _reload(config: Config, before: tuple[Config, Rules] | None = None) -> Rules:
    """Compile as a daemon does, which freezes what it keeps."""
    with lasting():
        return compile_rules(config, before)


async def _beside_a_loop(work: Callable[[], Any]) -> tuple[float, float]:
    """Return the seconds that `work` takes in a thread, and the longest time between two ticks of the loop."""
    gaps = [0.0]

    async def tick() -> None:
        last = time.perf_counter()
        while True:
            await asyncio.sleep(TICK)
            now = time.perf_counter()
            gaps.append(now - last - TICK)
            last = now

    ticking = asyncio.create_task(tick())
    await asyncio.sleep(4 * TICK)
    start = time.perf_counter()
    kept = await asyncio.to_thread(work)
    ready = time.perf_counter() - start
    await asyncio.sleep(4 * TICK)
    ticking.cancel()
    del kept
    return ready, max(gaps)


# The run


def describe(report: Report, workload: Workload) -> None:
    """Print what the stories are like."""
    report.say(f"matching with {'the compiled core' if CORE else 'Python alone'}")
    report.section("Stories")
    lengths = sorted(map(length, workload.stories))
    p10, p50, p90, p99 = (lengths[int(len(lengths) * share)] for share in (0.1, 0.5, 0.9, 0.99))
    texts = [f"{story.title}\n{story.summary}\n{story.text}" for story in workload.stories]
    languages = {story.language for story in workload.stories}
    english = sum(story.language == "en" for story in workload.stories) / len(texts)
    plain = sum(map(str.isascii, texts)) / len(texts)
    report.say(
        f"{len(texts)} in {len(languages)} languages, {english:.0%} English, {plain:.0%} pure ASCII;\n"
        f"words p10/50/90/99 = {p10}/{p50}/{p90}/{p99} (wanted 32/144/557/1236);\n"
        f"mean {statistics.mean(len(words(text)) for text in texts):.0f} words as rules count them, "
        f"{statistics.mean(len(text.encode()) for text in texts):,.0f} bytes\n"
        f"workload {workload.fingerprint()}, of {len(workload.queries):,} rules"
    )


def run(options: argparse.Namespace) -> Report:
    """Measure everything."""
    report = Report()
    workload = load(options.stories, max(options.rules))
    describe(report, workload)
    with ExitStack() as stack:
        port = _made(report, lambda: stack.enter_context(postgres_server()))
        for size in options.rules:
            compare(report, workload, size, options, port)
            gc.collect()
    for size in options.rules:
        stages(report, workload, size, options)
    live_change(report, workload, min(10_000, max(options.rules)), options.rounds)
    build_and_memory(report, workload, max(options.rules))
    aliases(report, 100_000 if options.quick else 1_000_000, options)
    bound = [result for result in report.results if result.good is not None]
    report.section(f"Bounds: {sum(bool(result.good) for result in bound)} of {len(bound)} kept")
    section = ""
    for result in bound:
        if result.section != section:
            report.say(section := result.section)
        report.say(f"  {result.line()}")
    return report


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks.matching", description=__doc__)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("--rules", default="", help="how many, several sizes with commas (1000,10000,100000)")
    parser.add_argument("--rounds", type=int, default=0, help="in which the engines take turns (3)")
    parser.add_argument(
        "--stories", type=int, default=0, help="at 1,000 rules; two fifths at 10,000, a seventh at 100,000 (1000)"
    )
    parser.add_argument("--quick", action="store_true", help="a minute: 1,000 and 10,000 rules, one round, 200 stories")
    parser.add_argument("--json", type=Path, help="also write the figures to this file")
    parser.add_argument("--child", help=argparse.SUPPRESS)
    options = parser.parse_args(arguments)
    sizes = options.rules or ("1000,10000" if options.quick else "1000,10000,100000")
    options.rules = [int(size) for size in sizes.split(",")]
    options.rounds = options.rounds or (1 if options.quick else 3)
    options.stories = options.stories or (200 if options.quick else 1_000)
    return options


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the benchmark."""
    options = _options(arguments)
    if not DATA.is_dir():
        print(f"This benchmark needs the real stories of ../shared/data/stories, and {DATA} is not there.")
        return
    if options.child:
        print(json.dumps(_child(json.loads(options.child))))
        return
    report = run(options)
    if options.json:
        options.json.write_text(json.dumps([asdict(result) for result in report.results], indent=1) + "\n")


if __name__ == "__main__":
    main()
