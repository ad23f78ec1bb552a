"""What the command of the study in the small refuses."""

from __future__ import annotations

import pytest
from django.core.management import CommandError, call_command


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--parts", "recipes,nonsense"), "--parts must be of recipes, turning, ablation"),
        (("--parts", ""), "--parts must be of"),
        (("--seeds", "0"), "--seeds must be at least 1"),
        (("--tracks", "100"), "--tracks must be at least 200"),
    ],
)
def test_bad_options_write_nothing(tmp_path, arguments, message):
    out = tmp_path / "study"
    with pytest.raises(CommandError, match=message) as refused:
        call_command("study_in_small", "--out", str(out), *arguments)
    assert refused.value.returncode == 2
    assert not out.exists()
