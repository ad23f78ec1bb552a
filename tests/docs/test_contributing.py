"""CONTRIBUTING.md, SECURITY.md and LICENSE agree with what they point to."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())


@pytest.mark.parametrize("name", ["CONTRIBUTING.md", "SECURITY.md", "README.md"])
def test_links_lead_to_files(name):
    for target in re.findall(r"\]\((?!https?:)([^)#]+)", (ROOT / name).read_text()):
        assert (ROOT / target).exists(), target


def test_every_target_and_path_of_the_guide_exists():
    guide = (ROOT / "CONTRIBUTING.md").read_text()
    makefile = (ROOT / "Makefile").read_text()
    for target in re.findall(r"(?:`|^)make ([a-z]+)", guide, re.M):
        assert f"\n{target}:" in makefile, target
    for path in re.findall(r"`((?:tests|workers)/[\w/.]*)`", guide):
        assert (ROOT / path).exists(), path


def test_every_marker_of_the_guide_is_declared():
    guide = (ROOT / "CONTRIBUTING.md").read_text()
    declared = {
        line.split(":")[0] for line in PROJECT["tool"]["pytest"]["ini_options"]["markers"]
    }
    listed = guide.split("Markers:")[1].split(";")[0]
    assert set(re.findall(r"`(\w+)`", listed)) == declared


def test_the_licence_is_named_and_whole():
    assert PROJECT["project"]["license"] == "Apache-2.0"
    (file,) = PROJECT["project"]["license-files"]
    text = (ROOT / file).read_text()
    assert "Apache License\n" in text
    assert "END OF TERMS AND CONDITIONS" in text


def test_the_glossary_defines_each_term_once():
    glossary = (ROOT / "docs/glossary.md").read_text()
    rows = re.findall(r"^\| ([^|]+) \| ([^|]+) \|", glossary, re.M)
    terms = [term for term, _ in rows if term not in ("Term", "---")]
    assert len(terms) > 90
    assert len(set(terms)) == len(terms)
    assert all(meaning.strip().endswith(".") for term, meaning in rows if term in terms)
