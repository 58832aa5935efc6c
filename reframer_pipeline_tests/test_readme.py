"""The README says what is true: every failure code, every setting, every command, and the files it points to."""

from __future__ import annotations

import re

import pytest

from reframer_pipeline import failures
from reframer_pipeline.cli import COMMANDS, app
from reframer_pipeline.settings import Settings
from reframer_pipeline_tests.support import REPOSITORY

README = (REPOSITORY / "README.md").read_text()


@pytest.mark.parametrize("failure", failures.all_failures(), ids=lambda cls: cls.code)
def test_every_failure_code_is_listed_with_its_remedy(failure: type[failures.ReframerError]) -> None:
    retried = "yes" if failure.retryable else ""
    (line,) = [line for line in README.splitlines() if line.startswith(f"| `{failure.code}` |")]
    assert line.endswith(f"| {retried} | {failure.default_remedy} |")


@pytest.mark.parametrize("name", Settings.model_fields)
def test_every_setting_is_listed_as_it_is(name: str) -> None:
    field = Settings.model_fields[name]
    (line,) = [line for line in README.splitlines() if line.startswith(f"| `{Settings.variable(name)}` |")]
    assert line.endswith(f"| {field.description} |")
    if not isinstance(field.default, tuple) and field.default is not None:
        assert f"| `{field.default}` |" in line


def test_named_commands_exist() -> None:
    named = set(re.findall(r"(?:\.venv/bin/|`|\$\()reframer (\w[\w-]*)", README))
    assert named >= {"run", "list", "show", "preview", "doctor", "dev", "models", "db"}
    assert named <= set(COMMANDS)
    assert set(COMMANDS) == set(app.list_commands(None))  # type: ignore[arg-type]


def test_linked_files_exist() -> None:
    for target in re.findall(r"\]\((?!http)([^)#]+)\)", README):
        assert (REPOSITORY / target).exists(), target


def test_failures_survive_pickling_and_have_codes_of_their_own() -> None:
    import pickle

    codes = [cls.code for cls in failures.all_failures()]
    assert len(codes) == len(set(codes))
    again = pickle.loads(pickle.dumps(failures.TruncatedVideo("Cut off.")))
    assert (again.code, str(again)) == ("truncated", str(failures.TruncatedVideo("Cut off.")))
