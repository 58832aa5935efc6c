"""The Celery application, which launcher and workers build alike: queues, and what becomes of a message when a process or the broker goes.

What belongs here: that. What does not: tasks (`tasks`), processes (`worker`). A message is acknowledged when its run has ended, so a broker
that loses sight of a worker delivers it again: at once where the process was killed, after two missed heartbeats where the machine is cut
off. RabbitMQ also does so after its `consumer_timeout`, half an hour, while the worker lives: whoever gets such a message finds that out,
and the worker begins anew after its run.
"""

from __future__ import annotations

from typing import Any, Final
from urllib.parse import urlsplit

from celery import Celery
from dagster_celery.make_app import make_app
from kombu.entity import Queue

from reframer_pipeline.failures import SettingsInvalid
from reframer_pipeline.orchestration.tags import CPU_TAGS, GPU_TAGS, QUEUE_TAG

RUNS: Final = "runs"
CPU: Final = CPU_TAGS[QUEUE_TAG]
GPU: Final = GPU_TAGS[QUEUE_TAG]
QUEUES: Final = (RUNS, GPU, CPU)  # runs and their stages never share one: a run would wait for stages behind it
TASK: Final = "reframer.run"
STAGE: Final = "reframer.stage"
HEARTBEAT_S: Final = 10
LOST_S: Final = 2  # that the end of a killed child's run is waited for. Celery's 10 s would keep its message from others for so long
CHILD_START_S: Final = 900  # downloads of weights included; Celery's 4 s would kill each child that loads a model, for ever
PUBLISH: Final = {"max_retries": 8, "interval_start": 0.5, "interval_step": 0.5, "interval_max": 5}  # some 20 s


def celery_app(broker_url: str | None) -> Celery:
    """The application for a broker. Opens no connection.

    Args:
        broker_url: `amqp://…`.

    Raises:
        SettingsInvalid: There is none, or it is of another kind. (Celery would take the one on this machine, whosever it is.)
    """
    if broker_url is None or urlsplit(broker_url).scheme not in ("amqp", "amqps", "pyamqp"):
        raise SettingsInvalid(
            f"REFRAMER_BROKER_URL is {'not set' if broker_url is None else 'not an address of RabbitMQ'}, so no worker gets a run.",
            "Set REFRAMER_BROKER_URL to a RabbitMQ that all machines reach: amqp://user:password@host:5672//. docs/scaling.md says how.",
        )
    app: Celery = make_app({"broker": broker_url, "backend": None})
    app.conf.update(
        task_queues=[_queue(name) for name in QUEUES], task_default_queue=RUNS, task_routes={},
        task_acks_late=True, task_reject_on_worker_lost=True, task_ignore_result=True, task_create_missing_queues=False,
        task_serializer="json", accept_content=["json"],
        task_publish_retry_policy=PUBLISH,
        broker_heartbeat=HEARTBEAT_S, broker_connection_timeout=10, broker_connection_retry_on_startup=True,
        broker_connection_max_retries=None, broker_transport_options={"confirm_publish": True},
        worker_prefetch_multiplier=1, worker_proc_alive_timeout=CHILD_START_S, worker_lost_wait=LOST_S,
        worker_cancel_long_running_tasks_on_connection_loss=False,  # they go on: nobody else may have them
        worker_enable_remote_control=False,  # whoever reaches the broker could end workers
        worker_hijack_root_logger=False, worker_redirect_stdouts=False,
    )  # fmt: skip
    return app


def _queue(name: str) -> Queue:
    arguments: dict[str, Any] = {"x-max-priority": 10}
    return Queue(name, routing_key=f"{name}.#", queue_arguments=arguments)
