"""docs/index.md lists every document, and every link of a document leads somewhere."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
INDEX = ROOT / "docs" / "index.md"
DOCUMENTS = sorted([*(ROOT / "docs").glob("*.md"), *(ROOT / "docs" / "decisions").glob("*.md")])
LINK = re.compile(r"\]\((?!https?:|mailto:)([^)\s]*)\)")


def slug(heading: str) -> str:
    """Return the anchor of a heading, as GitHub makes it."""
    return re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")


def linked(document: Path) -> list[tuple[Path, str]]:
    """Return the files and anchors that a document links to; without a path: itself."""
    pairs = [target.partition("#") for target in LINK.findall(document.read_text("utf-8"))]
    return [
        ((document.parent / path).resolve() if path else document, anchor)
        for path, _, anchor in pairs
    ]


def test_the_index_lists_every_document():
    listed = {path for path, _ in linked(INDEX)}
    assert sorted({*DOCUMENTS} - {INDEX} - listed) == []


def test_the_readme_links_to_the_index():
    assert INDEX in {path for path, _ in linked(ROOT / "README.md")}


@pytest.mark.parametrize(
    "document", [*DOCUMENTS, *sorted(ROOT.glob("*.md"))], ids=lambda path: path.name
)
def test_every_link_leads_to_a_file_and_a_heading(document):
    for path, anchor in linked(document):
        assert path.exists(), path
        if anchor:
            headings = re.findall(r"^#+ (.+)$", path.read_text("utf-8"), re.M)
            assert anchor in {slug(heading) for heading in headings}, (path, anchor)
