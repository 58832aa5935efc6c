"""The official weights files: their names, where they come from, and the digests that their authors published.

What belongs here: the registry, and what it is made of. What does not: finding, fetching and trusting files (`weights`).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True)
class Release:
    """An official file.

    Attributes:
        file: Its name, in the folder and at the end of its address.
        base: The address before the name.
        sha256: Digest published by its authors, at `base`, for the file at that address; None where none was found.
        config: The sam2 package's config for it; empty for detectors.
    """

    file: str
    base: str
    sha256: str | None
    config: str = ""


# Ultralytics' own repository; the digests are in its commit 8a9e1a5 (Git LFS pointers).
_YOLO = "https://huggingface.co/Ultralytics/YOLOv8/resolve/8a9e1a55f987a77f9966c2ac3f80aa8aa37b3c1a/"
# Meta's own repositories for SAM 2, with digests shown on each file's page (Git LFS details) ...
_META = "https://huggingface.co/facebook/"
# ... and its download server, from the sam2 repository's download_ckpts.sh, which publishes no digests.
_META_20 = "https://dl.fbaipublicfiles.com/segment_anything_2/072824/"
_META_21 = "https://dl.fbaipublicfiles.com/segment_anything_2/092824/"

RELEASES: Final[dict[str, Release]] = {
    "yolov8n.pt": Release("yolov8n.pt", _YOLO, "31e20dde3def09e2cf938c7be6fe23d9150bbbe503982af13345706515f2ef95"),
    "yolov8s.pt": Release("yolov8s.pt", _YOLO, "268e5bb54c640c96c3510224833bc2eeacab4135c6deb41502156e39986b562d"),
    "yolov8m.pt": Release("yolov8m.pt", _YOLO, "6c25b0b63b1a433843f06d821a9ac1deb8d5805f74f0f38772c7308c5adc55a5"),
    "yolov8l.pt": Release("yolov8l.pt", _YOLO, "18218ea4798da042d9862e6029ca9531adbd40ace19b6c9a75e2e28f1adf30cc"),
    "yolov8x.pt": Release("yolov8x.pt", _YOLO, "c4d5a3f000d771762f03fc8b57ebd0aae324aeaefdd6e68492a9c4470f2d1e8b"),
    "sam2_hiera_tiny": Release(
        "sam2_hiera_tiny.pt",
        f"{_META}sam2-hiera-tiny/resolve/main/",
        "65b50056e05bcb13694174f51bb6da89c894b57b75ccdf0ba6352c597c5d1125",
        "configs/sam2/sam2_hiera_t.yaml",
    ),
    "sam2_hiera_small": Release(
        "sam2_hiera_small.pt",
        f"{_META}sam2-hiera-small/resolve/main/",
        "95949964d4e548409021d47b22712d5f1abf2564cc0c3c765ba599a24ac7dce3",
        "configs/sam2/sam2_hiera_s.yaml",
    ),
    "sam2_hiera_base_plus": Release(
        "sam2_hiera_base_plus.pt",
        f"{_META}sam2-hiera-base-plus/resolve/2869890888ba16bccc505194b4d5353caf4fd62b/",
        "d0bb7f236400a49669ffdd1be617959a8b1d1065081789d7bbff88eded3a8071",
        "configs/sam2/sam2_hiera_b+.yaml",
    ),
    "sam2_hiera_large": Release("sam2_hiera_large.pt", _META_20, None, "configs/sam2/sam2_hiera_l.yaml"),
    "sam2.1_hiera_tiny": Release("sam2.1_hiera_tiny.pt", _META_21, None, "configs/sam2.1/sam2.1_hiera_t.yaml"),
    "sam2.1_hiera_small": Release("sam2.1_hiera_small.pt", _META_21, None, "configs/sam2.1/sam2.1_hiera_s.yaml"),
    "sam2.1_hiera_base_plus": Release("sam2.1_hiera_base_plus.pt", _META_21, None, "configs/sam2.1/sam2.1_hiera_b+.yaml"),
    "sam2.1_hiera_large": Release("sam2.1_hiera_large.pt", _META_21, None, "configs/sam2.1/sam2.1_hiera_l.yaml"),
}
