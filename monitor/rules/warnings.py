"""What is no mistake, yet hardly meant: terms that match nothing, aliases that are common words, empty scopes."""

from __future__ import annotations

from collections.abc import Iterator

from monitor.config import Config, Place, Topic
from monitor.entities import Aliases
from monitor.errors import Problem, QueryError
from monitor.query import META_FIELDS, Exact, Node, Phrase, Term, children, parse, parse_item
from monitor.query import Field as FieldNode
from monitor.rules.patterns import is_wild, pattern
from monitor.text import fold, primary, words

# Everyday English words, folded, that are also names of companies, people and months: as aliases they match too much.
_COMMON = """
    all apple april august best block box bill chance chase circle city cook date earth even ever first force gap
    general global grace green home hope ice jack june just key mark march mars may meta moon more next now one orange
    people pound prime progress rich rose save shell snap square star state target time today total union unity us visa
    vision war ward west who will world young
"""
_COMMON_WORDS = frozenset(_COMMON.split())


def warnings(config: Config) -> tuple[Problem, ...]:
    """Return the warnings about a configuration whose rules compile."""
    return (*_lifeless_terms(config), *_common_aliases(config), *_empty_scopes(config))


def _warning(place: Place, message: str, fix: str) -> Problem:
    return Problem("warning", place.file, place.line, place.column, message, fix)


def _lifeless_terms(config: Config) -> Iterator[Problem]:
    """Terms that no text can match once it is folded."""
    for path, text, is_item in _queries(config):
        try:
            tree = parse_item(text) if is_item else parse(text, part=True)
        except QueryError:
            continue  # compile_rules tells it
        for node in _searched(tree):
            if why := _lifeless(node):
                place = config.place(*path).at(node.start, text)
                yield _warning(place, f"no text can match `{node}`: {why}", "write a word that a story can hold")


def _queries(config: Config) -> Iterator[tuple[tuple[str | int, ...], str, bool]]:
    """Yield every query of the configuration: its key path, its text, whether it is a list's item."""
    for name, text in config.macros.items():
        yield ("macros", name), text, False
    for name, topic in config.topics.items():
        if topic.query is not None:
            yield ("topics", name, "query"), topic.query, False
        for key, items in (("any", topic.any), ("none", topic.none)):
            for number, item in enumerate(items):
                yield ("topics", name, key, number), item, True
        for group, declared in enumerate(topic.all):
            for number, item in enumerate(declared.any):
                yield ("topics", name, "all", group, "any", number), item, True


def _searched(tree: Node) -> Iterator[Term | Phrase | Exact]:
    """Yield the terms that are looked up in a story's words, so none of the fields that hold other things."""
    stack = [tree]
    while stack:
        node = stack.pop()
        if isinstance(node, Term | Phrase | Exact):
            yield node
        elif not (isinstance(node, FieldNode) and node.name in META_FIELDS):
            stack.extend(reversed(children(node)))


def _lifeless(node: Term | Phrase | Exact) -> str:
    if isinstance(node, Exact):
        return "" if words(node.text) else "it holds no word"
    found = [word for sequence in pattern(node).sequences for word in sequence]
    if not found:
        return "it holds no word"
    for word in found:
        if is_wild(word) and len(words(word.replace("*", "").replace("?", "a"))) > 1:
            return "in this script each character is a word, and a wildcard stays within one"
    return ""


def _common_aliases(config: Config) -> Iterator[Problem]:
    aliases = Aliases(config)
    for name, entity in config.entities.items():
        for alias in aliases.of(name):
            if not alias.words:
                place = _alias_place(config, name, entity.aliases, alias.text)
                yield _warning(place, f"no text can match the alias `{alias.text}`: it holds no word", "remove it")
            elif not alias.exact and len(alias.words) == 1 and fold(alias.text.strip()) in _COMMON_WORDS:
                place = _alias_place(config, name, entity.aliases, alias.text)
                message = f"the alias `{alias.text}` of `{name}` is also a common word, and matches it"
                yield _warning(place, message, "write a longer name, or in queries {exact} text beside it")


def _alias_place(config: Config, entity: str, aliases: tuple[str, ...], text: str) -> Place:
    if text in aliases:
        return config.place("entities", entity, "aliases", aliases.index(text))
    return config.place("entities", entity, "name")


def _empty_scopes(config: Config) -> Iterator[Problem]:
    """Topics whose languages no feed in their scope has. A feed of unstated language may have any."""
    for name, topic in config.topics.items():
        feeds = [feed for feed in config.feeds.values() if feed.enabled and _in_scope(topic, feed.name, feed.tags)]
        wanted = {primary(language) for language in topic.scope.languages}
        if feeds and wanted and not any(not f.language or primary(f.language) in wanted for f in feeds):
            place = config.place("topics", name, "scope", "languages")
            spoken = ", ".join(sorted({primary(feed.language) for feed in feeds}))
            message = f"no feed in the scope of `{name}` is in {', '.join(sorted(wanted))}: they are in {spoken}"
            yield _warning(place, message, "change the languages, or add a feed")


def _in_scope(topic: Topic, feed: str, tags: tuple[str, ...]) -> bool:
    if topic.scope.feeds and feed not in topic.scope.feeds:
        return False
    return not topic.scope.tags or bool({fold(tag) for tag in topic.scope.tags} & {fold(tag) for tag in tags})
