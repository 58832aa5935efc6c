"""When a worker's process is replaced, and which GPU it sees."""

from __future__ import annotations

import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from reframer_pipeline.cli.worker import _visible
from reframer_pipeline.failures import SettingsInvalid
from reframer_pipeline.settings import Settings
from reframer_pipeline_tests.command import called

worker = pytest.importorskip("reframer_pipeline.orchestration.fleet.worker", reason="the extra celery is not installed")


class Memory:
    """What the process is said to have, run after run; and what the worker says."""

    def __init__(self, patch: pytest.MonkeyPatch) -> None:
        self.said: list[str] = []
        self.worker = worker.Worker(Settings(), "runs", "cpu", self.said.append, lambda settings: None)
        self._patch = patch

    def after(self, *megabytes: float) -> None:
        for one in megabytes:
            self._patch.setattr(worker, "resident_bytes", lambda one=one: int(one * 1e6))
            self.worker._be_replaced_if_unfit()


@pytest.fixture
def memory(monkeypatch: pytest.MonkeyPatch) -> Memory:
    return Memory(monkeypatch)


def test_one_that_grew_by_half_is_replaced_after_its_run(memory: Memory) -> None:
    memory.after(1500, 2000, 2100, 2100, 3100)  # the first ones load what they load
    with pytest.raises(SystemExit) as ended:
        memory.after(3200)
    assert ended.value.code == worker.RECYCLE
    assert memory.said == ["The worker's process is replaced: it has grown from 2.1 to 3.2 GB."]


def test_half_of_little_is_no_reason(memory: Memory) -> None:
    memory.after(200, 200, 200, 200, 650)


def test_one_whose_gpu_s_driver_failed_is_replaced(memory: Memory, monkeypatch: pytest.MonkeyPatch) -> None:
    def synchronize() -> None:
        raise RuntimeError("CUDA error: an illegal memory access was encountered")

    cuda = SimpleNamespace(is_initialized=lambda: True, synchronize=lambda: None)
    monkeypatch.setitem(sys.modules, "torch", SimpleNamespace(cuda=cuda))  # type: ignore[arg-type]
    memory.after(1000)
    cuda.synchronize = synchronize
    with pytest.raises(SystemExit):
        memory.after(1000)
    assert memory.said == ["The worker's process is replaced: the GPU's driver failed in it."]


@pytest.mark.parametrize(("given", "number", "seen"), [(None, 1, "1"), ("", 0, "0"), ("4,7", 1, "7"), ("GPU-5f,GPU-1a", 0, "GPU-5f")])
def test_a_process_sees_the_one_it_is_given_among_those_it_may_see(
    monkeypatch: pytest.MonkeyPatch, given: str | None, number: int, seen: str
) -> None:
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    if given is not None:
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", given)
    assert _visible(number) == seen


def test_one_that_is_not_there_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "4,7")
    with pytest.raises(SettingsInvalid, match="cuda:2"):
        _visible(2)


BY_STAGE = {"REFRAMER_EXECUTOR": "celery", "REFRAMER_LAUNCHER": "celery", "REFRAMER_BROKER_URL": "amqp://u:p@127.0.0.1:1//"}


@pytest.mark.parametrize(
    ("words", "variables", "says"),
    [
        (("worker", "--queue", "gpu"), {}, "Nobody sends stages to the queue gpu"),
        (("worker",), {"REFRAMER_EXECUTOR": "multiprocess"}, "starts a process for each stage"),
        (("worker", "--queue", "cpu"), BY_STAGE, "REFRAMER_DATABASE_URL is not set"),
        (("worker",), {"REFRAMER_EXECUTOR": "celery"}, "needs REFRAMER_LAUNCHER=celery"),
        (("dev", "--workers", "1"), BY_STAGE, "compute whole videos"),
    ],
)
def test_what_cannot_work_is_refused(tmp_path: Path, words: tuple[str, ...], variables: dict[str, str], says: str) -> None:
    ended = called(tmp_path, *words, **variables)
    assert ended.returncode != 0 and says in " ".join(ended.stderr.split())
