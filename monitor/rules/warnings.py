"""What is no mistake, yet hardly meant: terms that match nothing or too much, and topics that no feed can match."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator

from monitor.config import Config, Feed, Place, Scope, Topic
from monitor.entities import Aliases
from monitor.errors import Problem, QueryError
from monitor.query import (
    META_FIELDS,
    And,
    EntityRef,
    Exact,
    Forms,
    Node,
    Not,
    Or,
    Phrase,
    Term,
    children,
    parse,
    parse_item,
    walk,
)
from monitor.query import Field as FieldNode
from monitor.rules.engine import DRAFT, Rules
from monitor.rules.patterns import is_wild, pattern
from monitor.rules.reading import value_fits
from monitor.text import StoryText, fold, primary, words

# Everyday words that are also names of companies, people, months and parties: as aliases they match too much.
_COMMON = {
    "English": """
        all apple april august best block box bill chance chase circle city cook date earth even ever first force gap
        general global grace green home hope ice jack june just key mark march mars may meta moon more next now one
        orange people pound prime progress rich rose save shell snap square star state target time today total union
        unity us visa vision war ward west who will world young""",
    "Spanish": """
        campo casa cruz estado franco grande guerra iglesias leon luna mar mesa moreno paz pueblo real rey rio rosa
        rubio santos sol torres verde victoria vida vox""",
    "French": """
        air avenir bien carrefour casino demain est etat free humain juin lens libre mai mars monde nice or orange point
        pont sens total tours union vinci voix""",
    "German": """
        bahn bauer bild bund essen gut jung kaiser klein koch kohl konig lang linke mai post richter schwarz sommer
        spiegel stern union vogel weiss welt winter wolf zeit""",
    "Portuguese": "campos casa claro costa cruz globo mar oi porto rede rio rosa silva vale vida vivo",
    "Italian": "conte costa ferro lega luna mare monti pace porto rete sole stampa torre vento",
    "Polish": "duda lew maj nowak prawo rada wilk zima",
    "Turkish": "ak aslan baris demir deniz dogan gul kaya savas umut",
    "Russian": """
        белый вера восток газ мир молот надежда правда рада роман свет слава совет союз труд яблоко""",
    "Arabic": "امل امين جمال حزب حياة سعيد سلام صالح عادل فتح كريم نصر نور وطن وفد",
    "Chinese": "人民 公司 和平 大众 希望 平安 时代 时报 小米 联想 苹果 长城",
}
_COMMON_WORDS = {word: language for language, listed in reversed(_COMMON.items()) for word in listed.split()}
ALERTS_A_DAY = 50  # from here on a topic is too common
_FEWEST = 5  # stories that a topic must match in the sample before anything is estimated from it


def warnings(config: Config, rules: Rules) -> tuple[Problem, ...]:
    """Return the warnings about a configuration and the rules made of it."""
    names = config.entities
    return (
        *_lifeless_terms(config),
        *_common_aliases(config, rules.aliases, names),
        *_lonely_weak(config, names),
        *(problem for topic in config.topics.values() for problem in _unmatchable(config, topic, rules)),
    )


def draft_warnings(config: Config, rules: Rules, topic: Topic | None) -> tuple[Problem, ...]:
    """Return the same of a draft that `rules` hold (`compile_draft`): of its terms, its names, and its feeds.

    `topic` is the one that it is to replace.
    """
    tree = rules.compiled(DRAFT).tree
    used = {node.name for node in walk(tree) if isinstance(node, EntityRef)}
    names = dict.fromkeys(entity for name in sorted(used) for entity in rules.aliases.members(name))
    nowhere = Place("")
    scope, subject = (Scope(), "the draft") if topic is None else (topic.scope, f"`{topic.name}`")
    return (
        *(_warning(nowhere, *said) for node in _searched(tree) if (said := _no_text(node))),
        *_common_aliases(config, rules.aliases, names),
        *_lonely_weak(config, names),
        *(_warning(nowhere, *said) for _, *said in _no_feed(config, scope, subject, tree)),
    )


def too_common(config: Config, rules: Rules, stories: Iterable[StoryText], per_day: float) -> tuple[Problem, ...]:
    """Return a warning for each topic that would alert too often, judged by `stories`; `per_day` come in a day."""
    seen = 0
    matched: Counter[str] = Counter()
    terms: dict[str, Counter[str]] = {}
    for story in stories:
        seen += 1
        for match in rules.match(story):
            matched[match.topic] += 1
            found = {evidence.term for evidence in match.evidence if evidence.field in ("title", "summary", "text")}
            terms.setdefault(match.topic, Counter()).update(found)
    problems = []
    for name in config.topics:
        a_day = matched[name] * per_day / seen if matched[name] >= _FEWEST else 0
        if a_day > ALERTS_A_DAY:
            term, times = max(terms[name].items(), key=lambda item: (item[1], item[0]), default=("", 0))
            most = f", {times} of these by `{term}`" if term else ""
            of = f"{matched[name]} of the {seen} newest stories of the archive{most}"
            place = _topic_place(config, config.topics[name])
            problems.append(_warning(place, *often(f"the topic `{name}`", a_day, of)))
    return tuple(problems)


def often(what: str, a_day: float, of: str) -> tuple[str, str]:
    """Return what is said of a rule that would alert too often, and what to do; `of` is how many stories it matches."""
    said = f"{what} would alert about {a_day:,.0f} times a day: it matches {of}"
    return said, "narrow it with AND, NEAR or `title:`, or leave the term out"


def _topic_place(config: Config, topic: Topic) -> Place:
    key = "query" if topic.query is not None else "all" if topic.all else "any"
    return config.place("topics", topic.name, key)


def _warning(place: Place, message: str, fix: str) -> Problem:
    return Problem("warning", place.file, place.line, place.column, message, fix)


def _lifeless_terms(config: Config) -> Iterator[Problem]:
    """Terms that no text can match once it is folded."""
    for path, text, is_item in queries(config):
        try:
            tree = parse_item(text) if is_item else parse(text, part=True)
        except QueryError:
            continue  # compile_rules tells it
        for node in _searched(tree):
            if said := _no_text(node):
                yield _warning(config.place(*path).at(node.start, text), *said)


def queries(config: Config) -> Iterator[tuple[tuple[str | int, ...], str, bool]]:
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


def _searched(tree: Node) -> Iterator[Term | Phrase | Exact | Forms]:
    """Yield the terms that are looked up in a story's words, so none of the fields that hold other things."""
    stack = [tree]
    while stack:
        node = stack.pop()
        if isinstance(node, Term | Phrase | Exact | Forms):
            yield node
        elif not (isinstance(node, FieldNode) and node.name in META_FIELDS):
            stack.extend(reversed(children(node)))


def _no_text(node: Term | Phrase | Exact | Forms) -> tuple[str, str] | None:
    why = _lifeless(node)
    return (f"no text can match `{node}`: {why}", "write a word that a story can hold") if why else None


def _lifeless(node: Term | Phrase | Exact | Forms) -> str:
    if isinstance(node, Exact | Forms):
        return "" if words(node.text) else "it holds no word"
    found = [word for sequence in pattern(node).sequences for word in sequence]
    if not found:
        return "it holds no word"
    for word in found:
        if is_wild(word) and len(words(word.replace("*", "").replace("?", "a"))) > 1:
            return "in this script each character is a word, and a wildcard stays within one"
    return ""


def _common_aliases(config: Config, aliases: Aliases, names: Iterable[str]) -> Iterator[Problem]:
    for name in names:
        entity = config.entities[name]
        for alias in aliases.of(name):
            if not alias.words:
                place = _alias_place(config, name, entity.aliases, alias.text)
                yield _warning(place, f"no text can match the alias `{alias.text}`: it holds no word", "remove it")
            elif not alias.exact and not alias.weak and (language := _COMMON_WORDS.get(fold(alias.text.strip()))):
                place = _alias_place(config, name, entity.aliases, alias.text)
                message = f"the alias `{alias.text}` of `{name}` is also a common word ({language}), and matches it"
                fix = "move it to `weak:`, with words under `context:`, or write a longer name"
                yield _warning(place, message, fix)


def _alias_place(config: Config, entity: str, aliases: tuple[str, ...], text: str) -> Place:
    if text in aliases:
        return config.place("entities", entity, "aliases", aliases.index(text))
    return config.place("entities", entity, "name")


def _lonely_weak(config: Config, names: Iterable[str]) -> Iterator[Problem]:
    for name in names:
        entity = config.entities[name]
        if entity.weak and not entity.context:
            place = config.place("entities", name, "weak")
            message = f"the weak aliases of `{name}` never count: it has no `context`"
            yield _warning(place, message, "add `context:` words, one of which stands in the stories that are meant")


def _unmatchable(config: Config, topic: Topic, rules: Rules) -> Iterator[Problem]:
    tree = rules.compiled(topic.name).tree if topic.name in rules else None
    for by_scope, message, fix in _no_feed(config, topic.scope, f"`{topic.name}`", tree):
        place = config.place("topics", topic.name, "scope", "languages") if by_scope else _topic_place(config, topic)
        yield _warning(place, message, fix)


def _no_feed(config: Config, scope: Scope, subject: str, tree: Node | None) -> Iterator[tuple[bool, str, str]]:
    """Yield what is said of a rule that no feed in its scope could match, and what to do, and whether the scope is why.

    It goes by language, country and name; what a feed leaves open may be any.
    """
    feeds = [feed for feed in config.feeds.values() if feed.enabled and _in_scope(scope, feed.name, feed.tags)]
    if not feeds:
        return
    wanted = {primary(language) for language in scope.languages}
    spoken = ", ".join(sorted({primary(feed.language) for feed in feeds if feed.language}))
    if wanted:
        feeds = [feed for feed in feeds if not feed.language or primary(feed.language) in wanted]
    if not feeds:
        message = f"no feed in the scope of {subject} is in {', '.join(sorted(wanted))}: they are in {spoken}"
        yield True, message, "change the languages, or add a feed"
    elif tree is not None and not any(_possible(tree, feed)[0] for feed in feeds):
        asked = [node for node in walk(tree) if isinstance(node, FieldNode) and node.name in _FACTS]
        shown = ", ".join(f"`{node}`" for node in asked[:3])
        known = f"; they are in {spoken}" if spoken and any(node.name == "lang" for node in asked) else ""
        message = f"no feed in the scope of {subject} could match it: it asks for {shown}{known}"
        yield False, message, "change what it asks for, or add a feed"


_FACTS = ("lang", "feed", "country")  # what a feed says of all its stories


def _possible(node: Node, feed: Feed) -> tuple[bool, bool]:
    """Return whether `node` can hold for a story of `feed`, and whether it can fail."""
    if isinstance(node, FieldNode):
        said = {"lang": feed.language, "feed": feed.name, "country": feed.country}.get(node.name, "")
        return _fits(node.child, node.name, said) if said else (True, True)
    below = [_possible(child, feed) for child in children(node)]
    return _combined(node, below) if below else (True, True)


def _fits(node: Node, field: str, said: str) -> tuple[bool, bool]:
    if isinstance(node, Term | Phrase | Exact):
        fits = value_fits(field, node.text, said)
        return fits, not fits
    below = [_fits(child, field, said) for child in children(node)]
    return _combined(node, below) if below else (True, True)


def _combined(node: Node, below: list[tuple[bool, bool]]) -> tuple[bool, bool]:
    holds, fails = [true for true, _ in below], [false for _, false in below]
    if isinstance(node, Not):
        return fails[0], holds[0]
    if isinstance(node, Or):
        return any(holds), all(fails)
    return all(holds), any(fails) or not isinstance(node, And)


def _in_scope(scope: Scope, feed: str, tags: tuple[str, ...]) -> bool:
    if scope.feeds and feed not in scope.feeds:
        return False
    return not scope.tags or bool({fold(tag) for tag in scope.tags} & {fold(tag) for tag in tags})
