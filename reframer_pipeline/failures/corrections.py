"""Failures of correcting results by hand."""

from __future__ import annotations

from reframer_pipeline.failures.base import CallerError


class UnknownTrack(CallerError):
    """There is no such track in what readers see, or a correction took it away."""

    code = "unknown_track"
    default_remedy = "`reframer show` names the tracks."


class UnknownElement(CallerError):
    """There is no such element in what readers see."""

    code = "unknown_element"
    default_remedy = "`reframer show` names the scenes and their elements, which count from 1."


class UnknownCorrection(CallerError):
    """There is no such correction, or it was undone already."""

    code = "unknown_correction"
    default_remedy = "`reframer correct list` shows the corrections of a video."


class CorrectionRefused(CallerError):
    """The correction would change nothing, or makes no sense for what is there."""

    code = "correction_refused"
    default_remedy = "Look at the track first: `reframer show`, or `reframer preview`."


class ResultsChanged(CallerError):
    """What a correction names is another thing in the results that readers see by now."""

    code = "results_changed"
    default_remedy = "Look at the results again, and correct what they show now."


class TracksOverlap(CallerError):
    """Two tracks that are to be one are both seen in one frame."""

    code = "tracks_overlap"
    default_remedy = "One thing is not in two places: split or delete the wrong part first."


class AnnotationsRefused(CallerError):
    """The file is no corrected export of this video."""

    code = "annotations_refused"
    default_remedy = "Export the video with `--format cvat`, correct that in CVAT, and export it there as CVAT for video 1.1."
