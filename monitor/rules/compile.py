"""Topics → compiled rules: queries and lists parsed, macros and names put in, mistakes told at their places."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from operator import attrgetter

from monitor.config import Config, Scope, Topic
from monitor.entities import Aliases
from monitor.errors import Problem, QueryError
from monitor.query import (
    And,
    EntityRef,
    MacroRef,
    Near,
    Node,
    Not,
    Or,
    check_found,
    check_near,
    check_positions,
    expand,
    parse,
    parse_item,
    walk,
)
from monitor.text import StoryText, fold, language_of, primary

KeyPath = tuple[str | int, ...]
_AROUND = 50  # characters of a query shown on each side of a mistake
# What decides what a topic matches; a scope by its parts, since pydantic takes its time to compare two of them.
_says = attrgetter("query", "any", "all", "none", "near", "scope.languages", "scope.tags", "scope.feeds")


@dataclass(frozen=True, slots=True)
class CompiledScope:
    """Which stories a topic looks at; an empty set does not restrict."""

    languages: frozenset[str] = frozenset()
    tags: frozenset[str] = frozenset()
    feeds: frozenset[str] = frozenset()

    @property
    def open(self) -> bool:
        """Whether it restricts nothing."""
        return not (self.languages or self.tags or self.feeds)

    def __str__(self) -> str:
        """Return what it says, the same for equal ones."""
        if self.open:
            return "\x00\x00"
        return "\x00".join(["\x01".join(sorted(names)) for names in (self.languages, self.tags, self.feeds)])

    def why_not(self, story: StoryText, *, unknown: bool = False) -> str:
        """Return why `story` is out of the scope, or "". A story of unknown language is in it.

        Languages are compared by their first subtag: "en" covers en-GB; one that is not stated is detected. `unknown`:
        a story without language, tags or feed is in the scope too.
        """
        language = story.language if unknown or not self.languages else language_of(story)
        if self.languages and language and primary(language) not in self.languages:
            read = "" if story.language else " (as detected)"
            return f"its language {language}{read} is not one of {', '.join(sorted(self.languages))}"
        if self.tags and (story.tags or not unknown) and not self.tags.intersection(map(fold, story.tags)):
            return f"it has none of the tags {', '.join(sorted(self.tags))}"
        if self.feeds and (story.feed or not unknown) and story.feed not in self.feeds:
            return f"its feed is not one of {', '.join(sorted(self.feeds))}"
        return ""


EVERYWHERE = CompiledScope()


@dataclass(frozen=True, slots=True)
class CompiledTopic:
    """A topic's whole tree, without macros, and the version of its rule.

    `names` are the macros and entities that its own texts name, as written: what it depends on.
    """

    name: str
    tree: Node
    scope: CompiledScope = EVERYWHERE
    version: str = ""
    names: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class EarlierTopics:
    """What was compiled before, and of what: the topics by name, those with mistakes left out."""

    config: Config
    aliases: Aliases
    topics: Mapping[str, CompiledTopic]


def aliases_of(config: Config, earlier: EarlierTopics | None = None) -> Aliases:
    """Return the aliases of a configuration: the earlier ones when no entity and no list changed."""
    if earlier is not None and not _changed_entities(config, earlier.config):
        return earlier.aliases
    return Aliases(config)


def compile_topics(
    config: Config, aliases: Aliases, earlier: EarlierTopics | None = None
) -> tuple[tuple[CompiledTopic, ...], tuple[Problem, ...]]:
    """Return the topics that compile, in their order, and every problem of every topic and macro.

    Those of `earlier` are taken over where neither they changed nor anything that they name.
    """
    compiler = _Compiler(config, aliases)
    kept = compiler.unchanged(earlier) if earlier is not None else {}
    found = (kept.get(name) or compiler.topic(declared) for name, declared in config.topics.items())
    topics = tuple(topic for topic in found if topic is not None)
    return topics, tuple(dict.fromkeys(compiler.problems))


def compile_tree(text: str, config: Config, aliases: Aliases) -> Node:
    """Return the tree of one query, with the configuration's macros and entities. Raises QueryError."""
    compiler = _Compiler(config, aliases)
    tree = parse(text, part=True)
    for node in walk(tree):
        if isinstance(node, MacroRef) and str(node) in compiler.broken:
            message = f"the macro `{node}` has a mistake of its own"
            raise QueryError(message, text, node.start, node.end, "see `monitor check`")
    return expand(tree, compiler.macros, aliases, text)


def version(tree: Node, scope: CompiledScope, aliases: Aliases) -> str:
    """Return a short hash of everything that decides what the rule matches: tree, scope, aliases."""
    written = str(tree)
    digest = hashlib.blake2b(f"{written}\x00{scope}".encode(), digest_size=8)
    if "@" in written:
        for name in sorted({node.name for node in walk(tree) if isinstance(node, EntityRef)}):
            for entity in aliases.members(name):
                digest.update(f"{name}\x00{entity}\x00{aliases.fingerprint(entity)}".encode())
    return digest.hexdigest()


class _Compiler:
    """Collects problems; `macros` are the sound ones, expanded."""

    def __init__(self, config: Config, aliases: Aliases) -> None:
        self._config, self._aliases = config, aliases
        self.problems: list[Problem] = []
        self.broken: set[str] = set()  # macros with a problem, as queries name them; told at their own place only
        self.macros: dict[str, Node] = {}
        self._macro_names: dict[str, set[str]] = {}  # what each names, as written
        self._names: set[str] = set()  # what the topic at hand names
        self._read_macros()

    def unchanged(self, earlier: EarlierTopics) -> dict[str, CompiledTopic]:
        """Return the topics that compile to what they did, by name."""
        changed = _changed_entities(self._config, earlier.config)
        changed |= {f"${name}" for name in _differing(self._config.macros, earlier.config.macros)}
        while more := {f"${name}" for name, names in self._macro_names.items() if names & changed} - changed:
            changed |= more
        return {
            name: topic
            for name, topic in earlier.topics.items()
            if name in self._config.topics
            and changed.isdisjoint(topic.names)
            and _says(self._config.topics[name]) == _says(earlier.config.topics[name])
        }

    def topic(self, topic: Topic) -> CompiledTopic | None:
        """Return a compiled topic, or None after noting its problems."""
        before = len(self.problems)
        self._names = set()
        parts = self._parts(topic)
        found = tuple([part for part in parts if part is not None])
        if len(self.problems) > before or len(found) < len(parts):
            return None
        if not found:
            fix = "add `query:`, `any:` or `all:`"
            self._problem(("topics", topic.name), "the topic says nothing of what it follows", fix)
            return None
        tree = found[0] if len(found) == 1 else And(found)
        if not self._finds_something(topic, tree):
            return None
        scope = _scope(topic.scope)
        return CompiledTopic(topic.name, tree, scope, version(tree, scope, self._aliases), tuple(sorted(self._names)))

    def _parts(self, topic: Topic) -> list[Node | None]:
        """The query, the groups of `all` (under one NEAR when `near` is given), `any`, and what `none` forbids."""
        path: KeyPath = ("topics", topic.name)
        parts: list[Node | None] = []
        if topic.query is not None:
            parts.append(self._part((*path, "query"), topic.query, _parse_part))
        groups = [self._group((*path, "all", n, "any"), g.any, topic.near is not None) for n, g in enumerate(topic.all)]
        if topic.near is None:
            parts += groups
        elif len(groups) < 2:
            fix = "write two groups or more under `all:`, or use NEAR in `query:`"
            self._problem((*path, "near"), "`near` says how close the groups of `all:` are, and there are not two", fix)
        else:
            sound = tuple(group for group in groups if group is not None)
            parts.append(self._near(path, topic.near, sound) if len(sound) == len(groups) else None)
        if topic.any:
            parts.append(self._group((*path, "any"), topic.any))
        if topic.none:
            absent = self._group((*path, "none"), topic.none)
            parts.append(None if absent is None else Not(absent))
        return parts

    def _group(self, path: KeyPath, items: tuple[str, ...], for_near: bool = False) -> Node | None:
        """Return the OR of a list's items."""
        nodes = [self._part((*path, number), text, parse_item, for_near) for number, text in enumerate(items)]
        found = tuple(node for node in nodes if node is not None)
        if len(found) < len(nodes):
            return None
        if not found:
            self._problem(path, "the list is empty", "write a word in it, or remove it")
            return None
        return found[0] if len(found) == 1 else Or(found)

    def _near(self, path: KeyPath, distance: int, groups: tuple[Node, ...]) -> Node | None:
        node = Near(groups, distance)
        try:
            check_near(node, "")
        except QueryError as error:
            self._problem((*path, "near"), error.message, error.fix)
            return None
        return node

    def _part(self, path: KeyPath, text: str, read: Callable[[str], Node], for_near: bool = False) -> Node | None:
        """Return what `text` says, expanded; note its problem at the character where it is."""
        try:
            node = read(text)
            if "@" in text or "$" in text:
                names = _names(node)
                if names & self.broken:
                    return None
                self._names |= names
                node = expand(node, self.macros, self._aliases, text, part=True)
            if for_near:
                check_positions(node, "NEAR", text)
        except QueryError as error:
            self._query_problem(path, error)
            return None
        return node

    def _finds_something(self, topic: Topic, tree: Node) -> bool:
        """Note a topic that only says what must be absent, at its query or its list."""
        path: KeyPath = ("topics", topic.name)
        try:
            check_found(tree, topic.query or "")
        except QueryError as error:
            if topic.query is not None and not (topic.any or topic.all or topic.none):
                self._query_problem((*path, "query"), error)
            else:
                key = "none" if topic.none else "any" if topic.any else "all"
                self._problem((*path, key), "the topic only says what a story must not have", "add `any:` or `all:`")
            return False
        return True

    def _read_macros(self) -> None:
        """Parse the macros, then expand each after those that it names, so that a mistake is told once."""
        waiting: dict[str, Node] = {}
        for name, text in self._config.macros.items():
            try:
                waiting[name] = parse(text, part=True)
            except QueryError as error:
                self._break(name, error)
            else:
                self._macro_names[name] = _names(waiting[name])
        while waiting:
            unread = {f"${name}" for name in waiting}
            ready = (name for name in waiting if self._macro_names[name].isdisjoint(unread))
            name = next(ready, next(iter(waiting)))  # all wait for one another: a circle, which `expand` tells
            node = waiting[name]
            if self._macro_names[name] & self.broken:
                self.broken.add(f"${name}")
            else:
                known = self.macros | waiting
                try:
                    self.macros[name] = expand(node, known, self._aliases, self._config.macros[name], part=True)
                except QueryError as error:
                    self._break(name, error)
            del waiting[name]

    def _break(self, name: str, error: QueryError) -> None:
        self.broken.add(f"${name}")
        self._query_problem(("macros", name), error)

    def _query_problem(self, path: KeyPath, error: QueryError) -> None:
        place = self._config.place(*path).at(error.start, error.text)
        message = f"{error.message}\n{_excerpt(error)}\n"
        draft = (str(path[1]), error.text) if path[0] == "topics" and path[2:] == ("query",) else None
        self.problems.append(Problem("error", place.file, place.line, place.column, message, error.fix, draft))

    def _problem(self, path: KeyPath, message: str, fix: str) -> None:
        place = self._config.place(*path)
        self.problems.append(Problem("error", place.file, place.line, place.column, message, fix))


def _scope(declared: Scope) -> CompiledScope:
    """Return the scope as stories are compared with it; the one that restricts nothing is shared by all topics."""
    if not (declared.languages or declared.tags or declared.feeds):
        return EVERYWHERE
    return CompiledScope(
        frozenset(map(primary, declared.languages)), frozenset(map(fold, declared.tags)), frozenset(declared.feeds)
    )


def _excerpt(error: QueryError) -> str:
    """Return what is around the mistake with a caret under it; folded YAML makes lines too long for a terminal."""
    line, caret = error.caret().split("\n")
    start = max(0, error.column - 1 - _AROUND)
    cut = line[start : start + 2 * _AROUND]
    return f"    {cut}\n    {caret[start : start + 2 * _AROUND]}"


def _parse_part(text: str) -> Node:
    return parse(text, part=True)


def _names(node: Node) -> set[str]:
    """The macros and entities that `node` names, as written."""
    return {str(at) for at in walk(node) if isinstance(at, (MacroRef, EntityRef))}


def _changed_entities(config: Config, earlier: Config) -> set[str]:
    """The entities and lists, as queries name them, that are new, gone or another; and lists with such an entity."""
    entities = _differing(config.entities, earlier.entities)
    lists = {name for name, one in config.lists.items() if not entities.isdisjoint(one.entities)}
    return {f"@{name}" for name in entities | lists | _differing(config.lists, earlier.lists)}


def _differing(some: Mapping[str, object], others: Mapping[str, object]) -> set[str]:
    """The names that only one of the two has, or that stand for something else in each."""
    return {name for name in some.keys() | others.keys() if some.get(name) != others.get(name)}
