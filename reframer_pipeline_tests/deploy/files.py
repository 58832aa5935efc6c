"""What lies in deploy/, as its readers read it, and the tools of `.tools/deploy` that judge it."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click
import pytest
import yaml

from reframer_pipeline.cli import app
from reframer_pipeline_tests.support import REPOSITORY

DEPLOY = REPOSITORY / "deploy"
KUBERNETES = DEPLOY / "kubernetes"
TOOLS = REPOSITORY / ".tools" / "deploy" / "bin"


def tool(name: str) -> Path:
    """A program of `.tools/deploy`, or a skip."""
    if not (TOOLS / name).exists():
        pytest.skip(f"{name} is not here: scripts/setup.sh installs it where REFRAMER_TEST_SERVERS is set")
    return TOOLS / name


def judged(*command: str | Path) -> subprocess.CompletedProcess[str]:
    """What such a program says, both streams together."""
    return subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=400)


def resources() -> Iterator[dict[str, Any]]:
    """All that kustomize would apply, without its changes of names."""
    for name in yaml.safe_load((KUBERNETES / "kustomization.yaml").read_text())["resources"]:
        yield from yaml.safe_load_all((KUBERNETES / name).read_text())


def of_kind(kind: str) -> dict[str, dict[str, Any]]:
    """The resources of a kind, by name."""
    return {one["metadata"]["name"]: one for one in resources() if one["kind"] == kind}


def demand_command(words: list[str]) -> None:
    """These words call a command of ours that exists, with options that it has."""
    assert words[0] == "reframer", words
    command, words = app, words[1:]
    while isinstance(command, click.Group):
        found = command.get_command(click.Context(command), words[0])
        assert found is not None, words
        command, words = found, words[1:]
    command.make_parser(click.Context(command)).parse_args(args=list(words))
