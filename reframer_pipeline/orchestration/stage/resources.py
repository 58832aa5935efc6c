"""The one resource: settings, storage and models of this deployment, opened once per process when first needed.

What belongs here: how the shell reaches the core. What does not: running stages (`stage_run`) or persisting them (`io_manager`).
"""

from __future__ import annotations

import atexit
import contextlib
import threading

from reframer_pipeline import failures, versions
from reframer_pipeline.handover import StageInput
from reframer_pipeline.planning import deployment
from reframer_pipeline.results.storage import Storage, open_storage
from reframer_pipeline.settings import Settings
from reframer_pipeline.work.videos import get_video

_opened: dict[Settings, tuple[Storage, contextlib.ExitStack]] = {}
_lock = threading.Lock()


def _storage(settings: Settings) -> Storage:
    with _lock:
        if settings not in _opened:
            stack = contextlib.ExitStack()
            _opened[settings] = stack.enter_context(open_storage(settings)), stack
            atexit.register(stack.close)
        return _opened[settings][0]


class Pipeline:
    """What every asset is given. Cheap to make: opens nothing until asked."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings

    @property
    def storage(self) -> Storage:
        """Database and object store, migrated and bound to each other; one per process and settings."""
        return _storage(self.settings)

    def close(self) -> None:
        """Give the connections back; the next use opens them again."""
        with _lock:
            if self.settings in _opened:
                _opened.pop(self.settings)[1].close()

    def weights(self, settings: Settings | None = None) -> dict[str, str]:
        """Digest of the weights by role. Raises `WeightsMissing` when a file is not there."""
        from reframer_pipeline.vision import weights

        return weights.digests(settings or self.settings)

    def settings_for(self, video_id: str) -> Settings:
        """What the video is computed with: this process's settings, with the deployment's and the video's own in place of them.

        Raises:
            UnknownVideo: There is no such video.
        """
        return deployment.for_video(self.storage.db, self.settings, video_id)

    def sha256(self, video_id: str) -> str:
        """Digest of the video's bytes. Raises `UnknownVideo`."""
        return str(get_video(self.storage.db, video_id)["sha256"])

    def key(self, video_id: str, stage: str, settings: Settings | None = None) -> versions.StageKey:
        """The key that `stage` has for this video under its settings, or others."""
        chosen = settings or self.settings_for(video_id)
        needs_weights = any(name in versions.WEIGHTS_ROLE for name in versions.closure(stage))
        weights = self.weights(chosen) if needs_weights else {}
        return versions.stage_keys(self.sha256(video_id), chosen, weights, upto=stage)[stage]

    def open(self, video_id: str, stage: str) -> StageInput:
        """The committed result of `stage` under the video's settings. Raises `InputMissing` when there is none."""
        key = self.key(video_id, stage)
        if not self.storage.results.find([key.result_id]):
            raise failures.InputMissing(f"The {stage} of video {video_id} have not been computed with the present settings.")
        return self.storage.results.open(key.result_id)
