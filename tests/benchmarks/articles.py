"""How well pages are read: `python -m tests.benchmarks.articles [--data DIR] [--each]`.

Real pages with the text that people marked lie beside the checkout, in `../shared/data/pages` (`gold.jsonl` and gzipped
HTML). The score is token F1: words in lower case, each as often as it stands there, and the mean over pages. Whether a
page is behind a paywall nobody marked: what counts as true is that its data say so (`isAccessibleForFree` is false), in
JSON read by a JSON reader and not by the pattern that is measured. `--each` prints every page.
"""

from __future__ import annotations

import argparse
import gzip
import json
import re
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

from monitor.article import Article, extract

DATA = Path(__file__).resolve().parents[3] / "shared" / "data" / "pages"
_DATA_BLOCK = re.compile(r"<script[^>]*application/ld\+json[^>]*>(.*?)</script>", re.DOTALL | re.IGNORECASE)


class Score(NamedTuple):
    """Token F1, precision and recall."""

    f1: float
    precision: float
    recall: float


class Read(NamedTuple):
    """A page as it was read: its score, and whether it says that it is not free."""

    name: str
    article: Article
    score: Score
    not_free: bool
    seconds: float


def score(found: str, wanted: str) -> Score:
    """Return how much of `wanted` was found, and of what was found was wanted."""
    ours, theirs = (Counter(re.findall(r"\w+", text.lower())) for text in (found, wanted))
    common = (ours & theirs).total()
    if not common:
        return Score(0.0, 0.0, 0.0)
    return Score(2 * common / (ours.total() + theirs.total()), common / ours.total(), common / theirs.total())


def says_not_free(html: str) -> bool:
    """Whether a page's JSON-LD says anywhere that it is not free."""
    for block in _DATA_BLOCK.findall(html):
        try:
            waiting: list[Any] = [json.loads(block, strict=False)]
        except ValueError:
            continue
        while waiting:
            node = waiting.pop()
            if isinstance(node, dict):
                if str(node.get("isAccessibleForFree", "")).rpartition("/")[2].lower() == "false":
                    return True
                waiting += node.values()
            elif isinstance(node, list):
                waiting += node
    return False


def read_all(folder: Path) -> Iterator[Read]:
    """Read every page of `folder`."""
    for line in (folder / "gold.jsonl").read_text(encoding="utf-8").splitlines():
        row = json.loads(line)
        html = gzip.decompress((folder / row["file"]).read_bytes())
        began = time.perf_counter()
        article = extract(html, row["url"])
        seconds = time.perf_counter() - began
        not_free = says_not_free(html.decode("utf-8", "replace"))
        yield Read(row["id"], article, score(article.text, row["gold_text"]), not_free, seconds)


def main() -> None:
    """Print the figures."""
    parser = argparse.ArgumentParser(description=__doc__.partition(":")[0])
    parser.add_argument("--data", type=Path, default=DATA)
    parser.add_argument("--each", action="store_true")
    options = parser.parse_args()
    pages = list(read_all(options.data))
    if options.each:
        for page in sorted(pages, key=lambda page: page.score):
            print(f"{page.score.f1:.3f} {page.name} {'paywalled' if page.article.paywalled else ''}")
    f1, precision, recall = (sum(column) / len(pages) for column in zip(*(page.score for page in pages), strict=True))
    times = sorted(page.seconds for page in pages)
    print(f"{len(pages)} pages: token F1 {f1:.3f}, precision {precision:.3f}, recall {recall:.3f}")
    print(f"below .5: {sum(page.score.f1 < 0.5 for page in pages)}; empty: {sum(not p.article.text for p in pages)}")
    print(f"{1000 * sum(times) / len(times):.0f} ms a page, 95 % within {1000 * times[int(len(times) * 0.95)]:.0f} ms")
    wanted = [page for page in pages if page.not_free]
    found = sum(page.article.paywalled for page in wanted)
    others = sum(page.article.paywalled for page in pages if not page.not_free)
    print(
        f"paywalls: {found} of {len(wanted)} that say so are recognised; {others} of the other pages are taken for one"
    )


if __name__ == "__main__":
    main()
