"""Compiled rules, and the questions they answer about a story."""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from operator import itemgetter

from monitor.collector import uncollected
from monitor.config import Config
from monitor.entities import Aliases
from monitor.errors import ConfigError, NotFoundError, Problem
from monitor.query import Node, check_found, parse
from monitor.rules import core
from monitor.rules.compile import (
    EVERYWHERE,
    CompiledScope,
    CompiledTopic,
    EarlierTopics,
    aliases_of,
    compile_topics,
    compile_tree,
    version,
)
from monitor.rules.evaluate import Scope, find, holds, shown, whole
from monitor.rules.explain import close, explain, why_missed
from monitor.rules.folded import Folded
from monitor.rules.index import Earlier, build
from monitor.rules.preselect import Expression, either, expression
from monitor.rules.reading import Reading, Scan
from monitor.rules.sieve import Lookup, Places
from monitor.rules.values import Explanation, TopicMatch, Verdict, pack, tidy
from monitor.text import Evidence, StoryText

_number = itemgetter(0)
MOST_GONE = 0.125  # of topics that are gone, against those there are, before an index is made anew to be rid of them
NEAR_MISSES = 5  # of a story that are kept
DRAFT, SAVED = "draft", "saved"
ADHOC = "query"  # the topic's name of a query that is no topic


class Rules:
    """Compiled topics and aliases. Immutable, so a reload swaps one for another at once."""

    def __init__(self, topics: Sequence[CompiledTopic], aliases: Aliases, before: Rules | None = None) -> None:
        self._topics = {topic.name: topic for topic in topics}
        self._list = tuple(self._topics.values())
        self._labels = [(topic.name, topic.version) for topic in self._list]
        earlier = None if before is None else before._earlier(self._list, aliases)
        self._index = build([topic.tree for topic in self._list], aliases, self._labels, earlier)
        some = [number for number, topic in enumerate(self._list) if topic.scope is not EVERYWHERE]
        self._scoped = frozenset([number for number in some if not self._list[number].scope.open])

    def _earlier(self, topics: Sequence[CompiledTopic], aliases: Aliases) -> Earlier | None:
        """Return the index of these rules as others can be made of it, for `topics`; None where a new one is better."""
        index = self._index
        if core.CORE is None or index.matcher is None or aliases is not index.aliases:
            return None
        known = {id(topic): number for number, topic in enumerate(self._list)}
        numbers = array("i", [known.pop(id(topic), -1) for topic in topics])
        gone = tuple([self._list[number].tree for number in known.values()])
        if len(index.gone) + len(gone) > MOST_GONE * len(topics):
            return None
        return Earlier(index, numbers, gone)

    def __contains__(self, topic: object) -> bool:
        """Whether a topic is compiled."""
        return topic in self._topics

    @property
    def aliases(self) -> Aliases:
        """The aliases of all entities, as these rules know them."""
        return self._index.aliases

    def needed(self) -> Expression | None:
        """Return what every story has that matches a topic, in terms of a full-text index; None: it cannot tell."""
        return either([expression(topic.tree, self.aliases) for topic in self._list])

    def match(self, story: StoryText) -> tuple[TopicMatch, ...]:
        """Return the topics that `story` matches, in their declared order, each with what made it true."""
        index = self._index
        if index.matcher is None:
            scope = self.scope(story)
            text = scope.reading.text
            found = [*self._alone(text), *self._judged(scope, (*index.always, *index.sieve.candidates(text.hits)))]
        else:
            folded = Folded(story.title, story.summary, story.text)
            decided: tuple[list[int], list[TopicMatch], list[int], Places | None]
            decided = index.matcher.match(folded.data, folded.joined, folded.origins, folded.before, folded.place)
            numbers, matches, others, hits = decided
            if not (others or index.always or self._scoped):
                return tuple(matches)
            found = list(zip(numbers, matches, strict=True))
            if others or index.always:
                hits = index.places(folded.data) if hits is None else hits
                scope = whole(Reading(story, index, (folded, hits)))
                found += self._judged(scope, (*index.always, *others))
        if self._scoped:
            found = [at for at in found if at[0] not in self._scoped or not self._list[at[0]].scope.why_not(story)]
        found.sort(key=_number)
        return tuple([match for _, match in found])

    def _alone(self, text: Scan) -> Iterator[tuple[int, TopicMatch]]:
        """Yield the topics of a single leaf each that was found, by number, with what there is to show."""
        evidence: tuple[Evidence, ...] = ()
        for one in self._index.sieve.leaves(text.hits):
            if isinstance(one, Lookup):
                evidence = text.evidence(one)
            elif evidence:
                yield one, TopicMatch(*self._labels[one], evidence)

    def _judged(self, scope: Scope, topics: Iterable[int]) -> Iterator[tuple[int, TopicMatch]]:
        """Yield those of the topics that hold, by number, with what there is to show."""
        text = scope.reading.text
        for number in topics:
            what = find(self._list[number].tree, scope)
            if what is not None:
                yield number, TopicMatch(*self._labels[number], shown(what, text))

    def verdicts(self, story: StoryText, matches: Sequence[TopicMatch]) -> tuple[Verdict, ...]:
        """Return what is worth keeping of why `story` matched (`matches`), and which topics it came close to."""
        scope = self.scope(story)
        text = scope.reading.text
        matched = {match.topic for match in matches}
        found = [
            Verdict(match.topic, match.rule, True, "", pack(explain(self._topics[match.topic].tree, scope)))
            for match in matches
        ]
        near = 0
        for number in sorted(self._index.candidates(text.folded.data, text.hits)):
            topic = self._list[number]
            if topic.name in matched:
                continue
            outside = topic.scope.why_not(story)
            if holds(topic.tree, scope):
                note = outside
            elif not outside and close(topic.tree, scope):
                note = why_missed(topic.tree, scope)
            else:
                continue
            found.append(Verdict(topic.name, topic.version, False, note, pack(explain(topic.tree, scope))))
            near += 1
            if near == NEAR_MISSES:
                break
        return tuple(found)

    def entities(self, story: StoryText) -> dict[str, tuple[Evidence, ...]]:
        """Return the entities named in title, summary or body, each with its aliases found there."""
        found: dict[str, list[Evidence]] = {}
        text = Reading(story, self._index).text
        for at, alias in text.occurrences():
            found.setdefault(alias.entity, []).append(text.shown(at))
        return {name: tidy(spans) for name, spans in found.items()}

    def why_not(self, story: StoryText, topic: str) -> str:
        """Return in a sentence why `story` does not match a topic; "" for one that does. Raises NotFoundError."""
        compiled, scope = self.compiled(topic), self.scope(story)
        if outside := compiled.scope.why_not(story):
            return outside
        return "" if holds(compiled.tree, scope) else why_missed(compiled.tree, scope)

    def explain(self, story: StoryText, topic: str) -> Explanation:
        """Return the topic's tree with each node true or false for `story`. Raises NotFoundError."""
        compiled = self.compiled(topic)
        explanation = explain(compiled.tree, self.scope(story))
        outside = compiled.scope.why_not(story)
        if not outside:
            return explanation
        return Explanation("in scope", False, (), outside, (explanation,))

    def compiled(self, topic: str) -> CompiledTopic:
        """Return a topic's compiled form. Raises NotFoundError."""
        if topic not in self._topics:
            raise NotFoundError(f"no topic `{topic}` is declared; `monitor check` names them")
        return self._topics[topic]

    def scope(self, story: StoryText) -> Scope:
        """Return `story` read, as the scope in which trees are decided."""
        return whole(Reading(story, self._index))


def compile_rules(config: Config, before: tuple[Config, Rules] | None = None) -> Rules:
    """Return the rules of a configuration. Raises ConfigError with every problem, each at its place in the files.

    `before`: rules and what they were made of; the result is the same, and sooner there where little changed.
    """
    rules, problems = compile_sound(config, before)
    if problems:
        raise ConfigError(problems)
    return rules


def compile_sound(config: Config, before: tuple[Config, Rules] | None = None) -> tuple[Rules, tuple[Problem, ...]]:
    """Return the rules of the topics without mistakes, and every problem of the others, each at its place."""
    with uncollected():
        earlier = None if before is None else EarlierTopics(before[0], before[1]._index.aliases, before[1]._topics)
        aliases = aliases_of(config, earlier)
        topics, problems = compile_topics(config, aliases, earlier)
        return Rules(topics, aliases, None if before is None else before[1]), problems


def check_draft(text: str, config: Config, rules: Rules) -> Node:
    """Return the tree of a draft, with the names and macros that `rules`, made of `config`, know. Raises QueryError."""
    check_found(parse(text), text)
    return compile_tree(text, config, rules.aliases)


def compile_draft(text: str, config: Config, rules: Rules, topic: str) -> Rules:
    """Return rules of a draft (`DRAFT`) and of the saved topic that it is to replace (`SAVED`), where one is named.

    Both have that topic's scope, and the names and macros that `rules`, made of `config`, know. Raises QueryError.
    """
    aliases = rules.aliases
    tree = check_draft(text, config, rules)
    saved = rules.compiled(topic) if topic in rules else None
    scope = CompiledScope() if saved is None else saved.scope
    topics = [CompiledTopic(DRAFT, tree, scope, version(tree, scope, aliases))]
    if saved is not None:
        topics.append(replace(saved, name=SAVED))
    return Rules(topics, aliases)


def compile_query(text: str, config: Config) -> Rules:
    """Return rules of one query, as the topic "query", with the macros and entities of `config`. Raises QueryError."""
    aliases = Aliases(config)
    tree, scope = compile_tree(text, config, aliases), CompiledScope()
    return Rules((CompiledTopic(ADHOC, tree, scope, version(tree, scope, aliases)),), aliases)
