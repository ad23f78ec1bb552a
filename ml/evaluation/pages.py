"""Pages as lists of blocks, written as Markdown or as one self-contained HTML file."""

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
    """A heading.

    Attributes
    ----------
    text : of the heading. level : 1 is the title of the page.
    """

    text: str
    level: int = 2


@dataclass(frozen=True)
class Text:
    """A paragraph.

    Attributes
    ----------
    text : plain, without markup.
    """

    text: str


@dataclass(frozen=True)
class Items:
    """A list of sentences.

    Attributes
    ----------
    items : plain texts.
    """

    items: Sequence[str]


@dataclass(frozen=True)
class Table:
    """A table.

    Attributes
    ----------
    header : names of the columns. rows : as many cells each, without line breaks.
    """

    header: Sequence[str]
    rows: Sequence[Sequence[str]]


@dataclass(frozen=True)
class Picture:
    """A PNG file in the folder of the page.

    Attributes
    ----------
    file : name of the file. caption : description of what it shows.
    """

    file: str
    caption: str


Block = Heading | Text | Items | Table | Picture


def markdown(blocks: Sequence[Block]) -> str:
    """Write a page as Markdown.

    Parameters
    ----------
    blocks : of the page; pictures become links to their files.

    Returns
    -------
    str : Markdown.

    Examples
    --------
    >>> print(markdown([Heading("Runs", 1), Items(["first", "second"])]), end="")
    # Runs
    <BLANKLINE>
    - first
    - second
    """
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
    """Write a page as one HTML file with its pictures embedded.

    Parameters
    ----------
    blocks : of the page; the first heading is its title.
    pictures : PNG by file name; a `Picture` that is not among them is left out.

    Returns
    -------
    str : HTML.
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
