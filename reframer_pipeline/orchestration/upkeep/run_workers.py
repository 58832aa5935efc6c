"""Run workers: whether the process of a run is there, as far as the code server knows that started it.

What belongs here: asking code servers. What does not: what is done about a run whose worker is gone (`reconcile`). Dagster's run monitoring
does not ask for the default run launcher: a server reports workers that end without a word, but if it goes with them, nobody does.
"""

from __future__ import annotations

import json
import time
from dataclasses import dataclass, field
from enum import Enum
from typing import Final

import dagster as dg
from dagster._core.storage.tags import GRPC_INFO_TAG
from dagster._grpc.client import DagsterGrpcClient
from dagster._grpc.types import CanCancelExecutionRequest, CanCancelExecutionResult
from dagster._serdes import deserialize_value

TRIES: Final = 3  # of reaching a server, a second apart: one that is just busy must not count as gone
TIMEOUT_S: Final = 5


class Worker(Enum):
    """What is known of a run's process."""

    ALIVE = "alive"
    GONE = "gone"  # with the server that started it
    UNKNOWN = "unknown"  # no server started it, or the server was started anew since, or reloaded


@dataclass
class Workers:
    """One look at the workers of many runs; each code server is tried at most once."""

    _reached: dict[str, bool] = field(default_factory=dict)

    def of(self, run: dg.DagsterRun) -> Worker:
        """Whether a run's process is there."""
        address = run.tags.get(GRPC_INFO_TAG)
        if address is None:
            return Worker.UNKNOWN
        info = json.loads(address)
        client = DagsterGrpcClient(info.get("port"), info.get("socket"), info.get("host") or "localhost", use_ssl=bool(info.get("use_ssl")))
        if address not in self._reached:
            self._reached[address] = _reaches(client)
        if not self._reached[address]:
            return Worker.GONE
        try:
            answer = client.can_cancel_execution(CanCancelExecutionRequest(run_id=run.run_id), timeout=TIMEOUT_S)
        except Exception:  # of whichever kind: it was there a moment ago
            return Worker.UNKNOWN
        return Worker.ALIVE if deserialize_value(answer, CanCancelExecutionResult).can_cancel else Worker.UNKNOWN


def _reaches(client: DagsterGrpcClient) -> bool:
    for number in range(TRIES):
        if number:
            time.sleep(1)
        try:
            client.ping("")
            return True
        except Exception:  # gRPC's, or Dagster's of its own
            continue
    return False
