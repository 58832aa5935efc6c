"""Which device the models run on, and how much of it they may take.

What belongs here: resolving `settings.device`, describing it for people, telling out-of-memory from other errors, batches that
shrink by it. What does not: building models (`models`), the Dagster pool that keeps two stages off one GPU (the shell).
"""

from __future__ import annotations

import os
import platform
import shutil
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Final, TypeVar

from reframer_pipeline.failures import OutOfMemory, SettingsInvalid

Item = TypeVar("Item")
Result = TypeVar("Result")
_GPU_NODES: Final = ("/dev/nvidiactl", "/dev/nvidia0", "/dev/kfd", "/dev/dxg")


def resolve_device(name: str) -> str:
    """Turn the setting into a device torch knows.

    Args:
        name: `auto`, `cpu`, `cuda`, `cuda:N` or `mps`.

    Returns:
        `"cpu"`, `"cuda:N"` or `"mps"`. `auto` takes the first that exists of CUDA, MPS, CPU.

    Raises:
        SettingsInvalid: No such device on this machine.
    """
    if name == "cpu":
        return name
    import torch

    cuda, mps = torch.cuda.is_available(), torch.backends.mps.is_available()
    if name == "auto":
        return "cuda:0" if cuda else "mps" if mps else "cpu"
    if name == "mps" and mps:
        return name
    kind, _, index = name.partition(":")
    if kind == "cuda" and (index or "0").isdigit() and cuda and int(index or 0) < torch.cuda.device_count():
        return f"cuda:{int(index or 0)}"
    raise SettingsInvalid(f"This machine has no device {name!r}.", "Set REFRAMER_DEVICE to auto or cpu; see `reframer doctor`.")


def may_have_gpu(name: str) -> bool:
    """Whether models may come to run on a GPU here, told without torch, whose import takes seconds. In doubt yes: the answer is used
    for waiting, and which device it is says `resolve_device` when computing begins.

    Args:
        name: As for `resolve_device`. `auto` finds one by the driver's device nodes (NVIDIA, AMD, WSL), by `nvidia-smi` on the path, or
            on a Mac with Apple's own processor.
    """
    if name != "auto":
        return name != "cpu"
    if sys.platform == "darwin":
        return platform.machine() == "arm64"
    return any(map(os.path.exists, _GPU_NODES)) or shutil.which("nvidia-smi") is not None


def describe_device(device: str) -> str:
    """One line for people: what the device is, and its memory or threads.

    Args:
        device: A result of `resolve_device`.
    """
    import torch

    if device.startswith("cuda"):
        facts = torch.cuda.get_device_properties(device)
        return f"{device}: {facts.name}, {facts.total_memory / 1e9:.0f} GB"
    if device == "mps":
        return "mps: Apple GPU"
    return f"cpu: {torch.get_num_threads()} threads"


@contextmanager
def keeping_threads() -> Iterator[None]:
    """Undo a change of torch's thread count.

    On a CPU, ultralytics sets it to one less than the number of cores, for the whole process and against OMP_NUM_THREADS.
    """
    import torch

    threads = torch.get_num_threads()
    try:
        yield
    finally:
        if torch.get_num_threads() != threads:
            torch.set_num_threads(threads)


def is_out_of_memory(error: BaseException) -> bool:
    """Whether an error means that the device's (or the machine's) memory is used up.

    CUDA has a type for it; torch's CPU and MPS allocators raise plain `RuntimeError`s that only their words tell apart.
    """
    if isinstance(error, MemoryError) or type(error).__name__ == "OutOfMemoryError":
        return True
    words = str(error).lower()
    signs = ("out of memory", "can't allocate memory", "alloc_failed")  # the last: cuBLAS and cuDNN
    return isinstance(error, RuntimeError) and any(sign in words for sign in signs)


def release_memory() -> None:
    """Give the GPU's cached blocks back, so that a smaller batch finds room."""
    import gc

    import torch

    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()


class ShrinkingBatch:
    """Works through items a batch at a time; halves the batch each time memory runs out, and remembers it."""

    def __init__(self, size: int, what: str) -> None:
        """Start with batches of `size`; `what` names the items in the failure's message, such as `frames`."""
        self.size = size
        self.what = what

    def run(self, items: Sequence[Item], work: Callable[[Sequence[Item]], Sequence[Result]]) -> list[Result]:
        """Apply `work` to all items.

        Args:
            items: Anything that can be sliced.
            work: Takes a slice and returns one result per item.

        Returns:
            One result per item, in order.

        Raises:
            OutOfMemory: One item alone does not fit.
        """
        results: list[Result] = []
        while len(results) < len(items):
            batch = items[len(results) : len(results) + self.size]
            try:
                results.extend(work(batch))
                continue
            except Exception as error:
                if not is_out_of_memory(error):
                    raise
                failed = len(batch)
            # outside the handler: there the traceback still holds the tensors that have to go
            release_memory()
            if failed == 1:
                raise OutOfMemory(f"The device has too little memory even for a batch of one ({self.what}).")
            self.size = failed // 2
        return results
