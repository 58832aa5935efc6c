"""Which Dagster executor runs the stages, chosen by one setting, and what they wait for. Op tags are the same under each of them.

In-process keeps the models warm from one video to the next and is the default on one machine. Multiprocess gives every
stage a process of its own, at the price of loading the models again. Celery hands each stage to a warm worker of its kind.
"""

from __future__ import annotations

import dagster as dg

from reframer_pipeline.orchestration.dagster_internals import wait_asleep
from reframer_pipeline.settings import Settings
from reframer_pipeline.vision.device import may_have_gpu


def executor_for(settings: Settings) -> dg.ExecutorDefinition:
    """The executor that `settings.executor` names."""
    wait_asleep()
    if settings.executor == "multiprocess":
        return dg.multiprocess_executor  # as many steps at once as the pools' limits allow
    if settings.executor == "celery":
        from reframer_pipeline.orchestration.fleet.executor import celery_executor  # Celery is an extra

        return celery_executor(settings)
    return dg.in_process_executor


def waits_for_gpu(settings: Settings) -> bool:
    """Whether stages that want a GPU wait for a slot of its pool. In process on a machine that has none there is nothing to wait for:
    how many videos are computed at once is limited already. A worker of a fleet has its device alone, and computes one video or stage at
    a time; a pool would let one of them all compute.
    """
    return settings.executor == "multiprocess" or (settings.launcher == "default" and may_have_gpu(settings.device))
