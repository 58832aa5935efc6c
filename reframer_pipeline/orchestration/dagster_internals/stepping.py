"""Dagster's executor whose steps are computed elsewhere: its private names, and what it mends there.

What belongs here: those. What does not: where steps are computed (`fleet.executor`). It has a module of its own, because only a run whose
stages go to workers needs it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import dagster as dg
from dagster._core.execution.retries import RetryMode as RetryMode
from dagster._core.executor.step_delegating import CheckStepHealthResult as CheckStepHealthResult
from dagster._core.executor.step_delegating import StepDelegatingExecutor
from dagster._core.executor.step_delegating import StepHandler as StepHandler
from dagster._core.executor.step_delegating import StepHandlerContext as StepHandlerContext
from dagster._serdes import serialize_value


def step_of(context: StepHandlerContext) -> tuple[str, int]:
    """The step that a handler is asked about, and how often it was tried before."""
    args = context.execute_step_args
    (step,) = args.step_keys_to_execute or ()
    return step, args.known_state.get_retry_state().get_attempt_count(step) if args.known_state is not None else 0


def known_state_of(context: StepHandlerContext) -> str:
    """What is known of the plan so far, as a message carries it."""
    return serialize_value(context.execute_step_args.known_state)


SEEN_AGAIN: Final = 20


class OneByOne(StepDelegatingExecutor):
    """Computes one step after the other. A step that ended is over: what a worker says that was overtaken, and comes back, is not heard.

    Dagster's own breaks off the run at the second end of one step.
    """

    def __init__(self, handler: StepHandler, pause_s: float, health_s: int) -> None:
        """
        Args:
            handler: Hands steps over, and watches them.
            pause_s: Seconds between two looks at the run's log.
            health_s: Seconds between two questions how a step is.
        """
        super().__init__(handler, RetryMode.ENABLED, sleep_seconds=pause_s, check_step_health_interval_seconds=health_s, max_concurrent=1)
        self._ended: set[tuple[str, int]] = set()
        self._tries: dict[str, int] = {}

    def _get_pop_events_offset(self, instance: dg.DagsterInstance) -> int:
        """So many events are read once more: one that another process wrote may become visible after a later one of ours."""
        return SEEN_AGAIN

    def _pop_events(self, instance: dg.DagsterInstance, run_id: str, seen_storage_ids: set[int]) -> Sequence[dg.DagsterEvent]:
        return [event for event in super()._pop_events(instance, run_id, seen_storage_ids) if self._is_news(event)]

    def launched(self, step: str, tried: int) -> None:
        """From here on this step's next end counts."""
        self._tries[step] = tried

    def _is_news(self, event: Any) -> bool:
        if not (event.is_step_success or event.is_step_failure or event.is_step_up_for_retry):
            return True
        its = (event.step_key, self._tries.get(event.step_key, 0))
        if its in self._ended:
            return False
        self._ended.add(its)
        return True
