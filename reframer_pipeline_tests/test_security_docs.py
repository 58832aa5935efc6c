"""docs/asvs.md says what is so: every requirement of the levels 1 and 2 has one line, and what is met names a test or file that exists."""

from __future__ import annotations

import ast
import functools
import re
from collections import Counter
from collections.abc import Iterator

import pytest

from reframer_pipeline_tests.support import REPOSITORY

PAGE = REPOSITORY / "docs" / "asvs.md"
TESTS = REPOSITORY / "reframer_pipeline_tests"
# How many requirements of the levels 1 and 2 each section of ASVS 5.0.0 has. They are the first of their section.
SECTIONS = {
    "1.1": 2, "1.2": 9, "1.3": 11, "1.4": 3, "1.5": 2, "2.1": 3, "2.2": 3, "2.3": 4, "2.4": 1, "3.2": 2, "3.3": 4, "3.4": 6, "3.5": 5,
    "3.7": 2, "4.1": 3, "4.2": 1, "4.3": 2, "4.4": 4, "5.1": 1, "5.2": 3, "5.3": 2, "5.4": 3, "6.1": 3, "6.2": 12, "6.3": 4, "6.4": 4,
    "6.5": 5, "6.6": 3, "6.8": 4, "7.1": 3, "7.2": 4, "7.3": 2, "7.4": 5, "7.5": 2, "7.6": 2, "8.1": 2, "8.2": 3, "8.3": 1, "8.4": 1,
    "9.1": 3, "9.2": 4, "10.1": 2, "10.2": 2, "10.3": 4, "10.4": 11, "10.5": 5, "10.6": 2, "10.7": 3, "11.1": 2, "11.2": 3, "11.3": 3,
    "11.4": 4, "11.5": 1, "11.6": 1, "12.1": 3, "12.2": 2, "12.3": 4, "13.1": 1, "13.2": 5, "13.3": 2, "13.4": 5, "14.1": 2, "14.2": 4,
    "14.3": 3, "15.1": 3, "15.2": 3, "15.3": 7, "16.1": 1, "16.2": 5, "16.3": 4, "16.4": 3, "16.5": 3, "17.1": 1, "17.2": 4, "17.3": 2,
}  # fmt: skip
ALL = {f"{section}.{number}" for section, count in SECTIONS.items() for number in range(1, count + 1)}


def lines() -> list[tuple[str, str, str, str]]:
    """Each line of the tables: number, what is asked, how it stands, what shows it."""
    rows = [
        tuple(cell.strip() for cell in line.strip("|").split("|")) for line in PAGE.read_text().splitlines() if re.match(r"\| \d", line)
    ]
    assert all(len(row) == 4 for row in rows)
    return rows  # type: ignore[return-value]


def numbers(cell: str) -> Iterator[str]:
    """The requirements that a line speaks of: `1.2.3`, `1.2.3–5`, all of `1.2`, all of chapter `1`."""
    for one in cell.split(", "):
        first, _, last = one.partition("–")
        if first.count(".") == 2:
            section, _, number = first.rpartition(".")
            yield from (f"{section}.{each}" for each in range(int(number), int(last or number) + 1))
        else:
            yield from (each for each in ALL if each.startswith(f"{first}."))


@functools.cache
def names_in(path: str) -> set[str]:
    """The names of the tests in a file."""
    tree = ast.parse((TESTS / path).read_text())
    return {node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef) and node.name.startswith("test_")}


def shown_by(cell: str) -> list[str]:
    return re.findall(r"`([^`]+)`", cell)


every_line = pytest.mark.parametrize("line", lines(), ids=lambda line: line[0])


def test_every_requirement_has_one_line() -> None:
    found = Counter(number for line in lines() for number in numbers(line[0]))
    assert len(ALL) == 253 and set(found) == ALL
    assert {number for number, count in found.items() if count > 1} == set()


@every_line
def test_a_line_says_how_it_stands_and_names_what_exists(line: tuple[str, str, str, str]) -> None:
    _, asks, stands, shown = line
    assert asks and re.match(r"(met|not met|not applicable: .{10,})", stands), stands
    named = shown_by(shown)
    assert named or not stands.startswith("met"), "what is met names a test or a file"
    assert not (named and stands.startswith("not applicable"))
    for one in named:
        path, separator, name = one.partition("::")
        if separator:
            assert (TESTS / path).is_file() and name in names_in(path), one
        else:
            assert (REPOSITORY / path).is_file(), one


def test_it_says_which_version_and_leads_on() -> None:
    assert "5.0.0, level 2" in PAGE.read_text() and "(docs/asvs.md)" in (REPOSITORY / "SECURITY.md").read_text()
    assert len((REPOSITORY / "SECURITY.md").read_text().splitlines()) <= 120
