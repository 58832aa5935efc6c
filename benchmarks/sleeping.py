"""A job that sleeps: a stand-in for a model, where what is measured is how runs are handed out and not what they compute."""

from __future__ import annotations

import time
from typing import Final

import dagster as dg

SLEEP_S: Final = 2.0


@dg.op
def sleep() -> None:
    """Nothing, for some seconds."""
    time.sleep(SLEEP_S)


@dg.job(executor_def=dg.in_process_executor)
def sleeping() -> None:
    """One step of it."""
    sleep()
