"""What keeps picocodec simple: imports go down only, functions stay short, and say what they do."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[1] / "src" / "picocodec"
MODULES = sorted(PACKAGE.rglob("*.py"))
LONGEST = 60  # lines of a function

# From the ground up: a room may import those above it here, and itself.
FLOORS = [
    {"errors", "pipeline"},
    {"format"},
    {"model", "images"},
    {"coders"},
    {"exact", "encoding", "decoding"},
    {"api"},
    {"pillow_plugin"},
    {"__init__"},
    {"corpus"},
    {"cli"},
    {"__main__"},
]


def room_of(path: Path) -> str:
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py")


def floor_of(room: str) -> int:
    return next(i for i, rooms in enumerate(FLOORS) if room in rooms)


def imported(tree: ast.AST) -> set[str]:
    """The rooms of this package that a module imports from, types alone included."""
    found = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == "picocodec":
            below = (node.module or "").split(".")[1:]
            names = below[:1] or [alias.name for alias in node.names]
            rooms = {room_of(path) for path in MODULES}
            found |= {name if name in rooms else "__init__" for name in names}
    return found


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_imports_go_down_only(path: Path) -> None:
    own = room_of(path)
    others = imported(ast.parse(path.read_text("utf-8"))) - {own}
    assert {room for room in others if floor_of(room) >= floor_of(own)} == set()


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_functions_are_short(path: Path) -> None:
    functions = [
        node
        for node in ast.walk(ast.parse(path.read_text("utf-8")))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
    ]
    assert [f.name for f in functions if (f.end_lineno or 0) - f.lineno >= LONGEST] == []


def documented(scope: ast.Module | ast.ClassDef) -> dict[str, bool]:
    """Whether each public function of a module or class has a docstring."""
    return {
        node.name: ast.get_docstring(node) is not None
        for node in scope.body
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.name[0] != "_"
    }


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_public_functions_say_what_they_do(path: Path) -> None:
    """Those of a class may leave it to a base in the same module."""
    module = ast.parse(path.read_text("utf-8"))
    silent = [name for name, told in documented(module).items() if not told]
    classes = {node.name: node for node in module.body if isinstance(node, ast.ClassDef)}
    for name, node in classes.items():
        bases = [base.id for base in node.bases if isinstance(base, ast.Name)]
        inherited = {
            m for b in bases if b in classes for m, ok in documented(classes[b]).items() if ok
        }
        own = documented(node) if name[0] != "_" else {}
        silent += [f"{name}.{m}" for m, told in own.items() if not told and m not in inherited]
    assert silent == []
