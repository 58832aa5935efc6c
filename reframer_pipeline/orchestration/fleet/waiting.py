"""What waits in the broker, for those who look.

What belongs here: that question. What does not: who lives (`work.workers`).
"""

from __future__ import annotations

from typing import Final

from amqp.exceptions import NotFound
from kombu import Connection
from kombu.exceptions import OperationalError

from reframer_pipeline.failures import BrokerUnavailable
from reframer_pipeline.orchestration.fleet.app import RUNS

WITHIN_S: Final = 5.0


def waiting(broker_url: str, queue: str = RUNS) -> int:
    """How many runs, or stages, wait in the broker for a worker.

    Raises:
        BrokerUnavailable: It does not answer, or lets nobody in with this name and password.
    """
    with Connection(broker_url, connect_timeout=WITHIN_S) as connection:
        try:
            connection.ensure_connection(max_retries=1, interval_start=0.5)
            return int(connection.default_channel.queue_declare(queue, passive=True).message_count)
        except NotFound:  # nobody has ever handed one over
            return 0
        except (OperationalError, *connection.connection_errors, *connection.channel_errors) as error:  # a wrong password is of the last
            raise BrokerUnavailable(f"The broker does not answer: {type(error).__name__}.") from error
