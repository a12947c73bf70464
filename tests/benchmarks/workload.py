"""What the matching benchmark works on: real stories, and rules sampled from the words of other real stories.

Everything is drawn with fixed seeds, so two runs on the same data measure the same work. The mix of rules and the
lengths of stories are those of section 0 of the measurements that the design of `monitor.rules` rests on.
"""

from __future__ import annotations

import hashlib
import json
import math
import random
import re
from bisect import bisect_left
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import accumulate, pairwise
from pathlib import Path
from types import MappingProxyType
from typing import Any

from monitor.config import Config, Entity, Topic
from monitor.errors import QueryError
from monitor.query import parse
from monitor.text import UNSPACED, StoryText, words

DATA = Path(__file__).resolve().parents[3] / "shared" / "data" / "stories"

# Words of a story at these shares of all stories; `\w+` counts them, as the yardstick does.
LENGTHS = ((0.0, 12), (0.1, 32), (0.5, 144), (0.9, 557), (0.99, 1236), (1.0, 1400))
ENGLISH = 0.6
RULE_STORIES = 12_000

# Of each hundred rules.
MIX = (
    ("keyword", 25),
    ("phrase", 20),
    ("prefix", 10),
    ("near", 15),
    ("boolean", 12),
    ("title", 5),
    ("exact", 5),
    ("entity", 8),
)
# A word is picked with the weight (stories that have it) ** COMMONNESS: 0 would be by type, 1 by token. Chosen so that
# a story matches about 1.65, 19 and 187 of 1,000, 10,000 and 100,000 rules.
COMMONNESS = 0.35
TOO_COMMON = 0.04  # a word that more of the stories have is in no rule alone
NAMED = re.compile(r"(?<=[a-z,] )[A-Z][\w’'-]+(?: [A-Z][\w’'-]+){1,2}")
_ALONE = re.compile(f"[{UNSPACED}]")


@dataclass(frozen=True)
class Workload:
    """The stories to match; the rules as query texts, and the aliases of the entities that they name."""

    stories: tuple[StoryText, ...]
    queries: tuple[str, ...]
    entities: dict[str, tuple[str, ...]]

    def config(self, rules: int, more: dict[str, tuple[str, ...]] | None = None) -> Config:
        """Return a configuration of the first rules as topics and of the entities they name, and of `more`."""
        queries = self.queries[:rules]
        named = {query[1:] for query in queries if query.startswith("@")}
        chosen = {name: aliases for name, aliases in self.entities.items() if name in named} | (more or {})
        return Config(
            topics=MappingProxyType({f"r{n}": Topic(name=f"r{n}", query=query) for n, query in enumerate(queries)}),
            entities=MappingProxyType(
                {name: Entity(name=name, title=found[0], aliases=found[1:]) for name, found in chosen.items()}
            ),
        )

    def fingerprint(self) -> str:
        """Return a hash of it all: runs that print the same one measured the same work."""
        everything = repr((self.stories, self.queries, sorted(self.entities.items())))
        return hashlib.blake2b(everything.encode("utf-8", "surrogatepass"), digest_size=6).hexdigest()

    def sample(self, count: int) -> tuple[StoryText, ...]:
        """Return `count` of the stories, of all lengths."""
        step = max(1.0, len(self.stories) / count)
        return tuple(self.stories[int(at * step)] for at in range(min(count, len(self.stories))))


def load(stories: int, rules: int) -> Workload:
    """Return the workload, read from the shared data."""
    known = list(_stories())
    tested = _of_lengths(known, stories)
    taken = {story.id for story in tested}
    rng = random.Random(2)
    others = [story for story in known if story.id not in taken]
    others = rng.sample(others, min(RULE_STORIES, len(others)))
    queries, entities = _Sampler(others, rng).rules(rules)
    return Workload(tested, tuple(queries), entities)


def million_aliases(count: int) -> dict[str, tuple[str, ...]]:
    """Return entities with `count` aliases together, eight each: real names, then their parts put together anew."""
    rng = random.Random(3)
    names = dict.fromkeys([*_listed_names(), *_corpus_names(_stories())])
    parts: dict[bool, list[str]] = {True: [], False: []}
    for name in names:
        for part in name.split():
            if len(part) > 1:
                parts[part.isascii()].append(part)
    while len(names) < count:
        pool = parts[rng.random() < 0.8]
        names[" ".join(rng.choices(pool, k=rng.choice((2, 2, 3))))] = None
    chosen = list(names)[:count]
    rng.shuffle(chosen)
    return {f"listed{n}": tuple(chosen[n : n + 8]) for n in range(0, count, 8)}


def length(story: StoryText) -> int:
    """Return how many words a story has, as `\\w+` counts them."""
    return sum(len(re.findall(r"\w+", field)) for field in (story.title, story.summary, story.text))


def _rows(name: str) -> Iterator[dict[str, Any]]:
    with (DATA / f"{name}.jsonl").open(encoding="utf-8") as lines:
        yield from map(json.loads, lines)


def _stories() -> Iterator[StoryText]:
    """Yield each real story once."""
    seen = set()
    for name in ("topics", "clusters", "multiling", "cluster_pairs", "stream", "stream_zh", "stream_ar"):
        for row in _rows(name):
            for number in ("1", "2") if name == "cluster_pairs" else ("",):
                title, summary, text = (row.get(f"{field}{number}") or "" for field in ("title", "summary", "text"))
                if (title, summary, text) not in seen:
                    seen.add((title, summary, text))
                    yield StoryText(f"{name}-{row['id']}{number}", title, summary, text, row["lang"] or "")


def _of_lengths(known: Sequence[StoryText], count: int) -> tuple[StoryText, ...]:
    """Return stories whose lengths are distributed as LENGTHS says, as far as the data go, shortest first."""
    rng = random.Random(1)
    pools: dict[bool, list[tuple[int, int]]] = {True: [], False: []}  # English or not: (words, number)
    for number, story in enumerate(known):
        pools[story.language == "en"].append((length(story), number))
    for pool in pools.values():
        pool.sort()
    found = []
    for at in range(count):
        pool = pools[int(at * ENGLISH) != int((at + 1) * ENGLISH)]
        place = bisect_left(pool, (_wanted_length((at + 0.5) / count), 0))
        near = min(max(place + rng.randrange(-6, 6), 0), len(pool) - 1)
        found.append(pool.pop(near))
    found.sort()
    return tuple(known[number] for _, number in found)


def _wanted_length(share: float) -> int:
    for (low, fewest), (high, most) in pairwise(LENGTHS):
        if share <= high:
            inside = (share - low) / (high - low)
            return round(math.exp(math.log(fewest) + inside * (math.log(most) - math.log(fewest))))
    raise AssertionError(share)


def _listed_names() -> Iterator[str]:
    for row in _rows("names"):
        groups = row.get("names") or {}
        listed = [name for names in groups.values() for name in names] if isinstance(groups, dict) else groups
        yield from (name for name in (row.get("name"), row.get("name1"), row.get("name2"), *listed) if name)


def _corpus_names(stories: Iterator[StoryText] | Sequence[StoryText]) -> Iterator[str]:
    for story in stories:
        yield from NAMED.findall(f"{story.summary} {story.text}")


@dataclass(frozen=True)
class _Piece:
    """A word of a story, or two to four characters of a script without spaces, folded and as written."""

    folded: str
    written: str
    unspaced: bool


class _Sampler:
    """Writes queries with the words of stories."""

    def __init__(self, stories: Sequence[StoryText], rng: random.Random) -> None:
        self._rng = rng
        self._pieces = [pieces for story in stories if len(pieces := list(self._cut(story))) >= 4]
        seen = Counter(folded for pieces in self._pieces for folded in {piece.folded for piece in pieces})
        self._common = {word for word, often in seen.items() if often > TOO_COMMON * len(self._pieces)}
        # Sorted: sets are in another order in each process, and the same words must be drawn in all of them.
        self._vocabulary = sorted(word for word in seen if self._telling(word))
        self._weights = list(accumulate(seen[word] ** COMMONNESS for word in self._vocabulary))
        capitals = {w for p in self._pieces for piece in p if (w := piece.written) != w.lower() or piece.unspaced}
        self._capitals = sorted(capitals)
        self._names = sorted({*_listed_names(), *_corpus_names(stories)})
        self._entities: dict[str, tuple[str, ...]] = {}

    def rules(self, count: int) -> tuple[list[str], dict[str, tuple[str, ...]]]:
        """Return queries, each hundred of them with the whole mix, and the entities that they name."""
        kinds = [kind for kind, of_hundred in MIX for _ in range(of_hundred)]
        queries: list[str] = []
        while len(queries) < count:
            self._rng.shuffle(kinds)
            queries += [self._valid(kind) for kind in kinds]
        return queries[:count], self._entities

    def _valid(self, kind: str) -> str:
        while True:
            query: str = getattr(self, f"_{kind}")()
            try:
                parse(query)
            except QueryError:
                continue  # a word of the language, such as NEAR
            return query

    def _cut(self, story: StoryText) -> Iterator[_Piece]:
        for text in (story.title, story.summary, story.text):
            found = words(text)
            at = 0
            while at < len(found):
                last = at
                if _ALONE.match(found[at].folded):
                    wanted = at + self._rng.randrange(1, 4)
                    while last < wanted and last + 1 < len(found) and _follows(found, last):
                        last += 1
                written = text[found[at].start : found[last].end]
                folded = "".join(word.folded for word in found[at : last + 1])
                yield _Piece(folded, written, bool(_ALONE.match(folded)))
                at = last + 1

    def _telling(self, word: str) -> bool:
        return word not in self._common and len(word) >= (2 if _ALONE.match(word) else 3) and not word.isdigit()

    def _word(self) -> str:
        (word,) = self._rng.choices(self._vocabulary, cum_weights=self._weights)
        return word

    def _words(self, count: int) -> list[str]:
        chosen: dict[str, None] = {}
        while len(chosen) < count:
            chosen[self._word()] = None
        return list(chosen)

    def _sequence(self, low: int, high: int) -> str:
        """Return words that follow one another in a story, not all of them common."""
        while True:
            pieces = self._rng.choice(self._pieces)
            count = self._rng.randint(low, high)
            at = self._rng.randrange(max(1, len(pieces) - count))
            chosen = pieces[at : at + count]
            if any(self._telling(piece.folded) for piece in chosen):
                text = chosen[0].folded
                for before, piece in pairwise(chosen):
                    text += ("" if before.unspaced and piece.unspaced else " ") + piece.folded
                return text

    def _together(self, distance: int) -> tuple[str, str]:
        """Return two words that stand near each other in a story."""
        while True:
            pieces = self._rng.choice(self._pieces)
            at = self._rng.randrange(len(pieces) - 1)
            near = [piece.folded for piece in pieces[at : at + distance] if self._telling(piece.folded)]
            if len(set(near)) >= 2:
                return near[0], next(word for word in reversed(near) if word != near[0])

    def _keyword(self) -> str:
        return self._word()

    def _phrase(self) -> str:
        return f'"{self._sequence(2, 4)}"'

    def _prefix(self) -> str:
        while True:
            word = self._word()
            if len(word) >= 6 and not _ALONE.match(word):
                return f"{word[: self._rng.randint(5, min(8, len(word) - 1))]}*"

    def _near(self) -> str:
        e, f = self._together(8)
        a, b, g = self._words(3)
        a = self._rng.choice((a, e))
        distance = self._rng.choice((8, 10))
        return f'({a} OR {b} OR "{self._sequence(2, 2)}") AND ({e} NEAR/{distance} {f}) AND NOT {g}'

    def _boolean(self) -> str:
        a, b, c, d = self._words(4)
        forms = (
            f"{a} AND {b}",
            f"{a} AND NOT {b}",
            f"{a} OR {b} OR {c}",
            f"({a} OR {b}) AND ({c} OR {d}) AND NOT {a}x",
        )
        return self._rng.choice(forms)

    def _title(self) -> str:
        return f"title:{self._word()}"

    def _exact(self) -> str:
        return f"{{{self._rng.choice(self._capitals)}}}"

    def _entity(self) -> str:
        """Return the name of a new entity with 1 to 30 aliases."""
        count = round(math.exp(self._rng.uniform(0, math.log(30))))
        name = f"entity{len(self._entities)}"
        self._entities[name] = tuple(self._rng.sample(self._names, count))
        return f"@{name}"


def _follows(found: Sequence[Any], at: int) -> bool:
    """Whether the next word is a character of a script without spaces, right behind this one."""
    return found[at + 1].start == found[at].end and bool(_ALONE.match(found[at + 1].folded))
