"""README and docs/ say what is true: tables, commands, options, variables, targets and links. And the README stays short."""

from __future__ import annotations

import re
import runpy
from collections.abc import Iterator
from pathlib import Path

import click
import pytest

from reframer_pipeline import failures
from reframer_pipeline.cli import COMMANDS, app
from reframer_pipeline.scenes.describer import ReplaceableElement, SceneDescription, TrackFigures
from reframer_pipeline.settings import Settings
from reframer_pipeline.stages import STAGES
from reframer_pipeline_tests.support import REPOSITORY

DOCS = REPOSITORY / "docs"
PAGES = [REPOSITORY / "README.md", REPOSITORY / "CONTRIBUTING.md", REPOSITORY / "SECURITY.md", *sorted(DOCS.glob("*.md"))]
every_page = pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(REPOSITORY).as_posix())


@pytest.mark.parametrize("name", ["settings.md", "failure-codes.md", "difficulty.md", "vocabulary.md"])
def test_tables_are_up_to_date(name: str) -> None:
    made = runpy.run_path(str(REPOSITORY / "scripts" / "docs_tables.py"))["page"](name)
    assert (DOCS / name).read_text() == made, "run `make docs`"


@pytest.mark.parametrize("failure", failures.all_failures(), ids=lambda cls: cls.code)
def test_every_failure_code_is_listed_with_its_remedy(failure: type[failures.ReframerError]) -> None:
    retried = "yes" if failure.retryable else ""
    (line,) = _lines_of("failure-codes.md", failure.code)
    assert line.endswith(f"| {retried} | {failure.default_remedy} |")


@pytest.mark.parametrize("name", Settings.model_fields)
def test_every_setting_is_listed_as_it_is(name: str) -> None:
    field = Settings.model_fields[name]
    (line,) = _lines_of("settings.md", Settings.variable(name))
    assert line.endswith(f"| {field.description} |")
    if not isinstance(field.default, tuple) and field.default is not None:
        assert f"| `{field.default}` |" in line


def test_readme_is_short() -> None:
    assert len((REPOSITORY / "README.md").read_text().splitlines()) <= 200


@every_page
def test_named_commands_and_their_options_exist(page: Path) -> None:
    for words in _calls(page.read_text()):
        command: click.Command = app
        while isinstance(command, click.Group) and words and not words[0].startswith("-"):
            found = command.get_command(click.Context(command), words[0])
            assert found is not None, f"reframer {' '.join(words)}"
            command, words = found, words[1:]
        known = {name for option in command.params for name in option.opts} | {"--help", "--version"}
        assert {word.partition("=")[0] for word in words if word.startswith("-")} <= known, f"{command.name} {words}"


def test_the_readme_names_the_main_commands() -> None:
    named = {words[0] for words in _calls((REPOSITORY / "README.md").read_text())}
    assert named >= {"run", "list", "show", "preview", "doctor", "dev", "db"}
    assert {words[0] for words in _calls((DOCS / "commands.md").read_text())} == set(COMMANDS)
    assert set(COMMANDS) == set(app.list_commands(click.Context(app)))


@every_page
def test_named_targets_and_variables_exist(page: Path) -> None:
    text = page.read_text()
    targets = set(re.findall(r"^([a-z-]+):", (REPOSITORY / "Makefile").read_text(), re.MULTILINE))
    assert {one for code in _code(text) for one in re.findall(r"(?:^|\s)make ([a-z-]+)", code)} <= targets
    variables = {Settings.variable(name) for name in Settings.model_fields}
    named = set(re.findall(r"REFRAMER_[A-Z0-9_]*[A-Z0-9]", text))
    assert {name for name in named if not name.startswith("REFRAMER_TEST_")} <= variables


@every_page
def test_links_lead_somewhere(page: Path) -> None:
    for link in re.findall(r"\]\((?!https?:)([^)\s]+)\)", page.read_text()):
        path, _, anchor = link.partition("#")
        target = (page.parent / path).resolve() if path else page
        assert target.exists(), link
        assert not anchor or anchor in _anchors(target.read_text()), link


def test_every_page_is_in_the_index() -> None:
    linked = set(re.findall(r"\]\(([\w-]+\.md)\)", (DOCS / "README.md").read_text()))
    assert linked == {page.name for page in DOCS.glob("*.md")} - {"README.md"}


def test_every_column_and_field_of_the_results_is_explained() -> None:
    explained = set(re.findall(r"[a-z_0-9]+", " ".join(_code((DOCS / "results.md").read_text()))))
    columns = {name for stage in STAGES if stage.name != "metadata" for name in stage.schema.names}
    fields = {name for model in (SceneDescription, ReplaceableElement, TrackFigures) for name, field in model.model_fields.items()
              if not field.exclude}  # fmt: skip
    assert columns | fields <= explained


def _lines_of(page: str, name: str) -> list[str]:
    return [line for line in (DOCS / page).read_text().splitlines() if line.startswith(f"| `{name}` |")]


def _code(text: str) -> Iterator[str]:
    """Lines of code blocks, and code within sentences."""
    for index, part in enumerate(re.split(r"^```.*\n", text, flags=re.MULTILINE)):
        yield from part.splitlines() if index % 2 else re.findall(r"`([^`]+)`", part)


def _calls(text: str) -> Iterator[list[str]]:
    """The words after each `reframer`, as far as they are its own."""
    for code in _code(text):
        for call in re.findall(r"(?<![\w./-])(?:\.venv/bin/)?reframer ([^#`\")|;&<>]+)", code):
            if not call.startswith("COMMAND "):
                yield call.split()


def _anchors(text: str) -> set[str]:
    """As GitHub makes them of headings."""
    headings = re.findall(r"^#+ (.+)$", re.sub(r"^```.*?^```", "", text, flags=re.MULTILINE | re.DOTALL), re.MULTILINE)
    return {re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in headings}
