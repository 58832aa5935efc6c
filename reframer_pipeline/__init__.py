"""Video understanding as a pipeline: every person and product found, masked, tracked and placed in its scene.

Two layers, one direction. The core is plain functions on plain values and never imports Dagster: what all agree on (`settings`, `schemas`,
`versions`, `failures`, `handover`), the domain (`media`, `vision`, `scenes`, `uploads`, `demo`), and what keeps it (`database`, `store`,
`work`, `results`, `retention`, `planning`, `reading`). The shell is Dagster (`orchestration`, `definitions`, `running`) and holds no logic
of its own; `cli` and `python_api` are faces. Nothing imports upwards (`make lint` checks it). `docs/architecture.md` has the picture.

In Python: `run`, `videos` and `open` (docs/python.md).
"""

import os
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from reframer_pipeline.python_api import Video, open, run, videos

# Threads of a computation that wait for each other sleep. By default they spin, and beside a busy neighbour they then take the processor
# from the one that they wait for. Every process of ours begins here, and OpenMP reads it when torch is imported.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

__all__ = ["Video", "open", "run", "videos"]


def __getattr__(name: str) -> Any:
    """The Python API, loaded when it is first used."""
    if name in __all__:
        from reframer_pipeline import python_api

        return getattr(python_api, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
