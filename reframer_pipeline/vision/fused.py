"""Layers with their bias and activation in one pass over memory, on a CPU.

What belongs here: making a finished model's layers call oneDNN's fused kernels. torch holds these for its own compiler, so they need
neither a compiler nor an export. The numbers are the same but for the last digits. What does not: which layers a model can do without
(`single_frames`). Weights must be loaded before, and must not change after.
"""

from __future__ import annotations

from typing import Any


def available(device: str) -> bool:
    """Whether this torch has the kernels and the device is a CPU."""
    import torch

    return device == "cpu" and torch.backends.mkldnn.is_available() and hasattr(torch.ops.mkldnn, "_linear_pointwise")


def fuse_linears(model: Any) -> None:
    """Fuse the linear layers of a SAM2 model, in its perceptrons with their activation."""
    from sam2.modeling.sam2_utils import MLP
    from torch import nn

    activated: dict[nn.Module, str] = {}
    for module in model.modules():
        if isinstance(module, MLP) and (name := _activation(module.act)):
            activated |= dict.fromkeys(module.layers[:-1], name)
            module.act = nn.Identity()
    for module in model.modules():
        if type(module) is nn.Linear:
            module.forward = _linear(module, activated.get(module, "none"))


def _activation(module: Any) -> str:
    """oneDNN's name of an activation, empty where it is left alone."""
    from torch import nn

    if type(module) is nn.ReLU:
        return "relu"
    return "gelu" if type(module) is nn.GELU and module.approximate == "none" else ""


def _linear(layer: Any, activation: str) -> Any:
    import torch

    weight, bias = layer.weight.detach(), None if layer.bias is None else layer.bias.detach()

    def forward(x: Any) -> Any:
        return torch.ops.mkldnn._linear_pointwise(x, weight, bias, activation, [], "none" if activation == "gelu" else "")

    return forward
