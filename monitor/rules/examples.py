"""Runs the examples that topics are declared with."""

from __future__ import annotations

from dataclasses import dataclass

from monitor.config import Config, Example, Topic
from monitor.errors import Problem
from monitor.rules.engine import Rules
from monitor.rules.evaluate import evidence, holds
from monitor.rules.explain import why_matched, why_missed
from monitor.text import StoryText

_SHOWN = 80  # characters of an example repeated in a problem


def run_examples(config: Config, rules: Rules) -> tuple[Problem, ...]:
    """Try every topic on its examples and return an error, at the example's place, for each that fails.

    What an example does not say (language, tags, feed) cannot put it out of a topic's scope.
    """
    problems = []
    for name, topic in config.topics.items():
        for key, examples in (("match", topic.examples.match), ("no_match", topic.examples.no_match)):
            for number, example in enumerate(examples):
                failure = _failure(rules, name, _story(example), wanted=key == "match")
                if failure:
                    place = config.place("topics", name, "examples", key, number)
                    message = f"topic `{name}`: the example `{_shown(example)}` {failure[0]}"
                    problems.append(Problem("error", place.file, place.line, place.column, message, failure[1]))
    return tuple(problems)


@dataclass(frozen=True, slots=True)
class Tried:
    """An example and a rule: whether it was to match, whether all is well, and the words or the reason."""

    title: str
    wanted: bool
    good: bool
    why: str


def try_examples(rules: Rules, name: str, topic: Topic) -> tuple[Tried, ...]:
    """Try the rule called `name` on a topic's examples; those that fail come first."""
    tried = []
    for wanted, examples in ((True, topic.examples.match), (False, topic.examples.no_match)):
        for example in examples:
            story = _story(example)
            failure = _failure(rules, name, story, wanted=wanted)
            found = evidence(rules.compiled(name).tree, rules.scope(story)) if wanted or failure else ()
            why = failure[0].partition(": ")[2] if failure else why_matched(found) if wanted else ""
            tried.append(Tried(_shown(example), wanted, failure is None, why))
    return tuple(sorted(tried, key=lambda one: one.good))


def _failure(rules: Rules, topic: str, story: StoryText, *, wanted: bool) -> tuple[str, str] | None:
    """Return what went wrong with an example and what to do about it, or None when all is well."""
    compiled, scope = rules.compiled(topic), rules.scope(story)
    outside = compiled.scope.why_not(story, unknown=True)
    matched = not outside and holds(compiled.tree, scope)
    if matched == wanted:
        return None
    if matched:
        found = why_matched(evidence(compiled.tree, scope))
        return f"must not match, and it does: {found}", "narrow the topic, or move the example to `match`"
    why = outside or why_missed(compiled.tree, scope)
    return f"must match, and it does not: {why}", "widen the topic, or move the example to `no_match`"


def _story(example: Example) -> StoryText:
    return StoryText(
        title=example.title,
        summary=example.summary,
        text=example.text,
        language=example.language,
        source=example.source,
        feed=example.feed,
        tags=tuple(example.tags),
        url=example.url,
        author=example.author,
        country=example.country,
    )


def _shown(example: Example) -> str:
    text = example.title or example.summary or example.text or example.url
    return text if len(text) <= _SHOWN else f"{text[: _SHOWN - 1]}…"
