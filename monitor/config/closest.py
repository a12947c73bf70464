"""The "did you mean …?" of every message about a name. Pure."""

from __future__ import annotations

import difflib
import heapq
from collections.abc import Collection, Iterable
from functools import lru_cache

from monitor.errors import NotFoundError

CANDIDATES = 50  # comparing is slow, and an operator may have ten thousand feeds and a wrong name in each topic
LISTED = 20  # names that a message lists


def closest(word: str, known: Iterable[str]) -> str:
    """Return the name of `known` that `word` was probably meant to be, or an empty string."""
    wanted = _plain(word[:100])
    pairs, reach = _pairs(wanted), max(2, len(wanted) // 2)
    near = (
        (len(pairs & own), plain, name)
        for plain, own, name in _prepared(tuple(known))
        if abs(len(plain) - len(wanted)) <= reach
    )
    names = {plain: name for _, plain, name in heapq.nlargest(CANDIDATES, near, key=lambda part: part[0])}
    found = difflib.get_close_matches(wanted, names, n=5, cutoff=0.6)
    if not found:
        return ""
    ratios = {plain: difflib.SequenceMatcher(None, plain, wanted).ratio() for plain in found}
    # Of those that are equally near, people most likely meant the one that begins as theirs does.
    return names[max(found, key=lambda plain: (ratios[plain], _shared_beginning(plain, wanted)))]


def _shared_beginning(one: str, two: str) -> int:
    return next((n for n, (a, b) in enumerate(zip(one, two, strict=False)) if a != b), min(len(one), len(two)))


def did_you_mean(near: str) -> str:
    """Return ": did you mean `near`?", or an empty string when nothing is near."""
    return f": did you mean `{near}`?" if near else ""


def undeclared(what: str, name: str, declared: Collection[str]) -> NotFoundError:
    """Return the error that no `what` (a topic, a subscriber) of that name is declared, with those that are.

    Of very many the nearest is said, and how many there are: a page or a line of the log cannot hold them.
    """
    few = len(declared) <= LISTED
    known = f"declared: {', '.join(declared) or 'none'}" if few else f"{len(declared):,} are declared"
    near = "" if few else did_you_mean(closest(name, declared))
    return NotFoundError(f"no {what} `{name}` is declared ({known}){near}")


@lru_cache(maxsize=8)
def _prepared(known: tuple[str, ...]) -> tuple[tuple[str, frozenset[str], str], ...]:
    return tuple((_plain(name), _pairs(_plain(name)), name) for name in known)


def _pairs(name: str) -> frozenset[str]:
    return frozenset(name[index : index + 2] for index in range(len(name) - 1))


def _plain(name: str) -> str:
    return name.casefold().replace("_", "-").replace(" ", "-")
