"""Trained weights on their way into the package.

What belongs here: the form in which they are kept. What does not: building models with them (`vision.demo_models`).
"""

from __future__ import annotations

from pathlib import Path
from typing import Any


def save_half(model: Any, target: Path, metadata: dict[str, str]) -> None:
    """Write a model's weights as safetensors, floating-point values in half precision.

    Args:
        model: A `torch.nn.Module`.
        target: The file to write.
        metadata: What else a reader needs to build the model.
    """
    from safetensors.torch import save

    weights = {name: (value.half() if value.is_floating_point() else value).contiguous() for name, value in model.state_dict().items()}
    target.write_bytes(save(weights, metadata))
