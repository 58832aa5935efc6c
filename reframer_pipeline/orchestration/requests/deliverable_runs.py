"""What the run of a deliverable is called, whoever asks for it: the sensor, or the API at once. Leaf module: it does not import Dagster.

What belongs here: the name by which the one knows what the other has asked for, labels and config. What does not: asking.
"""

from __future__ import annotations

from typing import Any

from reframer_pipeline.orchestration.tags import ASSET_OF
from reframer_pipeline.results.deliverable import Deliverable


def run_key(one: Deliverable) -> str:
    """The name of the run that is wanted now. Asked for again, or after a run that ended without it, it is another one."""
    assert one.wanted_at is not None
    return f"deliverable:{one.id}:{int(one.wanted_at.timestamp() * 1000)}"


def run_config(one: Deliverable) -> dict[str, Any]:
    """What tells the asset which one to make."""
    return {"ops": {ASSET_OF[one.kind]: {"config": {"deliverable": one.id}}}}
