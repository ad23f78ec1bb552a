"""The examples in the docstrings of `ml` run, and print what they say."""

from __future__ import annotations

import doctest
import importlib
from pathlib import Path

import pytest

import ml

FOLDER = Path(ml.__file__).parent
MODULES = sorted(
    ".".join(path.relative_to(FOLDER.parent).with_suffix("").parts).removesuffix(".__init__")
    for path in FOLDER.rglob("*.py")
)


@pytest.mark.parametrize("name", MODULES)
def test_the_examples_run(name):
    # TensorFlow is imported inside the functions that need it, so that this costs nothing.
    module = importlib.import_module(name)
    assert doctest.testmod(module, optionflags=doctest.ELLIPSIS).failed == 0


def test_there_are_examples():
    finder = doctest.DocTestFinder(exclude_empty=True)
    found = [
        one
        for name in MODULES
        for one in finder.find(importlib.import_module(name))
        if one.examples
    ]
    assert len(found) >= 70
