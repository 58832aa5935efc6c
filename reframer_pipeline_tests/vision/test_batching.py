"""Batches that shrink."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import pytest

from reframer_pipeline.failures import OutOfMemory
from reframer_pipeline.vision.device import ShrinkingBatch

pytestmark = pytest.mark.slow


def worker_with_room_for(limit: int, error: Exception, seen: list[int]):
    def work(items: Sequence[int]) -> list[int]:
        seen.append(len(items))
        if len(items) > limit:
            raise error
        return [item * 10 for item in items]

    return work


def of_torch() -> Exception:
    import torch

    return torch.OutOfMemoryError("CUDA out of memory")


@pytest.mark.parametrize("error", [of_torch, lambda: RuntimeError("can't allocate memory"), MemoryError])
def test_the_batch_is_halved_until_it_fits_and_stays_so(error: Callable[[], Exception]) -> None:
    seen: list[int] = []
    batch = ShrinkingBatch(8, "things")
    work = worker_with_room_for(2, error(), seen)
    assert batch.run(list(range(9)), work) == [item * 10 for item in range(9)]
    assert seen == [8, 4, 2, 2, 2, 2, 1]
    assert batch.run([7, 8, 9], work) == [70, 80, 90]
    assert seen[7:] == [2, 1]


def test_a_batch_of_one_that_does_not_fit_is_a_clear_failure() -> None:
    with pytest.raises(OutOfMemory, match="things"):
        ShrinkingBatch(4, "things").run([1, 2, 3], worker_with_room_for(0, of_torch(), []))


def test_what_torch_really_raises_when_a_cpu_has_no_room_is_recognised() -> None:
    def work(items: Sequence[int]) -> list[int]:
        import torch

        torch.empty(1 << 50, dtype=torch.uint8)
        return list(items)

    with pytest.raises(OutOfMemory):
        ShrinkingBatch(4, "things").run([1], work)


def test_other_errors_pass() -> None:
    with pytest.raises(RuntimeError, match="shape"):
        ShrinkingBatch(4, "things").run([1], worker_with_room_for(0, RuntimeError("shape mismatch"), []))
