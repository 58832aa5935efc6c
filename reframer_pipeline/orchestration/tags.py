"""The names and labels that Dagster, executors, pools and the UI understand. Leaf module: constants only, no imports of ours."""

from __future__ import annotations

from typing import Final

# The pool limits how many stages use a device at once; its default limit lives in dagster.yaml (`concurrency.pools`).
GPU_POOL: Final = "gpu"

# The op tag says the same to executors that place work: a Celery queue, a Kubernetes node selector.
QUEUE_TAG: Final = "dagster-celery/queue"
GPU_TAGS: Final = {"reframer/device": "gpu", QUEUE_TAG: "gpu"}
CPU_TAGS: Final = {"reframer/device": "cpu", QUEUE_TAG: "cpu"}

PARTITIONS: Final = "videos"  # the partition set; a key is a video's id
PROCESS_VIDEO: Final = "process_video"  # the job of all stages
UPLOAD_SENSOR: Final = "upload_sensor"
# Assets outside the six, what each makes, and the job of each: they compute no video.
MATTES: Final = "mattes"
REFRAMES: Final = "reframes"
ASSET_OF: Final = {"matte": MATTES, "reframe": REFRAMES}
JOB_OF: Final = {"matte": "make_matte", "reframe": "make_reframe"}

# Run tags
PARTITION_TAG: Final = "dagster/partition"  # the video; dagster.yaml limits the number of runs that carry it
RUN_KEY_TAG: Final = "dagster/run_key"
SENSOR_TAG: Final = "dagster/sensor_name"
PRIORITY_TAG: Final = "dagster/priority"  # higher goes first in the queue
VIDEO_PRIORITY: Final = "5"
BACKFILL_PRIORITY: Final = "-5"  # uploads come first
BACKFILL_TAG: Final = "reframer/backfill"  # the stages that the backfill requested
LEASE_TAG: Final = "reframer/lease"  # token of the video lease that the caller of the run holds
FILENAME_TAG: Final = "reframer/filename"
# Of the deployment whose daemon or UI launched the run: another machine cannot ask its processes. The UI hides what begins like this.
HOME_TAG: Final = ".dagster/reframer/home"
REQUEST_TAG: Final = "reframer/request"  # id of the HTTP request that asked for the run: in the API's log it has the same
WAITS_TAG: Final = "reframer/waits"  # for what a run waits that was launched
FAILURE_TAG: Final = "reframer/failure"  # code of what the run met; an upload may be refused by a run that ended well
