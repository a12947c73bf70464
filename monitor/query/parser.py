"""Tokens → tree, with Lark (LALR), and the mistakes that only neighbouring tokens show.

The grammar lets operands stand side by side and AND and OR mix within one group, because the suggestion for these two
mistakes needs the whole group; `_Builder.group` refuses them. The builder runs while Lark parses, without recursion.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import takewhile
from operator import attrgetter
from typing import Any

from lark import Lark, Transformer
from lark.common import LexerConf
from lark.exceptions import UnexpectedInput
from lark.lexer import Lexer

from monitor.errors import QueryError
from monitor.query.lexer import Token, operator_meant, tokens
from monitor.query.nodes import (
    And,
    AtLeast,
    EntityRef,
    Exact,
    Field,
    First,
    Forms,
    MacroRef,
    Near,
    Node,
    Not,
    Or,
    Phrase,
    Regex,
    Sentence,
    Term,
)

# Written into the rules in place of rules of their own: each would be one more step for Lark at each word or group.
_ATOM = "LEAF | parentheses | function"
_OPERAND = f"(negation | near | field | {_ATOM})"
_OPERANDS = f"{_OPERAND} ((AND | OR)? {_OPERAND})*"
_GRAMMAR = f"""
group: {_OPERANDS}
negation: NOT (near | field | {_ATOM})
near: (field | {_ATOM}) (NEAR (field | {_ATOM}))+
field: FIELD ({_ATOM})
parentheses: LPAR {_OPERANDS} RPAR
function: (ATLEAST | FIRST | SENTENCE | FORMS) LPAR group RPAR

%declare AND OR NOT NEAR FIELD LPAR RPAR ATLEAST FIRST SENTENCE FORMS
LEAF: "a"  // a pattern that nothing reads: Lark calls back only for tokens that have one
"""
_CLIP = 60  # characters of an operand repeated in a suggestion
_LONGEST_FIX = 400  # characters of a suggestion that repeats the query
_RUN_SHOWN = 5  # operands of a run of bare neighbours repeated in a suggestion
_LOWER = {"and": "AND", "or": "OR", "not": "AND NOT"}
# Functions of other tools, and what is written here before or around their group.
_CALLED = re.compile(r"atleast\d+.|(hlead|headline|lead|byline|body|allcaps|caps|nocaps)[(（]", re.IGNORECASE)
_CALLED_HERE = {"hlead": "lead:(…)", "headline": "title:(…)", "lead": "lead:(…)", "byline": "author:(…)",
                "body": "body:(…)", "allcaps": "{…}", "caps": "{…}"}  # fmt: skip
_CAPITALS = re.compile(r"[A-Z]{2,}(?:/?\d+[FfWw]?)?|/\d+")


class _Handover(Lexer):
    """Hands Lark the tokens that `tokens` made; Lark's own lexers cannot say what is wrong within a word."""

    def __init__(self, conf: LexerConf) -> None:
        del conf  # Lark's protocol

    def lex(self, data: Any) -> Iterator[Any]:  # type: ignore[override]  # Lark's custom lexers take its input as given
        return iter(data)


class _Builder(Transformer[Any, Node]):
    """Makes nodes as Lark recognises them. Stateless: the query's text comes in with the tokens."""

    LEAF = attrgetter("value")  # Lark calls it for such a token

    def function(self, parts: list[Any]) -> Node:
        name, _, node, closing = parts
        start, end = name.start_pos, closing.end_pos
        if name.type == "SENTENCE":
            return Sentence(node, start=start, end=end)
        if name.type == "FORMS":
            return replace(_forms(node), start=start, end=end)
        made = AtLeast if name.type == "ATLEAST" else First
        return made(name.value, node, start=start, end=end)

    def field(self, parts: list[Any]) -> Node:
        name, node = parts
        return Field(name.value, node, start=name.start_pos, end=node.end)

    def negation(self, parts: list[Any]) -> Node:
        token, node = parts
        return Not(node, start=token.start_pos, end=node.end)

    def near(self, parts: list[Any]) -> Node:
        operands, operators = tuple(parts[::2]), parts[1::2]
        for operator in operators:
            if operator.value != operators[0].value:
                raise _Mistake(
                    f"{operators[0].value} and {operator.value} in one chain",
                    operator.start_pos,
                    operator.end_pos,
                    "write two groups joined by AND: (a NEAR/5 b) AND (b ONEAR/3 c)",
                )
        name, distance = operators[0].value.split("/")
        return Near(operands, int(distance), name == "ONEAR", start=operands[0].start, end=operands[-1].end)

    def group(self, parts: list[Any]) -> Node:
        return parts[0] if len(parts) == 1 else _joined(parts, parts[0].start, parts[-1].end)

    def parentheses(self, parts: list[Any]) -> Node:
        start, end = parts[0].start_pos, parts[-1].end_pos
        return replace(parts[1], start=start, end=end) if len(parts) == 3 else _joined(parts[1:-1], start, end)


def _joined(parts: list[Any], start: int, end: int) -> Node:
    """Return the AND or OR of two operands or more. Raises _Beside and _Mixed."""
    operands = tuple([part for part in parts if not isinstance(part, Token)])
    operators = [part for part in parts if isinstance(part, Token)]
    if len(operators) < len(operands) - 1:
        raise _Beside(parts)
    kind = operators[0].type
    for operator in operators:
        if operator.type != kind:
            raise _Mixed(parts, operator)
    return (And if kind == "AND" else Or)(operands, start=start, end=end)


def _forms(node: Node) -> Node:
    """Return `node` with all its words in every form. Raises _Mistake for what has no forms."""
    if isinstance(node, Or):
        return replace(node, children=tuple([_forms(child) for child in node.children]))
    if isinstance(node, Forms):
        return node
    if not isinstance(node, Term | Phrase):
        kind, fix = _NO_FORMS.get(type(node), ("groups of other kinds", "write FORMS(one OR another) for each group"))
        raise _Mistake(f"FORMS takes words, phrases and OR groups of them, not {kind}", node.start, node.end, fix)
    if "*" in node.text or "?" in node.text:
        fix = "write the whole word in FORMS, or the wildcard alone"
        raise _Mistake(f"`{node.text}` has a wildcard, and FORMS takes whole words", node.start, node.end, fix)
    within = node.within if isinstance(node, Phrase) else None
    return Forms(node.text, within, start=node.start, end=node.end)


_NO_FORMS: dict[type, tuple[str, str]] = {
    Exact: ("text that is exactly so", "leave out the braces, or write the text beside FORMS"),
    Regex: ("regular expressions", "write the expression beside FORMS, joined by OR"),
    EntityRef: ("entities", "write `inflected: true` at the entity, in entities.yaml"),
    MacroRef: ("macros", "write FORMS within the macro"),
    Field: ("fields", "write the field before it, as title:FORMS(deploy)"),
}


class _Mistake(Exception):  # noqa: N818  # not an error that leaves this module; `tree` makes a QueryError of it
    def __init__(self, message: str, start: int, end: int | None, fix: str) -> None:
        super().__init__(message)
        self.message, self.start, self.end, self.fix = message, start, end, fix


class _Beside(Exception):  # noqa: N818  # as above
    def __init__(self, parts: list[Any]) -> None:
        super().__init__("operands without an operator between them")
        self.parts = parts


class _Mixed(Exception):  # noqa: N818  # as above
    def __init__(self, parts: list[Any], operator: Token) -> None:
        super().__init__("AND and OR in one group")
        self.parts, self.operator = parts, operator


_PARSER = Lark(_GRAMMAR, parser="lalr", lexer=_Handover, transformer=_Builder(), start="group")


def tree(text: str) -> Node:
    """Return the tree of `text`, checked for syntax only. Raises QueryError."""
    found = tokens(text)
    if not found:
        fix = "write what to find, for example border AND troops"
        message = "the query is empty" if not text.strip() else "the query holds nothing but a comment"
        if "#" in text:
            fix += "; `#` begins a comment, so write a hashtag without it"
        raise QueryError(message, text, 0, 1, fix)
    node: Any
    if len(found) == 1 and found[0].type == "LEAF":  # two thirds of all queries, without the grammar's way to one leaf
        node = found[0].value
        return node  # type: ignore[no-any-return]  # as below
    try:
        node = _PARSER.parse(found)
    except UnexpectedInput as error:
        raise _unexpected(text, found, getattr(error, "token", None)) from None
    except _Mixed as error:
        raise _mixed(text, error.parts, error.operator) from None
    except _Beside as error:
        raise _beside(text, error.parts) from None
    except _Mistake as error:
        raise QueryError(error.message, text, error.start, error.end, error.fix) from None
    return node  # type: ignore[no-any-return]  # the builder returns nodes


def _quoted(text: str, node: Node) -> str:
    """Return what the user wrote for `node`, on one line, cut to a length that a suggestion can hold."""
    written = " ".join(text[node.start : node.end].split())
    return written if len(written) <= _CLIP else f"{written[: _CLIP - 1]}…"


def _mixed(text: str, parts: Sequence[Any], operator: Token) -> QueryError:
    """Both readings of `a AND b OR c`, in the user's own words."""
    forms = [_grouped(text, parts, tight) for tight in ("AND", "OR")]
    message = "AND and OR in one group: which comes first?"
    fix = f"write `{forms[0]}` or `{forms[1]}`"
    if len(fix) > _LONGEST_FIX:
        fix = "put parentheses around what AND joins, or around what OR joins"
    return QueryError(message, text, operator.start_pos, operator.end_pos, fix)


def _grouped(text: str, parts: Sequence[Any], tight: str) -> str:
    """Return the group with the operands that `tight` joins in parentheses."""
    loose = "OR" if tight == "AND" else "AND"
    runs: list[list[str]] = [[]]
    for part in parts:
        if not isinstance(part, Token):
            runs[-1].append(_quoted(text, part))
        elif part.type == loose:
            runs.append([])
    joined = [f"({f' {tight} '.join(run)})" if len(run) > 1 else run[0] for run in runs]
    return f" {loose} ".join(joined)


def _beside(text: str, parts: Sequence[Any]) -> QueryError:
    """Operands side by side: an operator that we do not know, or a word that lacks one."""
    run: list[Node] = []
    for part in parts:
        if not isinstance(part, Token):
            run.append(part)
        elif len(run) < 2:
            run = []
        else:
            break
    if isinstance(run[0], Term) and _CALLED.fullmatch(run[0].text + text[run[1].start]):
        return _unknown_function(text, run[0], run[1])
    for index, node in enumerate(run[1:-1], 1):
        bare = isinstance(node, Term) and text[node.start] not in "(（"
        if isinstance(node, Term) and bare and (_CAPITALS.fullmatch(node.text) or _infix(node.text)):
            return _unknown_operator(text, run[:index], node, run[index + 1 :])
    shown = [_quoted(text, node) for node in run[:_RUN_SHOWN]]
    start, end = run[0].start, run[1].end
    message = f"no operator between `{shown[0]}` and `{shown[1]}`"
    lower = next((n.text for n in run if isinstance(n, Term) and n.text in _LOWER), "")
    if isinstance(run[1], Not):
        fix = f"write `{shown[0]} AND {shown[1]}`"
        if len(run) > 2 and isinstance(run[1].child, Term) and (meant := _infix(run[1].child.text)):
            fix = f"write `{shown[0]} AND NOT ({shown[0]} {meant} {shown[2]})`"
    elif lower:
        fix = f"operators are written in capitals: {lower.upper()}"
        if run[0] != Term(lower) and len(example := f", as `{_in_capitals(text, run)}`") <= _LONGEST_FIX:
            fix += example
        if all(isinstance(node, Term) for node in run):
            fix += f'; as words, write "{" ".join(shown)}" in quotes'
    else:
        if len(run) > _RUN_SHOWN:
            shown.append("…")
        forms = [f" {operator} ".join(shown) for operator in ("AND", "OR")]
        if phrase := _as_phrase(text, run[:_RUN_SHOWN], "…" if len(run) > _RUN_SHOWN else ""):
            forms.insert(0, phrase)
        fix = f"write {', '.join(f'`{form}`' for form in forms[:-1])} or `{forms[-1]}`"
    return QueryError(message, text, start, end, fix)


def _in_capitals(text: str, run: Sequence[Node]) -> str:
    """Return a run of neighbours with its small operators in capitals, and what stands between them as phrases."""
    parts: list[list[Node]] = [[]]
    joined = []
    for node in run:
        if isinstance(node, Term) and node.text in _LOWER and parts[-1]:
            joined.append(_LOWER[node.text])
            parts.append([])
        else:
            parts[-1].append(node)
    shown = [_as_phrase(text, part) or " ".join(_quoted(text, node) for node in part) or "…" for part in parts]
    return " ".join([shown[0], *(f"{operator} {words}" for operator, words in zip(joined, shown[1:], strict=True))])


def _as_phrase(text: str, run: Sequence[Node], rest: str = "") -> str:
    """Return words side by side as a phrase, in the field that stands before the first; "" for anything else."""
    words = [run[0].child, *run[1:]] if run and isinstance(run[0], Field) else run
    if len(words) < 2 or not all(isinstance(node, Term) and text[node.start] not in "(（" for node in words):
        return ""
    field = f"{run[0].name}:" if isinstance(run[0], Field) else ""
    return f'{field}"{" ".join([*(_quoted(text, node) for node in words), *filter(None, [rest])])}"'


def _infix(word: str) -> str:
    """Return our operator for one of another tool's between two words, also in small letters where it has a number."""
    if word.lower() in ("w/s", "w/sent", "w/p", "w/para"):
        return "SENTENCE" if word[2] in "sS" else "NEAR/50"
    return operator_meant(word) or (operator_meant(word.upper()) if word[-1:].isdigit() else "")


def _unknown_function(text: str, name: Term, group: Node) -> QueryError:
    wanted = _CALLED_HERE.get(name.text.lower(), "a word as it is: capitals do not count outside {…}")
    if name.text.lower().startswith("atleast"):
        inside = _quoted(text, group).removeprefix("(").removesuffix(")")
        wanted = f"`ATLEAST/{name.text[7:]}({inside})`"
    return QueryError(f"unknown function `{name.text}`", text, name.start, name.end, f"write {wanted}")


def _unknown_operator(text: str, left: Sequence[Node], word: Term, right: Sequence[Node]) -> QueryError:
    nearest = list(takewhile(_is_operand, reversed(left)))[::-1], list(takewhile(_is_operand, right))
    before = _as_phrase(text, nearest[0]) or _quoted(text, left[-1])
    after = _as_phrase(text, nearest[1]) or _quoted(text, right[0])
    if meant := _infix(word.text):
        after = after.removeprefix("NOT ") if meant == "AND NOT" else after
        fix = f"write `{before} {meant} {after}`"
        if meant == "SENTENCE":
            fix = f"write `SENTENCE({before} AND {after})`"
    else:
        fix = f"operators are AND, OR, NOT, NEAR/n and ONEAR/n; if {word.text} is a word, join it with AND or OR"
    return QueryError(f"unknown operator `{word.text}`", text, word.start, word.end, fix)


def _is_operand(node: Node) -> bool:
    return not (isinstance(node, Term) and (node.text in _LOWER or _infix(node.text)))


def _unexpected(text: str, found: Sequence[Token], at: Token | None) -> QueryError:
    """What is wrong where Lark could not go on: at token `at`, or at the end when that is none of ours."""
    index = next((i for i, token in enumerate(found) if token is at), len(found))
    before = found[index - 1] if index else None
    here = found[index] if index < len(found) else None
    name = (
        ""
        if here is None
        else {"LPAR": "(", "RPAR": ")", "FIELD": f"{here.value}:"}.get(here.type, text[here.start_pos : here.end_pos])
    )
    place = (here or before or found[0]).start_pos, (here or before or found[0]).end_pos
    if before is not None and before.type == "FIELD":
        if here is not None and here.type == "FIELD":
            fix = f"name one field: write `{name}` alone, or join two fields with AND"
            return QueryError(f"the field `{name}` stands inside `{before.value}:`", text, *place, fix)
        message = f"`{before.value}:` needs a term or a group right after it"
        fix = f"write {before.value}:word or {before.value}:(one OR another)"
        return QueryError(message, text, before.start_pos, before.end_pos, fix)
    if before is not None and before.type in ("AND", "OR", "NOT", "NEAR"):
        written = text[before.start_pos : before.end_pos]
        if here is not None and here.type == "NOT" and before.type == "NOT":
            return QueryError("NOT NOT says nothing", text, *place, "leave both out")
        if here is not None and here.type == "NOT" and before.type == "NEAR":
            fix = "write AND NOT, which means nowhere in the story"
            return QueryError("NEAR cannot stand before NOT", text, *place, fix)
        where = f"before `{name}`" if here is not None else "at the end"
        fix = f"write what {written} joins, or remove it" if before.type != "NOT" else "write what must be absent"
        if here is None and "#" in text[before.end_pos :]:
            fix = f"write what {written} joins; `#` begins a comment, so write a hashtag without it"
        return QueryError(f"{written} has nothing after it {where}", text, before.start_pos, before.end_pos, fix)
    if here is not None and here.type == "RPAR":
        return QueryError("nothing stands in these parentheses", text, *place, "write a group in them, or remove them")
    if here is not None and here.type in ("AND", "OR", "NEAR"):
        fix = f"write what {name} joins, or remove it"
        if here.type == "NEAR" and before is not None:
            fix = "NEAR joins terms, phrases, entities or OR groups of them"
        return QueryError(f"{name} has nothing before it", text, *place, fix)
    return QueryError(f"`{name}` cannot stand here", text, *place, "remove it, or join it with AND or OR")
