"""Random queries and random stories of one small vocabulary, so that most queries have something to find.

All of it draws from one `random.Random`: a seed gives the same cases anywhere, and Hypothesis can hand in its own.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from random import Random
from typing import TypedDict

from monitor.config import Config, Entity, EntityList
from monitor.entities import Aliases
from monitor.errors import QueryError
from monitor.query import (
    And,
    AtLeast,
    EntityRef,
    Exact,
    Field,
    First,
    MacroRef,
    Near,
    Node,
    Not,
    Or,
    Phrase,
    Sentence,
    Term,
    expand,
    parse,
)
from monitor.text import StoryText, words

REAL_STORIES = Path(__file__).resolve().parent.parent.parent / "shared" / "data" / "stories"
REAL_EVERY = 5  # every fifth rule set is asked about real stories, where there are some

# Each line is one word, or nearly one, in the spellings that a story may have; a query takes any of them.
SPELLINGS = [
    ["border", "Border", "BORDER", "borders"],
    ["troops", "Troops", "troops'", "troop's"],
    ["soldier", "soldiers", "soldier's", "Soldier’s"],
    ["deploy", "deployed", "Deploying", "redeploy"],
    ["organisation", "organization", "organist"],
    ["woman", "women", "womn"],
    ["a", "b", "s"],
    ["US", "us", "U.S.", "USA"],
    ["AT&T", "AT & T", "at&t"],
    ["C++", "C"],
    ["NATO", "Nato", "ＮＡＴＯ"],
    ["al-Shabaab", "Al Shabaab", "al/Shabaab", "shabaab"],
    ["Bogotá", "bogota", "Bogota\u0301", "BOGOTÁ"],
    ["Straße", "STRASSE", "strasse", "STRAẞE"],
    ["İstanbul", "istanbul", "ISTANBUL", "ıstanbul"],
    ["ﬁnance", "finance", "ＦＩＮＡＮＣＥ"],
    ["co\u00adoperate", "cooperate", "co-operate"],
    ["œuvre", "oeuvre", "Ærø", "aero"],
    ["Αθήνα", "ΑΘΗΝΑ", "αθηνα"],
    ["ΟΔΟΣ", "οδός", "οδοσ"],
    ["санкции", "Санкции", "САНКЦИЙ", "санкция"],
    ["ёлка", "елка", "ЁЛКА"],
    ["май", "маи"],
    ["العراق", "العـــراق", "العِرَاق"],
    ["محمد", "مُحَمَّد"],
    ["أحمد", "احمد", "إيران", "ایران"],
    ["שלום", "שָׁלוֹם"],
    ["می\u200cخواهم", "میخواهم"],
    ["制裁", "制", "裁", "五国宣布制裁措施"],
    ["北京", "上海", "从上海到北京"],
    ["ガス", "ｶﾞｽ", "カ\u3099ス"],
    ["ประเทศ", "ไทย", "ประเทศไทย"],
    ["군대", "군대가", "군대는"],
    ["हिन्दी", "हिन्दि"],
    ["Sudan", "South Sudan", "sudan", "السودان"],
    ["Petro", "Gustavo Petro", "President Petro", "PETRO"],
    ["1,000", "1000", "٢٠٢٤", "2024"],
    ["💥", "…"],
]
WILD = [
    "bord*", "bor?er", "troop*", "sold*er*", "deploy*", "dep*ed", "organi?ation", "organi*ation", "wom?n", "wom?n*",
    "shab*", "al-Shab*", "bogo*", "bogot?", "stras*", "istan*", "fin*ce", "санкци*", "санкци?", "αθη*", "العر*", "محم?",
    "군대가*", "sudan*", "finan?e", "coop*te", "ประเท*", "ไทย*",
]  # fmt: skip
BETWEEN = [" "] * 8 + [", ", ". ", "! ", "-", "/", "\n", " — ", "。", " x ", " y z ", "  ", "’s "]

ENTITIES = {
    name: Entity.model_validate({"name": name, "title": title, "aliases": aliases})
    for name, title, aliases in (
        ("sudan", "Sudan", ["السودان"]),
        ("south-sudan", "South Sudan", []),
        ("petro", "Gustavo Petro", ["President Petro", "Petro", "Густаво Петро"]),
        ("us", "United States", ["US", "U.S."]),
        ("shabaab", "al-Shabaab", ["Shabaab"]),
        ("beijing", "北京", []),
        ("bogota", "Bogotá", ["border troops"]),
        ("border", "border", []),
    )
}
LISTS = {"africa": EntityList.model_validate({"name": "africa", "entities": ["sudan", "south-sudan", "shabaab"]})}
MACROS = {
    "military": 'troops OR soldier* OR "armed forces"',
    "noise": "NOT (женщина OR women)",
    "near": "border NEAR/3 $military",
}
CONFIG = Config(entities=ENTITIES, lists=LISTS, macros=MACROS)
ALIASES = Aliases(CONFIG)
MACRO_TREES: dict[str, Node] = {name: parse(text, part=True) for name, text in MACROS.items()}

AUTHORS = ["", "Ana Pérez-Gil", "By Gustavo Petro", "Border Troops"]
SOURCES = ["", "BBC News", "AT&T", "Agência Brasil"]
FEEDS = ["", "bbc-world", "bbc-asia", "dw"]
TAGS = ["World News", "asia", "sudan", "Économie"]
LANGUAGES = ["", "en", "en-GB", "zh-Hans-CN", "es"]
COUNTRIES = ["", "GB", "SD"]
URLS = [
    "",
    "https://www.news.example.org/politics/2024/border-row?x=1",
    "http://Example.ORG/",
    "https://example.org.evil.test/a/border",
    "http://[broken",
    "https://dw.example/%E5%8C%97%E4%BA%AC",
]
SAID: dict[str, list[str]] = {
    "author": ["perez", "ana", '"ana perez"', "{Gil}", "@petro", "border", "troo*", '"gil ana"~2'],
    "source": ["bbc", "{BBC}", "{AT&T}", '"bbc news"', "new*", "agencia"],
    "url": ["politics", "/politics/2024/", "border-row", "org", "{border-row}", "bord*"],
    "site": ["example.org", "news.example.org", "org", "*.org", "ample.org", "example*", "dw.example", "EXAMPLE.org"],
    "feed": ["bbc-world", "bbc-*", "bbc", "d?", "{dw}", "DW"],
    "tag": ["asia", '"world news"', "world*", "world", "@sudan", "economie", "{Économie}", "{asia}"],
    "lang": ["en", "EN-gb", "en-US", "zh", "zh-Hans", "e*", "e?"],
    "country": ["gb", "GB", "s?", "{GB}"],
}


class Vocabulary:
    """What the queries and stories of one set have in common."""

    def __init__(
        self, rng: Random, spellings: Sequence[Sequence[str]], wild: Sequence[str], most_groups: int = 4
    ) -> None:
        self._rng = rng
        self.most_groups = most_groups  # of one NEAR: trying every choice takes long where words are common
        some = rng.sample(range(len(spellings)), min(len(spellings), 9))
        self.story_words = [word for number in some for word in spellings[number]]
        self.terms = [word for word in self.story_words if _is_term(word)]
        begin = tuple(word.folded[:2] for text in self.story_words for word in words(text))
        self.wild = [pattern for pattern in wild if pattern.startswith(begin)] or list(wild)
        # Whether exact text may begin with a possessive s is not said, and nobody asks.
        self.exact = [word for word in self.story_words if words(word) and word != "s"]

    # --- stories

    def text(self, most: int) -> str:
        rng = self._rng
        parts: list[str] = []
        for _ in range(rng.randint(0, most)):
            parts += [rng.choice(self.story_words), rng.choice(BETWEEN)]
        return "".join(parts)

    def story(self) -> StoryText:
        rng = self._rng
        return StoryText(
            id="1",
            title=self.text(8),
            summary=self.text(6) if rng.random() < 0.5 else "",
            text=self.text(rng.choice([0, 10, 30])) + ("x " * 58 + self.text(5) if rng.random() < 0.05 else ""),
            **_particulars(rng),
        )

    # --- queries

    def leaf(self) -> Node:
        rng = self._rng
        made: list[Callable[[], Node]] = [
            lambda: Term(rng.choice(self.terms)),
            lambda: Term(rng.choice(self.terms)),
            lambda: Term(rng.choice(self.wild)),
            lambda: Phrase(" ".join(rng.choice(self.terms) for _ in range(rng.randint(1, 3)))),
            lambda: Phrase(f"{rng.choice(self.terms)} {rng.choice(self.wild)}"),
            lambda: Phrase(" ".join(rng.choice(self.terms) for _ in range(rng.randint(1, 3))), rng.randint(0, 4)),
            lambda: Exact(rng.choice(self.exact)),
            lambda: Exact(f"{rng.choice(self.exact)} {rng.choice(self.exact)}"),
            lambda: EntityRef(rng.choice([*ENTITIES, *LISTS])),
        ]
        return rng.choice(made)()

    def group(self) -> Node:
        """A leaf or an OR group of leaves, as NEAR and ATLEAST take them."""
        rng = self._rng
        chance = rng.random()
        if chance < 0.6:
            return self.leaf()
        if chance < 0.9:
            return Or(tuple(self.leaf() for _ in range(rng.randint(2, 3))))
        if chance < 0.95:
            return Field(rng.choice(["title", "lead", "body"]), self.leaf())
        return MacroRef("military")

    def tree(self, depth: int, *, field: bool = True) -> Node:
        rng = self._rng
        chance = rng.random()
        if depth == 0 or chance < 0.25:
            return self.leaf()
        if chance < 0.45:
            return And(tuple(self.tree(depth - 1, field=field) for _ in range(rng.randint(2, 3))))
        if chance < 0.58:
            return Or(tuple(self.tree(depth - 1, field=field) for _ in range(rng.randint(2, 3))))
        if chance < 0.66:
            return Not(self.tree(depth - 1, field=field))
        if chance < 0.76:
            groups = tuple(self.group() for _ in range(rng.choice([2, 2, 2, 3, self.most_groups])))
            return Near(groups, rng.randint(0, 6), rng.random() < 0.5)
        if chance < 0.8:
            return AtLeast(rng.randint(1, 4), self.group())
        if chance < 0.84:
            return First(rng.randint(1, 20), self.tree(depth - 1, field=field))
        if chance < 0.89:
            return Sentence(self.tree(depth - 1, field=field))
        if chance < 0.91:
            return MacroRef(rng.choice(list(MACROS)))
        if not field or chance < 0.95:
            return Field(rng.choice(["title", "lead", "body"]), self.tree(depth - 1, field=False))
        return self._said()

    def query(self) -> str:
        return str(self.tree(self._rng.choice([0, 1, 1, 2, 2, 3])))

    def _said(self) -> Node:
        """A field of what a story says of itself."""
        rng = self._rng
        name = rng.choice(list(SAID))
        values = [rng.choice(SAID[name]) for _ in range(rng.choice([1, 1, 2, 3]))]
        values = [f"NOT {value}" if rng.random() < 0.1 else value for value in values]
        joined = rng.choice([" OR ", " AND "]).join(values)
        return parse(f"{name}:({joined})", part=True)


def invented(rng: Random) -> Vocabulary:
    """Return a vocabulary of invented stories."""
    return Vocabulary(rng, SPELLINGS, WILD)


def real(rng: Random, stories: Sequence[StoryText]) -> Vocabulary:
    """Return the vocabulary of real stories: their own words and wildcards made of these."""
    texts = [getattr(story, name) for story in stories for name in ("title", "summary", "text")]
    spellings = []
    wild = []
    for text in texts:
        found = words(text)
        for word in rng.sample(found, min(6, len(found))):
            written = text[word.start : word.end]
            at = found.index(word)
            beside = text[word.start : found[min(at + 1, len(found) - 1)].end]
            spellings.append([written, *([beside] if len(beside) < 60 else [])])
            if len(word.folded) > 4 and word.folded.isalpha():
                wild.append(f"{word.folded[:3]}*")
                wild.append(f"{word.folded[:3]}?{word.folded[4:]}")
    return Vocabulary(rng, spellings or SPELLINGS, wild or WILD, most_groups=3)


def _is_term(word: str) -> bool:
    """Whether a query may hold `word` bare and in quotes."""
    return bool(words(word)) and word[0].isalnum() and not set(word) & set(' \n\t"“”„{}()（）@$~<>*?,;，；、:#。')


class _Particulars(TypedDict):
    language: str
    source: str
    feed: str
    tags: tuple[str, ...]
    url: str
    author: str
    country: str


def _particulars(rng: Random) -> _Particulars:
    return {
        "language": rng.choice(LANGUAGES),
        "source": rng.choice(SOURCES),
        "feed": rng.choice(FEEDS),
        "tags": tuple(rng.sample(TAGS, rng.randint(0, 2))),
        "url": rng.choice(URLS),
        "author": rng.choice(AUTHORS),
        "country": rng.choice(COUNTRIES),
    }


# --- rule sets

REAL_WORDS = 80  # of a real story's body: the judge is slow


@dataclass(frozen=True)
class CaseSet:
    """Queries that are the topics of one rule set, and the stories that it is asked about."""

    queries: tuple[str, ...]
    stories: tuple[StoryText, ...]


def case_set(rng: Random, queries: int, stories: int, *, published: Sequence[StoryText] = ()) -> CaseSet:
    """Return random queries and stories; of `published`, real ones, the stories are taken where they are given."""
    if published:
        chosen = tuple(_shortened(rng.choice(published)) for _ in range(stories))
        vocabulary = real(rng, chosen)
    else:
        vocabulary = invented(rng)
        chosen = tuple(vocabulary.story() for _ in range(stories))
    return CaseSet(tuple(_valid_queries(vocabulary, queries)), chosen)


def whole_tree(query: str) -> Node:
    """Return the tree of `query` with its macros put in. Raises QueryError."""
    return expand(parse(query), MACRO_TREES, ALIASES, query)


def _valid_queries(vocabulary: Vocabulary, count: int) -> Iterator[str]:
    while count:
        query = vocabulary.query()
        try:
            whole_tree(query)
        except QueryError:
            continue  # only what must be absent, or a field in a field by way of a macro
        count -= 1
        yield query


def _shortened(story: StoryText) -> StoryText:
    found = words(story.text)
    return replace(story, text=story.text[: found[REAL_WORDS].start]) if len(found) > REAL_WORDS else story


@lru_cache(maxsize=1)
def real_stories() -> tuple[StoryText, ...]:
    """Return some real stories of many languages, none where the folder is missing."""
    found = []
    for name in ("multiling", "stream_ar", "stream_zh", "topics"):
        path = REAL_STORIES / f"{name}.jsonl"
        if not path.is_file():
            continue
        with path.open(encoding="utf-8") as lines:
            for _, line in zip(range(1_000), lines, strict=False):
                said = json.loads(line)
                found.append(
                    StoryText(
                        id=said["id"],
                        title=said.get("title") or "",
                        summary=said.get("summary") or "",
                        text=said.get("text") or "",
                        language=said.get("lang") or "",
                        source=said.get("source") or "",
                        url=said.get("url") or "",
                    )
                )
    return tuple(found)
