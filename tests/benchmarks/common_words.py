"""Print `monitor/events/common.txt`: how common the words of news are, language by language.

`python -m tests.benchmarks.common_words > monitor/events/common.txt` counts in how many stories each term stands, in
headline and lead as a sketch reads them, of the stories beside the checkout (`../shared/data/stories`). Names are left
out (words mostly written with a capital), and so is 2026: what is in the news now is learnt from the stream, and is no
lasting property of a language.
"""

from __future__ import annotations

import json
import math
import sys
from collections import Counter, defaultdict

from monitor.events.sketch import sketch
from monitor.text import StoryText
from tests.benchmarks.grouping import DATA

RAREST = 8  # levels: a word of level k stands in one of 2**k stories
SEEN = 5  # stories that a word stands in at least


def main() -> int:
    """Print one line for each language and level: the words that stand in about one of 2**level stories."""
    stories: Counter[str] = Counter()
    counts: dict[str, Counter[str]] = defaultdict(Counter)
    capitals: dict[str, Counter[str]] = defaultdict(Counter)
    for name in ("stream.jsonl", "multiling.jsonl"):
        with (DATA.parent / name).open(encoding="utf-8") as lines:
            for row in map(json.loads, lines):
                language = row["lang"]
                if row.get("ts", "") >= "2026":
                    continue
                made = sketch(StoryText("", row["title"], row.get("summary", ""), row.get("text", ""), language), 0.0)
                stories[language] += 1
                counts[language].update(made.terms)
                capitals[language].update(
                    term for term, written in zip(made.terms, made.written, strict=True) if written[0].isupper()
                )
    for language in sorted(counts):
        levels: dict[int, list[str]] = defaultdict(list)
        for term, count in counts[language].items():
            level = round(-math.log2(count / stories[language]))
            if count >= SEEN and level <= RAREST and capitals[language][term] * 2 < count and not term[0].isdigit():
                levels[level].append(term)
        for level, terms in sorted(levels.items()):
            print(language, level, *sorted(terms))
    return 0


if __name__ == "__main__":
    sys.exit(main())
