"""The demo models: their architectures, and how they are built with the weights that ship with the package.

Here: `build_demo_yolo` and `build_demo_sam2`, which touch neither the network nor a pickle. Not here: training (`training`), and
prediction, which is the same code as for the official models.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from reframer_pipeline.settings import SAM2_IMGSZ
from reframer_pipeline.vision.sam2_build import build_sam2_model
from reframer_pipeline.vision.ultralytics_setup import import_ultralytics

if TYPE_CHECKING:
    from ultralytics import YOLO

DETECTOR_FILE = "demo_yolov8n.safetensors"

SEGMENTER_FILE = "demo_sam2.safetensors"
SEGMENTER_CONFIG = "configs/sam2.1/sam2.1_hiera_t.yaml"
SEGMENTER_IMAGE_SIZE = SAM2_IMGSZ["demo"]
SEGMENTER_WIDTH = 128  # channels of the neck, the prompts and the mask decoder


def demo_weights_dir() -> Path:
    """Folder of the weights that ship with the package."""
    return Path(__file__).parents[1] / "demo" / "weights"


def build_demo_yolo() -> YOLO:
    """Build the demo detector, in float32 on the CPU.

    Returns:
        An `ultralytics.YOLO` with `.names` set, ready for `.predict(frames, imgsz=DEMO_IMGSZ)`.
    """
    from safetensors import safe_open

    ultralytics = import_ultralytics()
    from ultralytics.nn.tasks import DetectionModel

    with safe_open(demo_weights_dir() / DETECTOR_FILE, framework="pt") as file:
        metadata = file.metadata()
        weights = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (not a dict)
    names = dict(enumerate(json.loads(metadata["names"])))
    yolo = ultralytics.YOLO(f"{metadata['architecture']}.yaml", task="detect")
    model = DetectionModel({**yolo.model.yaml, "nc": len(names)}, verbose=False)
    model.load_state_dict(weights)  # half-precision values are copied into float32 parameters
    model.names, model.task, model.args = names, "detect", yolo.model.args
    yolo.model = model.float().eval()
    return yolo


def segmenter_overrides(image_size: int = SEGMENTER_IMAGE_SIZE) -> list[str]:
    """Hydra overrides that scale SAM2.1 tiny down and leave its memory out.

    Args:
        image_size: Side of the square input in pixels; the weights do not depend on it.

    Returns:
        Overrides for `build_sam2_model`.
    """
    model, width = "++model", SEGMENTER_WIDTH
    encoder = f"{model}.image_encoder"
    return [
        f"{model}.image_size={image_size}",
        f"{encoder}.trunk.embed_dim=32",
        f"{encoder}.trunk.stages=[1,1,3,1]",
        f"{encoder}.trunk.global_att_blocks=[3]",
        f"{encoder}.trunk.window_spec=[8,4,8,4]",
        f"{encoder}.neck.backbone_channel_list=[256,128,64,32]",
        f"{encoder}.neck.d_model={width}",
        f"{encoder}.neck.position_encoding.num_pos_feats={width}",
        # single frames need no memory: an identity that swallows the config's arguments stands in its place
        f"{model}.memory_attention._target_=torch.nn.Identity",
        f"{model}.memory_encoder._target_=torch.nn.Identity",
        f"{model}.use_obj_ptrs_in_encoder=false",
        f"{model}.proj_tpos_enc_in_obj_ptrs=false",
        f"{model}.add_tpos_enc_to_obj_ptrs=false",
        f"{model}.use_signed_tpos_enc_to_obj_ptrs=false",
        f"{model}.fixed_no_obj_ptr=false",
        f"{model}.pred_obj_scores=false",
        f"{model}.pred_obj_scores_mlp=false",
    ]


def build_untrained_sam2(device: str = "cpu", image_size: int = SEGMENTER_IMAGE_SIZE) -> Any:
    """Build the demo segmenter with random weights; see `build_demo_sam2`."""
    model = build_sam2_model(SEGMENTER_CONFIG, segmenter_overrides(image_size), device)
    # only the single-mask output is trained, so it must not fall back to one of the other three
    model.sam_mask_decoder.dynamic_multimask_via_stability = False
    return model


def build_demo_sam2(device: str = "cpu", image_size: int = SEGMENTER_IMAGE_SIZE) -> Any:
    """Build the demo segmenter, in float32.

    Args:
        device: A torch device.
        image_size: Side of the square input in pixels; it was trained at the default.

    Returns:
        A `SAM2Base` for `SAM2ImagePredictor`, once the predictor's `_bb_feat_sizes` is `bb_feat_sizes(model.image_size)`.
        Only single frames with box prompts are supported; the memory modules are left out.
    """
    from safetensors.torch import load_file

    model = build_untrained_sam2(device, image_size)
    model.load_state_dict(load_file(demo_weights_dir() / SEGMENTER_FILE))
    return model
