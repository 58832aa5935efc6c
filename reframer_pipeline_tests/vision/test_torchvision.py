"""torchvision comes without torch's compiler, and whoever needs that still gets it."""

from __future__ import annotations

import os
import subprocess
import sys

COMPILER = ("torch._dynamo", "torch._inductor", "sympy")


def test_no_compiler_is_imported_for_boxes_and_masks() -> None:
    """Seconds of each process that loads the models would go into it."""
    code = f"""
import sys
import numpy as np
from reframer_pipeline.settings import Settings
from reframer_pipeline.vision import models
settings = Settings(models="demo", device="cpu", engine="torch")
picture = np.zeros((360, 640, 3), np.uint8)
models.detector(settings).detect([picture])
(masks,) = models.segmenter(settings).segment([(picture, np.array([[10, 10, 200, 200]], np.float32))])
assert len(masks) == 1 and "torchvision.ops" in sys.modules
print(sorted(set({COMPILER!r}) & set(sys.modules)))
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=400, env=os.environ)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1] == "[]"


def test_the_compiler_is_there_when_it_is_asked_for() -> None:
    code = """
import sys
from reframer_pipeline.vision.torchvision_setup import import_torchvision
regions = import_torchvision().ops.roi_align
asked = sys.modules["torchvision.ops.roi_align"].is_compile_supported
assert "torch._dynamo" not in sys.modules
import torch, torch._dynamo.utils
assert asked("cpu") == torch._dynamo.utils.is_compile_supported("cpu") and asked is not torch._dynamo.utils.is_compile_supported
found = regions(torch.ones(1, 1, 4, 4), [torch.tensor([[0.0, 0.0, 4.0, 4.0]])], 2)
assert found.tolist() == [[[[1.0, 1.0], [1.0, 1.0]]]]
assert torch.compile(lambda one: one + 1, backend="eager")(torch.ones(1)).item() == 2
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=400, env=os.environ)
    assert done.returncode == 0, done.stderr
