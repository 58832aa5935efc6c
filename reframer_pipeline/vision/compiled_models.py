"""Which parts of the models OpenVINO computes: YOLO's network, SAM2's image encoder and its mask decoder.

What belongs here: what each part takes and gives, and putting its compiled network in its place; what is around it (letterboxing,
suppression, prompts) stays as it was. What does not: compiling (`compiled`), kernels of torch (`fused`).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from reframer_pipeline.vision.compiled import Engine, compiled
from reframer_pipeline.vision.sam2_build import bb_feat_sizes

SHAPES: Final = 3  # of pictures, whose networks are held: 80 MB each with the smallest YOLO


def compile_yolo(model: Any, engine: Engine) -> None:
    """Let OpenVINO compute the network of an `ultralytics.YOLO`, in place: a network for each size of picture, when it first comes.

    Args:
        model: For the task `detect`; the answers of other tasks have other forms, and are left to torch.
        engine: What compiles it.
    """
    import torch

    if model.task != "detect":
        return
    network, computed, threads = model.model, type(model.model).forward, torch.get_num_threads()
    known: dict[tuple[int, ...], Callable[..., Any]] = {}

    def forward(pictures: Any, *args: Any, **options: Any) -> Any:
        shape = tuple(pictures.shape[1:])
        compute = known.pop(shape, None)
        if compute is None:
            module = _module(lambda one: _first(computed(network, one)), network)
            compute = compiled(engine, "detector", module, [pictures], frozenset({0}), threads)  # of which ultralytics takes one away
        known[shape] = compute  # the last one used stands last
        if len(known) > SHAPES:
            del known[next(iter(known))]
        return compute(pictures)[0]

    network.forward = forward


def compile_sam2(model: Any, engine: Engine) -> None:
    """Let OpenVINO compute the encoder and the decoder of a SAM2 model, in place; torch lets their weights go.

    Args:
        model: As `single_frames` has changed it, but for the fused layers, which cannot be traced. One that does without the fine
            levels, as none that was ever released, is left to torch.
        engine: What compiles it.
    """
    import torch
    from torch import nn

    if not model.use_high_res_features_in_sam:
        return
    side, width = model.image_size, model.sam_mask_decoder.transformer_dim
    encoder, decoder, positions = model.image_encoder, model.sam_mask_decoder, model.sam_prompt_encoder.get_dense_pe()
    encode = compiled(engine, "encoder", _module(lambda one: tuple(encoder(one)["backbone_fpn"]), encoder), [torch.zeros(1, 3, side, side)])

    def prompted(sparse: Any, dense: Any, coarse: Any, *fine: Any) -> Any:
        masks, ious, _, _ = decoder(coarse, positions, sparse, dense, multimask_output=False, repeat_image=True, high_res_features=fine)
        return masks, ious

    channels = zip((width // 8, width // 4, width), bb_feat_sizes(side), strict=True)
    first, second, coarse = (torch.zeros(1, channel, *size) for channel, size in channels)
    with torch.no_grad():
        boxes = torch.zeros(2, 2, 2), torch.tensor([[2, 3], [2, 3]], dtype=torch.int32)
        prompts = model.sam_prompt_encoder(points=boxes, boxes=None, masks=None)
    examples = [prompt.contiguous() for prompt in prompts] + [coarse, first, second]
    decode = compiled(engine, "decoder", _module(prompted, decoder), examples, frozenset({0, 1}))

    class Encoder(nn.Module):
        def forward(self, picture: Any) -> dict[str, Any]:
            levels = list(encode(picture))
            return {"vision_features": levels[-1], "vision_pos_enc": levels, "backbone_fpn": levels}  # the memory alone reads positions

    class Decoder(nn.Module):
        conv_s0, conv_s1 = nn.Identity(), nn.Identity()  # they are in the encoder

        def forward(self, *, image_embeddings: Any, sparse_prompt_embeddings: Any, dense_prompt_embeddings: Any, **others: Any) -> Any:
            assert not others["multimask_output"], "it was traced for one mask a prompt"
            prompts = sparse_prompt_embeddings, dense_prompt_embeddings
            return *decode(*prompts, image_embeddings, *others["high_res_features"]), None, None

    model.image_encoder, model.sam_mask_decoder = Encoder(), Decoder()


def _module(compute: Callable[..., Any], holder: Any) -> Any:
    """A function as a module that can be traced; `holder` has the weights that it computes with."""
    from torch import nn

    class Traced(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.holder = holder

        def forward(self, *inputs: Any) -> Any:
            return compute(*inputs)

    return Traced().eval()


def _first(answer: Any) -> Any:
    return answer[0] if isinstance(answer, list | tuple) else answer
