"""Failures of reframing."""

from __future__ import annotations

from reframer_pipeline.failures.base import CallerError


class RatioImpossible(CallerError):
    """What was given is no ratio, or a picture of this ratio cannot be cut from the video."""

    code = "ratio_impossible"
    default_remedy = "Name width and height, such as 9:16, 1:1 or 4:5."
