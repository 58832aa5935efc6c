"""pytest's hooks: how the tests are spread over worker processes, and which of them `make test-quick` leaves out.

A file's tests stay together, in one worker and in their order, so that they share what the first of them made. Each worker has a data
folder and servers of its own. What soaks or fuzzes for minutes runs in CI alone, and what needs a
whole deployment for many by `make test-long`.
"""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from xdist.scheduler import LoadScopeScheduling

HERE = Path(__file__).parent
DEPLOYMENT = HERE / "deployment"
SERVED = (DEPLOYMENT, HERE / "api", HERE / "page", HERE / "cli" / "test_serve.py")  # what a running `reframer dev` or `serve` answers
IN_A_BROWSER = {"test_page.py", "test_web_ui.py"}
IN_CI = "REFRAMER_TEST_SERVERS" in os.environ
LONG = "REFRAMER_TEST_LONG" in os.environ
MODELS = {"shared", "yolo", "sam2"}  # fixtures
MOST_WORKERS = 8


def pytest_xdist_auto_num_workers() -> int:
    """Two more than there are cores: the tests of a running deployment mostly wait."""
    return min((os.cpu_count() or 1) + 2, MOST_WORKERS)


def pytest_xdist_make_scheduler(config: pytest.Config, log: object) -> LoadScopeScheduling:
    config.option.loadscopereorder = False  # the order of `pytest_collection_modifyitems` is kept
    return ByFile(config, log)


class ByFile(LoadScopeScheduling):
    """Hands out whole files. Of those with a running deployment two at a time: those in a browser are one chain, the others another."""

    def _split_scope(self, nodeid: str) -> str:
        file = Path(nodeid.split("::")[0])
        if file.parent.name != DEPLOYMENT.name:
            return str(file)
        return f"{file.parent}, in a browser" if file.name in IN_A_BROWSER else str(file.parent)


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark what needs models, a deployment or a browser; a deployment's tests take longest, and begin first."""
    for item in items:
        fixtures = set(getattr(item, "fixturenames", ()))
        if any(item.path.is_relative_to(served) for served in SERVED):
            item.add_marker("deployment")
        if "page" in fixtures:
            item.add_marker("browser")
        if MODELS & fixtures:
            item.add_marker("models")
        if item.get_closest_marker("soak") and not IN_CI:
            item.add_marker(pytest.mark.skip(reason="takes minutes: CI runs it (REFRAMER_TEST_SERVERS=1)"))
        if item.get_closest_marker("long") and not LONG:
            item.add_marker(pytest.mark.skip(reason="takes many minutes: `make test-long` runs it"))
    items.sort(key=lambda item: not item.path.is_relative_to(DEPLOYMENT))
