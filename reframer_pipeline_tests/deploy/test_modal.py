"""The recipe for Modal: Modal's own package takes it, and it starts as many workers as are missing. There is no account to run it with."""

from __future__ import annotations

import json

import pytest

from reframer_pipeline_tests.deploy.files import DEPLOY, demand_command, judged, tool

READ = """
import json, sys, subprocess
sys.path.insert(0, sys.argv[1])
import modal_workers as recipe
called = []
recipe.subprocess.run = lambda words, **_: called.append(words)
recipe.worker.local()
print(json.dumps({"called": called,
    "started": [recipe.to_start(*given) for given in json.loads(sys.argv[2])], "most": recipe.WORKERS}))
"""


@pytest.fixture(scope="module")
def cases() -> dict[tuple[int, int, int], int]:
    """Runs that wait, workers that compute, workers that were asked for; how many more are to be started with at most eight."""
    return {(0, 0, 0): 0, (3, 0, 0): 3, (3, 0, 2): 1, (3, 0, 3): 0, (2, 4, 4): 2, (1, 0, 5): 0, (20, 0, 0): 8, (20, 6, 8): 0, (0, 5, 5): 0}


def test_it_starts_a_worker_for_each_run_and_no_more(cases: dict[tuple[int, int, int], int]) -> None:
    said = judged(tool("python"), "-c", READ, DEPLOY, json.dumps(list(cases)))
    assert said.returncode == 0, said.stdout
    read = json.loads(said.stdout.splitlines()[-1])
    assert read["started"] == list(cases.values()) and read["most"] == 8
    (words,) = read["called"]
    demand_command(words)
