"""Which Dagster executor runs the stages, chosen by one setting. Pools and op tags are the same under each of them.

In-process keeps the models warm from one video to the next and is the default on one machine. Multiprocess gives every
stage a process of its own, at the price of loading the models again.
"""

from __future__ import annotations

import dagster as dg

from reframer_pipeline.settings import Settings


def executor_for(settings: Settings) -> dg.ExecutorDefinition:
    """The executor that `settings.executor` names."""
    if settings.executor == "multiprocess":
        return dg.multiprocess_executor  # as many steps at once as the pools' limits allow
    return dg.in_process_executor
