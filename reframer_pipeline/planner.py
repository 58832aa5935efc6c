"""What is to be done: the deployment's settings, each video's own, and the weights at hand, put to the planner.

What belongs here: making recipes from stored settings. What does not: comparing them (`storage.planning`), or doing anything (`run_videos`,
`schedules`). The command line and the schedule ask the same.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from reframer_pipeline import failures, versions
from reframer_pipeline.settings import Settings
from reframer_pipeline.storage import Storage, deployment
from reframer_pipeline.storage.planning import VideoPlan, Wanted, survey

UNAVAILABLE: Final = "not here"  # in place of a digest of weights that are not in the folder


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
    _wanted: dict[Settings, Wanted] = field(default_factory=dict)

    @classmethod
    def of(cls, storage: Storage, settings: Settings, given: Mapping[str, Any] | None = None) -> Planner:
        """For the deployment's settings as they are stored now."""
        return cls(storage, deployment.load(storage.db, settings), given or {})

    def wanted(self, overrides: Mapping[str, Any]) -> Wanted:
        """The recipes wanted for a video with these overrides."""
        settings = deployment.apply(deployment.apply(self.settings, overrides), self.given)
        if settings not in self._wanted:
            self._wanted[settings] = versions.recipes(settings, _weights(settings))
        return self._wanted[settings]

    def plans(self, video_ids: Iterable[str] | None = None) -> Iterator[VideoPlan]:
        """How videos stand, the oldest first; all of them without ids."""
        return survey(self.storage.db, video_ids, self.wanted)


def computable(plan: VideoPlan) -> bool:
    """Whether the stages to compute have their weights."""
    return all(plan.wanted[stage].weights != UNAVAILABLE for stage in plan.to_compute)


def _weights(settings: Settings) -> dict[str, str]:
    from reframer_pipeline.vision import weights

    try:
        return weights.digests(settings)
    except failures.WeightsMissing:
        return dict.fromkeys(weights.ROLES, UNAVAILABLE)
