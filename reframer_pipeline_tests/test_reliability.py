"""docs/reliability.md says what is so: each test that it names is there, and each module of faults/ is named."""

from __future__ import annotations

import ast
import re

from reframer_pipeline_tests.support import REPOSITORY

PAGE = (REPOSITORY / "docs" / "reliability.md").read_text()
TESTS = REPOSITORY / "reframer_pipeline_tests"


def _tests(path: str) -> set[str]:
    tree = ast.parse((TESTS / path).read_text())
    return {node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef) and node.name.startswith("test_")}


def test_each_test_that_the_page_names_is_there() -> None:
    named = re.findall(r"`([\w/]+\.py)::(test_\w+)`", PAGE)
    assert len(named) > 40
    assert not [f"{path}::{test}" for path, test in named if test not in _tests(path)]


def test_each_module_of_faults_is_named() -> None:
    assert not [path.name for path in (TESTS / "faults").glob("test_*.py") if f"faults/{path.name}" not in PAGE]


def test_each_row_of_faults_has_a_test() -> None:
    table = PAGE[PAGE.index("## Faults") : PAGE.index("Not injected")]
    rows = [line for line in table.splitlines() if line.startswith("| ") and "**" not in line and not line.startswith("| fault ")]
    assert len(rows) > 40 and not [row for row in rows if row.count("|") != 5 or "::test_" not in row]
