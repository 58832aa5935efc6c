"""The one place that imports and builds SAM2.

Here: making `import sam2` work beside Dagster, and building a model from one of sam2's configs plus Hydra overrides.
Not here: where weights come from (`weights`), how masks are predicted (`segmenter`), the demo architecture (`demo.models`).
"""

from __future__ import annotations

import logging
import warnings
from collections.abc import Sequence
from types import ModuleType
from typing import Any

from reframer_pipeline.vision.torchvision_setup import import_torchvision


def import_sam2() -> ModuleType:
    """Import `sam2` under Hydra 1.4.

    Dagster's selection parser needs antlr 4.13, hence Hydra 1.4; `sam2/__init__.py` passes `version_base="1.2"`, which
    Hydra 1.4 refuses. sam2 leaves Hydra alone when it is already initialized, so we initialize it first.

    Returns:
        The `sam2` package.
    """
    from hydra import initialize_config_module
    from hydra.core.global_hydra import GlobalHydra

    if not GlobalHydra.instance().is_initialized():
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            initialize_config_module("sam2", version_base="1.3")
    import sam2

    import_torchvision()  # the predictor would
    return sam2


def build_sam2_model(config_name: str, overrides: Sequence[str] = (), device: str = "cpu") -> Any:
    """Build a SAM2 model with random weights, in evaluation mode.

    Args:
        config_name: A config inside the package, e.g. `"configs/sam2/sam2_hiera_b+.yaml"`.
        overrides: Hydra overrides, e.g. `"++model.image_size=256"`.
        device: A torch device, e.g. `"cpu"` or `"cuda:0"`.

    Returns:
        A `sam2.modeling.sam2_base.SAM2Base` (a `torch.nn.Module`) on `device`; load weights with `load_state_dict`.
    """
    import_sam2()
    from sam2.build_sam import build_sam2

    # Hydra 1.4 warns, once per `_target_` of the config, that no `_execution_whitelist_` is set; sam2's configs are trusted.
    instantiate_log = logging.getLogger("hydra._internal.instantiate._instantiate2")
    level = instantiate_log.level
    instantiate_log.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return build_sam2(config_name, None, device=device, hydra_overrides_extra=list(overrides))
    finally:
        instantiate_log.setLevel(level)


def bb_feat_sizes(image_size: int) -> list[tuple[int, int]]:
    """Spatial sizes of the three backbone levels, for `SAM2ImagePredictor._bb_feat_sizes`.

    The predictor hard-codes them for 1024 px; any other `image_size` fails in `set_image` unless they are set again.

    Args:
        image_size: Side of the square model input, in pixels (a multiple of 16).

    Returns:
        `(height, width)` at strides 4, 8 and 16.
    """
    return [(image_size // stride, image_size // stride) for stride in (4, 8, 16)]
