"""Every public function, method and dataclass of `ml` says what goes in and what comes out.

numpydoc sections: `Parameters` where there are arguments, `Returns` or `Yields` where something
comes back, `Raises` where the body raises, `Attributes` for the fields of a dataclass.
"""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

import ml

FOLDER = Path(ml.__file__).parent
FILES = sorted(FOLDER.rglob("*.py"))
#: Classes whose methods are documented once: others of the same name in the same package say
#: in one line what they do differently.
DOCUMENTED_ONCE = {
    "features": ("track_features.py", "TrackFeatures"),
    "networks": ("base.py", "Network"),
}


def sections(node):
    return set(re.findall(r"^ *(\w+)\n *-{4,}$", ast.get_docstring(node) or "", re.MULTILINE))


def decorators(node):
    return {ast.unparse(one).split("(")[0].split(".")[-1] for one in node.decorator_list}


def own_nodes(function):
    """Yield the nodes of a function, without those of functions defined inside it."""
    stack = list(function.body)
    while stack:
        node = stack.pop()
        yield node
        if not isinstance(node, ast.FunctionDef | ast.Lambda):
            stack.extend(ast.iter_child_nodes(node))


def public(body):
    kinds = ast.FunctionDef | ast.ClassDef
    return [one for one in body if isinstance(one, kinds) and not one.name.startswith("_")]


def documented_once(package):
    if package not in DOCUMENTED_ONCE:
        return set()
    file, name = DOCUMENTED_ONCE[package]
    tree = ast.parse((FOLDER / package / file).read_text())
    (found,) = (one for one in public(tree.body) if one.name == name)
    return {one.name for one in public(found.body)}


def missing_of_function(function):
    has = sections(function)
    arguments = function.args
    names = {one.arg for one in arguments.args + arguments.posonlyargs + arguments.kwonlyargs}
    names |= {one.arg for one in (arguments.vararg, arguments.kwarg) if one}
    if names - {"self", "cls"} and "Parameters" not in has:
        yield "Parameters"
    returned = ast.unparse(function.returns) if function.returns else "None"
    if returned not in ("None", "NoReturn") and not has & {"Returns", "Yields"}:
        yield "Returns"
    if any(isinstance(node, ast.Raise) for node in own_nodes(function)) and "Raises" not in has:
        yield "Raises"


def missing(path):
    """Yield "name: what is missing" for each public name of a file."""
    package = path.parent.name
    tree = ast.parse(path.read_text(encoding="utf-8"))
    once = documented_once(package)
    base = DOCUMENTED_ONCE.get(package, ("", ""))[1]
    for node in public(tree.body):
        if not ast.get_docstring(node):
            yield f"{node.name}: docstring"
        if isinstance(node, ast.FunctionDef):
            yield from (f"{node.name}: {one}" for one in missing_of_function(node))
            continue
        fields = [one for one in node.body if isinstance(one, ast.AnnAssign)]
        if "dataclass" in decorators(node) and fields and "Attributes" not in sections(node):
            yield f"{node.name}: Attributes"
        for method in public(node.body):
            name = f"{node.name}.{method.name}"
            if not ast.get_docstring(method):
                yield f"{name}: docstring"
            is_short = {"property", "cached_property", "override"} & decorators(method)
            if is_short or (method.name in once and node.name != base):
                continue
            if isinstance(method, ast.FunctionDef):
                yield from (f"{name}: {one}" for one in missing_of_function(method))


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(FOLDER)))
def test_the_docstrings_say_what_goes_in_and_out(path):
    assert list(missing(path)) == []
