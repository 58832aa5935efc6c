"""Stub models for a load test: Python runs this file in each process that has its folder on PYTHONPATH, and nowhere else.

What belongs here: a detector that sees one box in the middle of each picture, a segmenter that fills it, and putting them in the place of
the real ones once `vision.models` is loaded. They compute nothing: what is measured is all that is around the models.
"""

import importlib.abc
import importlib.machinery
import importlib.util
import sys
from collections.abc import Sequence
from types import ModuleType
from typing import Any

TARGET = "reframer_pipeline.vision.models"


class Stubs(importlib.abc.MetaPathFinder):
    """Finds the module as ever, and replaces what it gives."""

    def find_spec(self, fullname: str, path: Sequence[str] | None = None, target: ModuleType | None = None) -> Any:
        """Only for that module."""
        if fullname != TARGET:
            return None
        spec: Any = importlib.machinery.PathFinder.find_spec(fullname, path)
        execute = spec.loader.exec_module

        def exec_module(module: ModuleType) -> None:
            execute(module)
            _replace(module)

        spec.loader.exec_module = exec_module
        return spec


def _replace(module: Any) -> None:
    import numpy as np

    from reframer_pipeline.vision.boxes import Boxes
    from reframer_pipeline.vision.rle import encode
    from reframer_pipeline.vision.segmenter import Mask

    class Detector:
        def detect(self, images: Any) -> list[Boxes]:
            sides = [
                np.array([[width / 4, height / 4, width / 2, height / 2]], np.float32)
                for height, width in (one.shape[:2] for one in images)
            ]
            return [Boxes(side, np.array([0.9], np.float32), ["cup"]) for side in sides]

    class Segmenter:
        frames = 8

        def segment(self, frames: Any) -> list[list[Mask]]:
            def mask(image: Any, box: Any) -> Mask:
                x1, y1, x2, y2 = (int(value) for value in box)
                bits = np.zeros(image.shape[:2], np.uint8)
                bits[y1:y2, x1:x2] = 1
                rle, area = encode(bits)
                return Mask(rle, area, 0.9, 0.9)

            return [[mask(image, box) for box in boxes] for image, boxes in frames]

    module.detector = lambda settings: Detector()
    module.segmenter = lambda settings: Segmenter()


sys.meta_path.insert(0, Stubs())
