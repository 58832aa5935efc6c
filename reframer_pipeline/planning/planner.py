"""What is to be done: the deployment's settings, each video's own, and the weights at hand, put to the planner.

What belongs here: making recipes from stored settings. What does not: comparing them (`planning.survey`), or doing anything (`run_videos`,
`schedules`). The command line and the schedule ask the same. Settings that cannot be followed, such as those of one video whose own
weights file was replaced, are said with its plan and keep nobody else waiting.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from reframer_pipeline.planning import result_settings
from reframer_pipeline.planning.orders import known_weights
from reframer_pipeline.planning.survey import VideoPlan, Wanted, survey
from reframer_pipeline.results.storage import Storage
from reframer_pipeline.settings import Settings
from reframer_pipeline.stages.order import recipes

UNAVAILABLE: Final = "not here"  # in place of a digest of weights that are not in the folder, or not to be used


@dataclass
class Planner:
    """Plans for videos as the deployment wants them.

    Attributes:
        storage: Database and store.
        settings: The process's, with the deployment's result settings.
        given: Result settings that stand above the deployment's and the videos' own: what if.
    """

    storage: Storage
    settings: Settings
    given: Mapping[str, Any] = field(default_factory=dict)
    _known: dict[Settings, tuple[Wanted, str | None]] = field(default_factory=dict)

    @classmethod
    def of(cls, storage: Storage, settings: Settings, given: Mapping[str, Any] | None = None) -> Planner:
        """For the deployment's settings as they are stored now."""
        return cls(storage, result_settings.load(storage.db, settings), given or {})

    def plans(self, video_ids: Iterable[str] | None = None) -> Iterator[VideoPlan]:
        """How videos stand, the oldest first; all of them without ids."""
        return survey(self.storage.db, video_ids, self.recipes)

    def recipes(self, overrides: Mapping[str, Any]) -> tuple[Wanted, str | None]:
        """The recipes wanted for a video with these overrides, and why they cannot be followed now, for people; None if they can."""
        try:
            settings = result_settings.apply(result_settings.apply(self.settings, overrides), self.given)
            if settings not in self._known:
                self._known[settings] = _recipes(settings)
            return self._known[settings]
        except (TypeError, ValueError) as error:  # a stored value that this version's settings would not take
            return _recipes(self.settings)[0], f"the video's own settings {dict(overrides)} cannot be used: {error}"


def _recipes(settings: Settings) -> tuple[Wanted, str | None]:
    from reframer_pipeline.vision import weights

    known, trouble = known_weights(settings)
    return recipes(settings, known or dict.fromkeys(weights.ROLES, UNAVAILABLE)), f"[{trouble.code}] {trouble}" if trouble else None
