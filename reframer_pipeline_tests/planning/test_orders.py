"""Orders as they were pinned."""

from __future__ import annotations

from datetime import UTC, datetime

from reframer_pipeline.planning import orders
from reframer_pipeline.settings import Settings
from reframer_pipeline.stages.order import Order, VideoCard
from reframer_pipeline.versions import video_id_of

SHA = "ab" * 32


def _order(**settings: object) -> Order:
    video = VideoCard(video_id_of(SHA), SHA, "clip.mp4", 1, "one@example.org", datetime(2026, 1, 1, tzinfo=UTC))
    return Order(video, Settings.model_validate({"models": "demo", **settings}), {"detector": "d", "segmenter": "s"})


def test_a_pinned_order_is_followed_whatever_the_process_says() -> None:
    pinned = orders.pinned(_order(conf=0.4, mask_stride=3))
    followed = orders.follow(_order(conf=0.9, mask_stride=7), pinned)
    assert (followed.settings.conf, followed.settings.mask_stride) == (0.4, 3)
    assert followed.weights == {"detector": "d", "segmenter": "s"}


def test_a_setting_that_there_was_not_yet_has_its_default() -> None:
    """Otherwise the stages of one run could be of two minds."""
    pinned = orders.pinned(_order(conf=0.4))
    for name in ("mask_stride", "mask_conf", "sam2_imgsz"):
        del pinned["settings"][name]
    followed = orders.follow(_order(mask_stride=7, mask_conf=0.5, sam2_imgsz=512, batch=2), pinned)
    assert (followed.settings.conf, followed.settings.mask_stride, followed.settings.mask_conf, followed.settings.sam2_imgsz) == (
        0.4, 1, 0.0, None,
    )  # fmt: skip
    assert followed.settings.batch == 2  # the process's own affair
