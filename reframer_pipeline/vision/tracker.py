"""Following objects from frame to frame.

What belongs here: the `Tracker` protocol and ByteTrack behind it. What does not: numbering tracks over a whole video and writing
them (`trajectories`).
"""

from __future__ import annotations

from collections.abc import Hashable
from typing import Any, Protocol

import numpy as np

from reframer_pipeline.settings import Settings
from reframer_pipeline.vision.boxes import Floats


class Tracker(Protocol):
    """Follows the objects of one class through one shot."""

    def update(self, xyxy: Floats, confidence: Floats, timestamp: float) -> list[Hashable | None]:
        """Take the next sampled frame, also when it is empty.

        Args:
            xyxy: `(n, 4)` boxes.
            confidence: `(n,)`.
            timestamp: Seconds since the first frame; rises.

        Returns:
            For each box, in the order given, the track it belongs to (the same object for the same track), or None.
        """

    def alive(self) -> set[Hashable]:
        """Tracks that a later box may still join."""


class ByteTracker:
    """`trackers.ByteTrackTracker`, with its thresholds in our terms and ids from the first sighting on.

    - `track_thresh` both starts a track and parts the first matching pass from the second.
    - `match_thresh` is the cost limit 1 - IoU of the original, so the least IoU is `1 - match_thresh`.
    - `track_buffer` counts frames at 30 a second. The tracker is given real seconds, so 30 means one second of picture at
      any frame rate or stride, variable ones included. A track that was seen in the sampled frame before may always be seen
      again in this one, however long ago that was: nobody looked in between.

    The library gives a track its id at the second sighting, also with `minimum_consecutive_frames=1`; the first box comes back
    as -1. So tracks are told apart here by the library's own track objects (`tracks`, a public attribute), which exist from the
    first sighting on. A track that is never seen again stays a track of one frame.
    """

    def __init__(self, settings: Settings, step_seconds: float) -> None:
        """Start fresh: one per shot and class.

        Args:
            settings: `track_thresh`, `match_thresh` and `track_buffer` are used.
            step_seconds: Usual time between two sampled frames; the unit of the motion model.
        """
        from trackers import ByteTrackTracker

        self._thresh = settings.track_thresh
        self._tracker = ByteTrackTracker(
            lost_track_buffer=settings.track_buffer,
            frame_rate=1.0 / step_seconds,
            track_activation_threshold=settings.track_thresh,
            high_conf_det_threshold=settings.track_thresh,
            minimum_consecutive_frames=1,
            minimum_iou_threshold=1.0 - settings.match_thresh,
        )
        self._buffer = settings.track_buffer / 30
        self._now = -1.0

    def update(self, xyxy: Floats, confidence: Floats, timestamp: float) -> list[Hashable | None]:
        """See `Tracker.update`."""
        import supervision as sv

        places = np.arange(len(xyxy))
        given = sv.Detections(xyxy=xyxy.reshape(-1, 4).astype(np.float32), confidence=confidence, data={"place": places})
        before = set(self._tracker.tracks)
        last, self._now = (
            self._now,
            max(self._now + 1e-6, timestamp),
        )  # the library skips frames that go back in time, and warns of equal ones
        # The library ends a track when the time since its last box exceeds this, and looks before it matches: were it shorter than the
        # step from the frame before, that step would end every track. The rest is for sums such as six times 1/6 s.
        self._tracker.maximum_time_without_update = max(self._buffer, self._now - last) + 1e-6
        tracked = self._tracker.update(given, timestamp=self._now)
        found: list[Hashable | None] = [None] * len(xyxy)
        if not len(tracked):
            return found
        known = {track.tracker_id: track for track in self._tracker.tracks if track.tracker_id != -1}
        new = iter([track for track in self._tracker.tracks if track not in before])
        for place, tracker_id in zip(tracked.data["place"], tracked.tracker_id, strict=True):
            if tracker_id != -1:
                found[place] = known[tracker_id]
            elif confidence[place] >= self._thresh:
                found[place] = next(new)  # new tracks are appended in the order in which their boxes come back
        return found

    def alive(self) -> set[Any]:
        """See `Tracker.alive`."""
        return set(self._tracker.tracks)
