"""A page as a list of blocks, written as Markdown or as one HTML file that needs no other."""

from __future__ import annotations

import base64
import html
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

_STYLE = """
:root { color-scheme: light dark; --line: #d5d4cd; --soft: #6b6b64; }
@media (prefers-color-scheme: dark) { :root { --line: #44453f; --soft: #a5a59c; } }
body { font: 15px/1.5 system-ui, sans-serif; max-width: 78rem; margin: 2rem auto;
  padding: 0 1rem; }
h1 { font-size: 1.6rem; } h2 { font-size: 1.2rem; margin-top: 2.2rem; }
.wide { overflow-x: auto; } table { border-collapse: collapse; font-size: .87rem; }
th, td { border-bottom: 1px solid var(--line); padding: .35rem .6rem; text-align: left; }
th { color: var(--soft); font-weight: 600; vertical-align: bottom; }
td { font-variant-numeric: tabular-nums; vertical-align: top; }
figure { margin: 1rem 0; } figcaption { color: var(--soft); font-size: .87rem; }
img { max-width: 100%; background: #fff; padding: .5rem; box-sizing: border-box; }
"""


@dataclass(frozen=True)
class Heading:
    """A heading; level 1 is the title of the page."""

    text: str
    level: int = 2


@dataclass(frozen=True)
class Text:
    """A paragraph."""

    text: str


@dataclass(frozen=True)
class Items:
    """A list of sentences."""

    items: Sequence[str]


@dataclass(frozen=True)
class Table:
    """A header and rows of as many cells; no cell has a line break."""

    header: Sequence[str]
    rows: Sequence[Sequence[str]]


@dataclass(frozen=True)
class Picture:
    """A PNG file beside the page, with what it shows in words."""

    file: str
    caption: str


Block = Heading | Text | Items | Table | Picture


def markdown(blocks: Sequence[Block]) -> str:
    """Return the page as Markdown; pictures are links to their files."""
    return "\n\n".join(_markdown(block) for block in blocks) + "\n"


def _markdown(block: Block) -> str:
    match block:
        case Heading(text, level):
            return "#" * level + " " + text
        case Text(text):
            return text
        case Items(items):
            return "\n".join(f"- {item}" for item in items)
        case Picture(file, caption):
            return f"![{caption}]({file})"
        case Table(header, rows):
            return "\n".join(map(_line, [list(header), ["---"] * len(header), *rows]))


def _line(cells: Sequence[str]) -> str:
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"


def page(blocks: Sequence[Block], pictures: Mapping[str, bytes]) -> str:
    """Return the page as one HTML file with its pictures in it.

    Parameters
    ----------
    pictures : PNG by file name; a `Picture` that is not among them is left out.
    """
    title = next((block.text for block in blocks if isinstance(block, Heading)), "Report")
    body = "\n".join(_html(block, pictures) for block in blocks)
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{html.escape(title)}</title><style>{_STYLE}</style></head>\n"
        f"<body>\n{body}\n</body></html>\n"
    )


def _html(block: Block, pictures: Mapping[str, bytes]) -> str:
    match block:
        case Heading(text, level):
            return f"<h{level}>{html.escape(text)}</h{level}>"
        case Text(text):
            return f"<p>{html.escape(text)}</p>"
        case Items(items):
            return "<ul>" + "".join(f"<li>{html.escape(item)}</li>" for item in items) + "</ul>"
        case Table(header, rows):
            return _html_table(header, rows)
        case Picture(file, caption):
            return _html_picture(pictures.get(file), caption)


def _html_table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    head = "".join(f"<th>{html.escape(cell)}</th>" for cell in header)
    lines = [
        "<tr>" + "".join(f"<td>{html.escape(cell)}</td>" for cell in cells) + "</tr>"
        for cells in rows
    ]
    return (
        f'<div class="wide"><table><thead><tr>{head}</tr></thead>'
        f"<tbody>{''.join(lines)}</tbody></table></div>"
    )


def _html_picture(content: bytes | None, caption: str) -> str:
    if content is None:
        return ""
    data, words = base64.b64encode(content).decode(), html.escape(caption)
    return (
        f'<figure><img alt="{words}" src="data:image/png;base64,{data}">'
        f"<figcaption>{words}</figcaption></figure>"
    )
