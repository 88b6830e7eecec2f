"""Files and functions stay small, functions say their types, no import hides in a function of apps/."""

import ast
from collections.abc import Iterator
from pathlib import Path
from statistics import median

import pytest

ROOT = Path(__file__).resolve().parents[2]
FOLDERS = ("apps", "ums_site", "simulator", "bench", "demo")
LONGEST_FILE = 450
LONGEST_FUNCTION = 60
MEDIAN_FUNCTION = 10
MOST_FILES = 300  # lines of nine files out of ten
FORBIDDEN_NAMES = {"helper", "helpers", "util", "utils", "common", "manager", "managers", "data", "info", "misc"}
Function = ast.FunctionDef | ast.AsyncFunctionDef


def sources() -> list[Path]:
    found = [path for folder in FOLDERS for path in (ROOT / folder).rglob("*.py")]
    return [path for path in found if "migrations" not in path.parts]


def functions(path: Path) -> Iterator[Function]:
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, Function):
            yield node


def length(node: Function) -> int:
    assert node.end_lineno is not None
    return node.end_lineno - node.lineno + 1


def lines(path: Path) -> int:
    return len(path.read_text(encoding="utf-8").splitlines())


def test_no_file_is_too_long() -> None:
    assert [f"{path.relative_to(ROOT)}: {lines(path)}" for path in sources() if lines(path) > LONGEST_FILE] == []


def test_most_files_are_short() -> None:
    long_ones = [path for path in sources() if lines(path) > MOST_FILES]
    assert len(long_ones) <= len(sources()) / 10, [str(path.relative_to(ROOT)) for path in long_ones]


def test_no_function_is_too_long() -> None:
    too_long = [
        f"{path.relative_to(ROOT)}:{node.lineno} {node.name}: {length(node)}"
        for path in sources()
        for node in functions(path)
        if length(node) > LONGEST_FUNCTION
    ]
    assert too_long == []


def test_the_median_function_is_short() -> None:
    assert median(length(node) for path in sources() for node in functions(path)) < MEDIAN_FUNCTION


def test_names_say_something() -> None:
    empty = [str(path.relative_to(ROOT)) for path in sources() if path.stem in FORBIDDEN_NAMES]
    assert empty == []


def test_no_project_import_hides_in_a_function() -> None:
    """Django's `ready` is the one place where an import has to wait; a bench process sets Django up by itself first."""
    hidden = [
        f"{path.relative_to(ROOT)}:{inner.lineno}"
        for path in sources()
        for node in functions(path)
        if node.name != "ready" and path.relative_to(ROOT).parts[0] != "bench"
        for inner in ast.walk(node)
        if isinstance(inner, ast.Import | ast.ImportFrom) and _is_ours(inner)
    ]
    assert hidden == []


def _is_ours(node: ast.Import | ast.ImportFrom) -> bool:
    names = [node.module or ""] if isinstance(node, ast.ImportFrom) else [alias.name for alias in node.names]
    return any(name.split(".")[0] in (*FOLDERS, "tests") for name in names)


@pytest.mark.parametrize("word", ["TODO", "FIXME", "NotImplementedError"])
def test_nothing_is_left_for_later(word: str) -> None:
    assert [str(path.relative_to(ROOT)) for path in sources() if word in path.read_text(encoding="utf-8")] == []
