"""Prose check: find the words and the constructions that the style guide refuses.

The rules are in `prose_rules.toml`, in the same folder; `docs/glossary.md` says what to write
instead. This file also runs as a plain script, from any folder and without the project:

    python -m tests.docs.prose [PATH ...]

It reads the files under the paths that git tracks (without a path: those of the current
folder), prints each finding as `file:line: [rule] found -> write ...` and ends with a count per
rule.
"""

from __future__ import annotations

import ast
import io
import re
import subprocess
import sys
import tokenize
import tomllib
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

RULES = Path(__file__).with_name("prose_rules.toml")
EDGE = "\x02"  # between pieces of text that no sentence crosses: cells, blocks, buttons
VALUE = "\x03"  # in the place of a value that is filled in: {{ name }}, {name}, `code`


@dataclass(frozen=True)
class Piece:
    """A stretch of prose, with the line of the file on which it starts."""

    line: int
    text: str
    kind: str  # docstring, comment, string or page


@dataclass(frozen=True)
class Finding:
    """A place that a rule refuses."""

    path: str
    line: int
    rule: str
    found: str
    instead: str

    def __str__(self) -> str:
        return f"{self.path}:{self.line}: [{self.rule}] {self.found!r} -> {self.instead}"


@dataclass(frozen=True)
class Rule:
    """One rule of `prose_rules.toml`: what it finds, where, and what it lets pass.

    Attributes
    ----------
    exceptions : patterns that let a match pass, each with a pattern of the paths it is for.
    refused, passes : examples of both sides, for the tests.
    """

    name: str
    pattern: re.Pattern[str]
    instead: str
    kinds: frozenset[str]
    exceptions: tuple[tuple[re.Pattern[str], str], ...]
    refused: tuple[str, ...]
    passes: tuple[str, ...]

    def matches(self, text: str, path: str = "") -> Iterator[re.Match[str]]:
        """Yield the places of a text that the rule refuses."""
        allowed = [
            match.span()
            for pattern, files in self.exceptions
            if re.search(files, path)
            for match in pattern.finditer(text)
        ]
        for match in self.pattern.finditer(text):
            start, end = match.span()
            if not any(first < end and start < last for first, last in allowed):
                yield match


def compiled(pattern: str) -> re.Pattern[str]:
    """Compile a pattern in which a blank matches white space, and no word an edge."""
    pattern = pattern.replace(r"\S", rf"[^\s{EDGE}]").replace(" ", r"\s+")
    return re.compile(pattern, re.MULTILINE)


def read_rules(path: Path = RULES) -> list[Rule]:
    """Read the rules in the order of the file."""
    everywhere = ["docstring", "comment", "string", "page"]
    tables = tomllib.loads(path.read_text(encoding="utf-8"))
    stored = [
        (compiled(re.escape(one["text"]).replace(r"\ ", " ")), "") for one in tables["stored"]
    ]
    return [
        Rule(
            name=one["name"],
            pattern=compiled(one["pattern"]),
            instead=one["instead"],
            kinds=frozenset(one.get("kinds", everywhere)),
            exceptions=(
                *stored,
                *((compiled(e["pattern"]), e.get("files", "")) for e in one["exceptions"]),
            ),
            refused=tuple(one["refused"]),
            passes=tuple(one["passes"]),
        )
        for one in tables["rule"]
    ]


# --- Python

CODE = re.compile(r"``[^`]+``|`[^`]+`")
SQL = re.compile(r"\s*(SELECT|INSERT|UPDATE|DELETE|CREATE|DROP|WITH|PRAGMA|EXPLAIN|ALTER)\b")


def _filled(text: str) -> str:
    """Return a text with each stretch of inline code as one placeholder, lines kept."""
    return CODE.sub(lambda found: VALUE + "\n" * found.group().count("\n"), text)


def _documented(tree: ast.AST) -> Iterator[ast.Constant]:
    """Yield the docstrings of a module and of its classes and functions."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            first = node.body[0] if node.body else None
            value = first.value if isinstance(first, ast.Expr) else None
            if isinstance(value, ast.Constant) and isinstance(value.value, str):
                yield value


def _string(node: ast.AST) -> str | None:
    """Return the text of a string or of an f-string, with its values as placeholders."""
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        return node.value
    if isinstance(node, ast.JoinedStr):
        return "".join(
            str(part.value) if isinstance(part, ast.Constant) else VALUE for part in node.values
        )
    return None


def _strings(tree: ast.AST, seen: set[int]) -> Iterator[Piece]:
    """Yield the strings of a module that have more than one word and are not SQL."""
    for node in ast.walk(tree):
        if id(node) in seen:
            continue
        if isinstance(node, ast.JoinedStr):
            seen.update(id(part) for part in ast.walk(node))
        text = _string(node)
        if text and " " in text.strip() and not SQL.match(text):
            yield Piece(getattr(node, "lineno", 1), _filled(text), "string")


def _comments(source: str) -> Iterator[Piece]:
    """Yield the comments; those on lines of their own that follow each other as one piece."""
    block: list[str] = []
    first = last = 0
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        if token.type != tokenize.COMMENT or re.match(r"#\s*(noqa|type:|!)", token.string):
            continue
        line, column = token.start
        alone = not token.line[:column].strip()
        if block and (line != last + 1 or not alone):
            yield Piece(first, _filled("\n".join(block)), "comment")
            block = []
        if not block:
            first = line
        block.append(token.string.lstrip("#: "))
        last = line if alone else 0
    if block:
        yield Piece(first, _filled("\n".join(block)), "comment")


def python_pieces(source: str) -> Iterator[Piece]:
    """Yield docstrings, comments and strings; identifiers are not prose."""
    tree = ast.parse(source)
    seen: set[int] = set()
    for node in _documented(tree):
        seen.add(id(node))
        yield Piece(node.lineno, _filled(str(node.value)), "docstring")
    yield from _comments(source)
    yield from _strings(tree, seen)


# --- pages, documents, scripts

INLINE = r"a|abbr|b|bdi|code|em|i|kbd|small|span|strong|sub|sup|time|tspan"
SHOWN = re.compile(r"""\b(?:title|placeholder|aria-label|alt|label|data-[\w-]+)=("[^"]*")""")


def _blank(text: str, mark: str = " ") -> str:
    """Return white space of the same lines, opened by a mark."""
    return mark + "\n" * text.count("\n")


def _template_tag(found: re.Match[str]) -> str:
    """Return the sentences quoted in a template tag."""
    words = [one for one in re.findall(r'"([^"]*)"', found.group()) if " " in one.strip()]
    return EDGE + EDGE.join(words) + _blank(found.group(), EDGE)


def _html_tag(found: re.Match[str]) -> str:
    """Return what a tag shows or reads out; blocks end a sentence, inline tags do not."""
    shown = [one.strip('"') for one in SHOWN.findall(found.group()) if " " in one]
    inline = re.match(rf"</?(?:{INLINE})\b", found.group())
    lines = found.group().count("\n") - sum(one.count("\n") for one in shown)
    if shown:
        return EDGE + EDGE.join(shown) + EDGE + "\n" * lines
    return ("" if inline else EDGE) + "\n" * lines


def html_pieces(source: str) -> Iterator[Piece]:
    """Yield the page's texts, without tags and code."""
    text = re.sub(r"\{#(.*?)#\}", rf"{EDGE}\1{EDGE}", source)
    text = re.sub(
        r"<(script|style)\b.*?</\1>", lambda m: _blank(m.group(), EDGE), text, flags=re.DOTALL
    )
    text = re.sub(r"\{\{.*?\}\}", lambda m: _blank(m.group(), VALUE), text, flags=re.DOTALL)
    text = re.sub(r"\{%.*?%\}", _template_tag, text, flags=re.DOTALL)
    text = re.sub(r"</?[a-zA-Z!][^<>]*>", _html_tag, text)
    yield Piece(1, text, "page")


def markdown_pieces(source: str) -> Iterator[Piece]:
    """Yield the text of a document, without code and addresses of links."""
    text = re.sub(r"^```.*?^```", lambda m: _blank(m.group(), EDGE), source, flags=re.M | re.S)
    text = re.sub(r"\]\([^)]*\)", lambda m: _blank(m.group(), "]"), text)
    text = re.sub(r" \| |^\| | \|$", f" {EDGE} ", text, flags=re.M)
    text = re.sub(r"^( *)(?:[-*#>]+|\d+\.) ", rf"\1{EDGE}", text, flags=re.M)
    yield Piece(1, re.sub(r"\*\*|\*|\[|\]", "", _filled(text)), "page")


SCRIPT = re.compile(
    r"""//(?P<line>[^\n]*)|/\*(?P<block>.*?)\*/"""
    r"""|"(?P<double>(?:\\.|[^"\\\n])*)"|'(?P<single>(?:\\.|[^'\\\n])*)'"""
    r"""|`(?P<template>(?:\\.|[^`\\])*)`""",
    re.DOTALL,
)


def script_pieces(source: str) -> Iterator[Piece]:
    """Yield comments and strings of JavaScript, comments of a style sheet."""
    lines: list[tuple[int, str]] = []
    for found in SCRIPT.finditer(source):
        line = source.count("\n", 0, found.start()) + 1
        if found["line"] is not None:
            if lines and line != lines[-1][0] + 1:
                yield Piece(lines[0][0], _filled("\n".join(t for _, t in lines)), "comment")
                lines = []
            lines.append((line, found["line"]))
        elif found["block"] is not None:
            yield Piece(line, _filled(found["block"]), "comment")
        else:
            text = found["double"] or found["single"] or found["template"] or ""
            text = re.sub(r"\$\{[^}]*\}", VALUE, text)
            if " " in text.strip():
                yield Piece(line, text, "string")
    if lines:
        yield Piece(lines[0][0], _filled("\n".join(t for _, t in lines)), "comment")


def configuration_pieces(source: str) -> Iterator[Piece]:
    """Yield the comments of a Makefile, a YAML or TOML file, and the like."""
    lines = [
        found[1] if (found := re.search(r"(?:^|\s)##? ?(?![!#])(.*)$", line)) else EDGE
        for line in source.split("\n")
    ]
    yield Piece(1, _filled("\n".join(lines)), "comment")


READERS: dict[str, Callable[[str], Iterator[Piece]]] = {
    ".py": python_pieces,
    ".html": html_pieces,
    ".svg": html_pieces,
    ".md": markdown_pieces,
    ".js": script_pieces,
    ".css": script_pieces,
    ".yml": configuration_pieces,
    ".toml": configuration_pieces,
    ".txt": configuration_pieces,
    "Makefile": configuration_pieces,
    "Dockerfile": configuration_pieces,
}


# --- running

WORDS_THEMSELVES = ("docs/glossary.md", "tests/docs/prose_rules.toml")


def pieces_of(path: Path, name: str) -> list[Piece]:
    """Return the prose of a file.

    Strings of tests state what pages show, those of migrations what models say: left out.
    """
    reader = READERS.get(path.suffix) or READERS.get(path.name)
    if reader is None or name.endswith(WORDS_THEMSELVES):
        return []
    pieces = list(reader(path.read_text(encoding="utf-8")))
    if re.search(r"(^|/)(tests|migrations)/", name):
        pieces = [one for one in pieces if one.kind != "string"]
    return pieces


def check(path: Path, name: str, rules: list[Rule]) -> Iterator[Finding]:
    """Yield the findings in one file, under the name to print."""
    for piece in pieces_of(path, name):
        for rule in rules:
            if piece.kind not in rule.kinds:
                continue
            for match in rule.matches(piece.text, name):
                line = piece.line + piece.text.count("\n", 0, match.start())
                found = " ".join(match.group().split()).strip(EDGE + VALUE + " ")
                yield Finding(name, line, rule.name, found, rule.instead)


def tracked(paths: list[str], root: Path) -> list[Path]:
    """List the files under the paths that git tracks or would track."""
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard", "--", *paths],
        cwd=root,
        check=True,
        capture_output=True,
        text=True,
    )
    return [root / one for one in sorted(set(listed.stdout.split("\0"))) if one]


def find(paths: list[str], root: Path) -> list[Finding]:
    """Return all findings under the paths, by file and line."""
    rules = read_rules()
    return [
        finding
        for path in tracked(paths, root)
        if path.is_file()
        for finding in sorted(
            check(path, path.relative_to(root).as_posix(), rules), key=lambda one: one.line
        )
    ]


def main(paths: list[str]) -> int:
    """Print the findings and the count of each rule; return 1 if there are any."""
    findings = find(paths or ["."], Path.cwd())
    for finding in findings:
        print(finding)
    for rule, count in Counter(one.rule for one in findings).most_common():
        print(f"{count:6} {rule}")
    print(f"{len(findings):6} in all")
    return 1 if findings else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
