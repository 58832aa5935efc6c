"""Failures around the models: their weights, and the device's memory."""

from __future__ import annotations

from reframer_pipeline.failures.base import CallerError, PermanentFailure, RetryableFailure


class WeightsMissing(CallerError):
    """A weights file is neither in the folder nor to be fetched."""

    code = "weights_missing"
    default_remedy = "Run `reframer models fetch`, or put the file into the folder that REFRAMER_WEIGHTS_DIR names, or use `--models demo`."


class WeightsUntrusted(CallerError):
    """Pickled weights whose digest nobody published, and the user has not said --trust."""

    code = "weights_untrusted"
    default_remedy = "If you trust the source, run `reframer models fetch --trust`: the digest shown is then recorded."


class WeightsCorrupt(CallerError):
    """The file's digest differs from the recorded one."""

    code = "weights_corrupt"
    default_remedy = "Delete the file and run `reframer models fetch` again."


class WeightsUnsuitable(CallerError):
    """The detector file is a model of another kind: it finds no boxes, or Ultralytics has not saved it as .pt."""

    code = "weights_unsuitable"
    default_remedy = "Name a YOLO detection model, saved by Ultralytics as .pt, in REFRAMER_YOLO_MODEL."


class WeightsChanged(RetryableFailure):
    """The weights file was replaced while a run went on."""

    code = "weights_changed"
    blames_video = False
    default_remedy = "Nothing to do at first: the next run uses the new weights. Replace weights while nothing runs."


class DownloadFailed(RetryableFailure):
    """A download broke off; what arrived is kept and resumed."""

    code = "download_failed"
    blames_video = False
    default_remedy = "Run the same command again: the download resumes where it broke off."


class OutOfMemory(PermanentFailure):
    """Even a batch of one does not fit the device."""

    code = "out_of_memory"
    default_remedy = "Use a smaller model (REFRAMER_YOLO_MODEL, REFRAMER_SAM2_MODEL) or a larger device."
