"""docs/settings.md lists every setting that is read from the environment, and no other."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
READ = re.compile(r"""env\.\w+\(\s*["'](AUDIOTAG_[A-Z_]+)["']""")
ROW = re.compile(r"^\| `(AUDIOTAG_[A-Z_]+)` \| (.*?) \| (.+) \|$", re.M)


def test_the_page_and_the_code_name_the_same_settings():
    code = set(READ.findall((ROOT / "audiotag_site" / "settings.py").read_text()))
    rows = ROW.findall((ROOT / "docs" / "settings.md").read_text())
    assert {name for name, _, _ in rows} == code
    assert len(rows) == len(code)


def test_every_row_says_what_it_is_and_its_default():
    for name, default, meaning in ROW.findall((ROOT / "docs" / "settings.md").read_text()):
        assert default.strip(), name
        assert len(meaning) > 20, name


def test_defaults_are_those_of_the_code():
    code = (ROOT / "audiotag_site" / "settings.py").read_text()
    rows = ROW.findall((ROOT / "docs" / "settings.md").read_text())
    plain = {
        name: text.strip("`") for name, text, _ in rows if re.fullmatch(r"`[\w.:/]+`", text)
    }
    found = dict(re.findall(r'env\.\w+\(\s*"(AUDIOTAG_\w+)", "?([\w.:/]+)"?\)', code))
    same = {name for name in plain if name in found}
    assert {"AUDIOTAG_PORT", "AUDIOTAG_BROKER_URL", "AUDIOTAG_STALE_AFTER_S"} <= same
    assert {n: plain[n].lower() for n in same} == {n: found[n].lower() for n in same}
