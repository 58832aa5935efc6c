"""SAM2 without what single frames do not need.

What belongs here: what is left out, computed once instead of for each frame, or folded together; masks stay the same but for the last
digits of their logits. What does not: building a model (`sam2_build`), kernels (`fused`).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from reframer_pipeline.vision import fused
from reframer_pipeline.vision.compiled import Engine
from reframer_pipeline.vision.compiled_models import compile_sam2


def for_single_frames(model: Any, device: str, engine: Engine | None = None) -> Any:
    """Change a model in place, after its weights are loaded: it can then be asked for masks of single frames and for nothing else.

    Args:
        model: A `SAM2Base` in evaluation mode, on `device`.
        device: A result of `resolve_device`.
        engine: What compiles it; None: torch computes.

    Returns:
        The model.
    """
    import torch

    encoder, prompts = model.image_encoder, model.sam_prompt_encoder
    encoder.neck.position_encoding = torch.nn.Identity()  # the memory alone reads these positions: 84 MB a frame at 1024 px
    encoder.trunk._get_pos_embed = _once(encoder.trunk._get_pos_embed)
    prompts.get_dense_pe = _once(prompts.get_dense_pe)
    _fold(model)
    if engine is not None:
        compile_sam2(model, engine)
    elif fused.available(device):
        fused.fuse_linears(model)
    return model


def _once(compute: Callable[..., Any]) -> Callable[..., Any]:
    """Keep the answer for each size."""
    kept: dict[tuple[int, ...], Any] = {}

    def answer(size: Any = ()) -> Any:
        key = tuple(size)
        if key not in kept:
            kept[key] = compute(*[size] if key else []).detach().contiguous()
        return kept[key]

    return answer


def _fold(model: Any) -> None:
    """Put the neck's and the decoder's 1x1 convolutions of the two fine levels together: with nothing in between they are one product.

    The neck's wide maps of these levels, 64 and 16 MB at 1024 px, are then never made.
    """
    import torch

    neck, decoder = model.image_encoder.neck, model.sam_mask_decoder
    if not model.use_high_res_features_in_sam or {0, 1} & set(neck.fpn_top_down_levels):
        return
    for level, name in enumerate(("conv_s0", "conv_s1")):
        wide, narrow = neck.convs[-1 - level].conv, getattr(decoder, name)
        folded = torch.nn.Conv2d(wide.in_channels, narrow.out_channels, 1, device=wide.weight.device)
        with torch.no_grad():
            inner, outer = wide.weight[:, :, 0, 0].double(), narrow.weight[:, :, 0, 0].double()
            folded.weight.copy_((outer @ inner)[:, :, None, None])
            folded.bias.copy_(outer @ wide.bias.double() + narrow.bias)
        neck.convs[-1 - level].conv = folded.eval()
        setattr(decoder, name, torch.nn.Identity())
