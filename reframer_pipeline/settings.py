"""All settings, in one frozen value that is read once and passed down.

What belongs here: names, defaults, ranges. What does not: which stages a setting changes (`stages`), which of them are the deployment's
(`planning.result_settings`), reading the environment anywhere else (no `os.environ` in the core), secrets in clear (`SecretStr` only).
Defaults are the reference's; each field's description is what `--help` and docs/settings.md print.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated, Literal

from pydantic import AfterValidator, Field, SecretStr, model_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

Precision = Literal["float32", "bfloat16"]

# COCO labels that count as products. Everything the detector sees and this map does not name is dropped.
COCO_PRODUCTS = (
    "backpack", "umbrella", "handbag", "tie", "suitcase", "frisbee", "sports ball", "baseball bat", "baseball glove",
    "skateboard", "surfboard", "tennis racket", "bottle", "wine glass", "cup", "fork", "knife", "spoon", "bowl", "laptop",
    "mouse", "remote", "keyboard", "cell phone", "microwave", "toaster", "book", "clock", "vase", "scissors", "teddy bear",
    "hair drier", "toothbrush",
)  # fmt: skip
DEMO_PRODUCTS = ("box", "phone")
DEMO_IMGSZ = 320  # what the demo detector was trained at, and always works at
EXACT: Precision = "float32"  # what the models were trained in
SAM2_IMGSZ = {"official": 1024, "demo": 640}  # what the segmenters were trained at

_LISTS = ("person_labels", "product_labels", "api_hosts", "api_cors_origins", "api_proxies")  # comma-separated

# Upper limits: far above any use, far below what overflows (32-bit counts of pixels and milliseconds, dates, the wait of a thread).
DAYS = 36_500  # a hundred years: further back than that no date of this world's videos lies
A_DAY_S = 86_400.0
PIXELS = 2**31 - 1  # what ffmpeg counts pixels with
Fraction01 = Annotated[float, Field(ge=0.0, le=1.0)]


def _demand_origin(text: str) -> str:
    """As browsers name it (RFC 6454, section 6.2): in another spelling it would never be the same."""
    if not re.fullmatch(r"\*|[a-z][a-z0-9+.-]*://[^/\s]+", text):
        raise ValueError(f"{text} is no origin: that is scheme, host and port, such as https://example.org, without a slash at the end.")
    return text


Origin = Annotated[str, AfterValidator(_demand_origin)]


class Settings(BaseSettings):
    """Frozen settings of one deployment, from the environment (`REFRAMER_…`) or keyword arguments."""

    model_config = SettingsConfigDict(env_prefix="REFRAMER_", frozen=True, extra="ignore", populate_by_name=True, allow_inf_nan=False)

    # --- where things live
    home: Path = Field(Path(".reframer"), description="Data folder: embedded database, objects, uploads, weights.")
    database_url: SecretStr | None = Field(None, description="Postgres URL; unset: the embedded server in the data folder.")
    database_schema: str = Field(
        "public",
        pattern=r"^[A-Za-z_][A-Za-z0-9_]{0,62}$",
        description="Schema of the pipeline's tables in database_url; it must exist. The embedded database has no other than public.",
    )
    dagster_database_url: SecretStr | None = Field(
        None, description="Dagster's own database (direct URL); unset: a second database on the embedded server."
    )
    store_url: str | None = Field(None, description="Object store, any fsspec URL; unset: HOME/objects.")
    uploads_url: str | None = Field(None, description="Watched bucket, any fsspec URL; unset: HOME/uploads.")
    weights_dir: Path | None = Field(None, description="Folder with weights files; unset: HOME/weights.")
    weights_url: str | None = Field(
        None, description="Where official weights are fetched from instead: a mirror's URL before the file name."
    )

    # --- models
    models: Literal["official", "demo"] = Field("official", description="The official models, or the small ones that come along.")
    yolo_model: str = Field("yolov8m.pt", description="YOLO model: yolov8n.pt, or s, m, l, x in place of n, or the path of a file.")
    sam2_model: str = Field(
        "sam2_hiera_base_plus", description="SAM2 model: sam2_hiera_ and tiny, small, base_plus or large; likewise sam2.1_hiera_."
    )
    device: str = Field("auto", description="auto, cpu, cuda, cuda:N or mps.")
    engine: Literal["auto", "torch", "openvino"] = Field(
        "auto", description="What computes the models on a CPU; auto: OpenVINO if it is installed, else torch. Results are the same."
    )
    precision: Precision = Field(
        EXACT, description="What OpenVINO computes in; bfloat16 is faster and less exact, on processors that have it."
    )
    batch: int = Field(4, ge=1, le=256, description="Frames that are computed at once; halved when memory runs out.")

    # --- frames and detections
    vid_stride: int = Field(5, ge=1, le=1000, description="Every N-th source frame is looked at; of slow footage, one every N/5 seconds.")
    imgsz: int = Field(
        640,
        ge=64,
        le=4096,
        multiple_of=32,
        description="Longer side of the picture that the detector sees, pixels; the demo model has its own.",
    )
    conf: Fraction01 = Field(0.5, description="Detections below this confidence are dropped.")
    iou: Fraction01 = Field(0.45, description="Of two boxes that overlap more than this (IoU), the weaker is dropped.")
    min_size: int = Field(64, ge=0, le=65_536, description="Detections whose longer side has fewer pixels are dropped; 0 keeps all.")
    person_labels: Annotated[tuple[str, ...], NoDecode] = Field(("person",), description="Model labels that mean person, comma-separated.")
    product_labels: Annotated[tuple[str, ...], NoDecode] = Field(
        COCO_PRODUCTS + DEMO_PRODUCTS, description="Model labels that mean product, comma-separated."
    )

    # --- masks
    mask_stride: int = Field(1, ge=1, le=1000, description="Every N-th of the frames with detections gets masks; 1: all do.")
    mask_conf: Fraction01 = Field(0.0, description="Detections below this confidence get no mask; 0: all do.")
    sam2_imgsz: int | None = Field(
        None,
        ge=256,
        le=2048,
        multiple_of=64,
        description="Side of the square picture that SAM2 sees, pixels; unset: what its weights were trained at (1024; demo: 640).",
    )

    # --- tracks
    track_thresh: Fraction01 = Field(0.5, description="A detection of this confidence starts a track, and is matched in the first pass.")
    track_low_conf: float | None = Field(
        None, ge=0.0, le=1.0, description="Weaker detections, down to this confidence, are kept for ByteTrack's second pass; unset: conf."
    )
    track_buffer: int = Field(
        30,
        ge=0,
        le=10_000,
        description="How long a lost track is kept, in thirtieths of a second: 30 is one second, whatever the video's rate.",
    )
    match_thresh: Fraction01 = Field(0.8, description="What a match may cost. The cost is 1 - IoU: 0.8 asks for an IoU of at least 0.2.")
    min_sightings: int = Field(1, ge=1, le=1000, description="Tracks that were sighted in fewer sampled frames are left out; 1 keeps all.")

    # --- scenes
    describer: Literal["auto", "gemini", "local"] = Field(
        "auto", description="Who describes scenes: gemini, or local (from measured figures alone); auto: gemini if there is a key."
    )
    shot_threshold: float = Field(27.0, gt=0, le=255, description="Content score over which a cut is seen (PySceneDetect's scale).")
    min_shot_s: float = Field(0.4, ge=0, le=60, description="A cut that follows another within this many seconds is ignored.")

    # --- Gemini
    gemini_api_key: SecretStr | None = Field(None, validation_alias="GEMINI_API_KEY", description="Key of the Gemini API.")
    gemini_model: str = Field("gemini-3.8-flash", min_length=1, description="Gemini model. Models retire: see Google's list.")
    gemini_url: str | None = Field(
        None, validation_alias="GOOGLE_GEMINI_BASE_URL", description="Another server that speaks the Gemini API; unset: Google's."
    )
    gemini_media: Literal["video", "keyframes"] = Field("video", description="What is sent: the whole video, or keyframes of it only.")
    gemini_keyframes: int = Field(16, ge=1, le=100, description="Most keyframes sent of a video.")
    gemini_inline_mb: int = Field(
        14, ge=0, le=14, description="Videos up to this many millions of bytes go inside the request, without upload; it may have 20 MB."
    )
    gemini_snap_s: float = Field(1.5, ge=0, le=60, description="Times that Gemini gives are moved to a cut at most this many seconds away.")
    gemini_requests_per_minute: int = Field(60, ge=1, le=100_000, description="Requests a minute, all processes together.")
    gemini_attempts: int = Field(4, ge=1, le=20, description="Tries of one question after passing failures.")
    gemini_timeout_s: float = Field(
        300.0, gt=0, le=A_DAY_S, description="Longest single request, seconds. What is given up may still be charged."
    )
    gemini_deadline_s: float = Field(
        900.0, gt=0, le=A_DAY_S, description="Longest a question may take, upload, pauses and tries together, seconds."
    )
    gemini_on_failure: Literal["fallback", "fail"] = Field(
        "fallback", description="When Gemini cannot answer: describe locally and ask again later, or fail the video."
    )
    gemini_input_price: float = Field(
        0.75, ge=0, le=1_000_000, description="US dollars per million input tokens, for the cost that is shown."
    )
    gemini_output_price: float = Field(3.75, ge=0, le=1_000_000, description="US dollars per million output tokens, thoughts included.")

    # --- retention
    archive_after_days: int | None = Field(
        None, ge=1, le=DAYS, description="Days after which a video's rows leave Postgres; Parquet keeps them. Unset: never."
    )
    evict_frames_after_days: int | None = Field(
        None,
        ge=1,
        le=DAYS,
        description="Days after which a video's frame store is deleted, and what nobody took since: copies for browsers, mattes, "
        "reframed videos. Unset: never.",
    )
    keep_superseded_days: int = Field(7, ge=1, le=DAYS, description="Days that a result is kept after another took its place.")
    dagster_runs_days: int = Field(30, ge=0, le=DAYS, description="Days that Dagster keeps finished runs and their logs; 0: for ever.")
    database_limit_mb: int | None = Field(
        None,
        ge=1,
        le=1_000_000_000,
        description="Size limit of the database, in millions of bytes, for what is shown (Neon's free plan: 512).",
    )

    # --- watching the bucket
    upload_settle_s: float = Field(5.0, ge=0, le=A_DAY_S, description="Seconds for which a file in the bucket must not have changed.")
    upload_requests: int = Field(
        50, ge=1, le=1000, description="Uploads requested in a tick of the sensor, and under way at a time; likewise videos."
    )

    # --- the HTTP API
    api_host: str = Field("127.0.0.1", min_length=1, description="Address that the API listens on; 0.0.0.0: all of the machine's.")
    api_port: int = Field(8000, ge=1, le=65_535, description="Port of the API.")
    dagster_url: str | None = Field(
        None,
        pattern="^https?://",
        description="Dagster's web server, asked for a job's run at once; unset or away: the upload sensor asks, within a minute.",
    )
    webhook_private: bool = Field(False, description="Whether webhooks may lead to private addresses, such as those of this machine.")
    api_hosts: Annotated[tuple[str, ...], NoDecode] = Field(
        (), description="Names that requests may give as Host, comma-separated; unset: on a loopback address its own, otherwise any."
    )
    api_cors_origins: Annotated[tuple[Origin, ...], NoDecode] = Field(
        (), description="Origins whose pages may use the API with a key (CORS), such as https://example.org, comma-separated; *: all."
    )
    api_requests_per_minute: int = Field(600, ge=1, le=1_000_000, description="Requests a minute that a key may make.")
    api_open_requests: int = Field(
        8,
        ge=1,
        le=10_000,
        description="Long requests of a key that may be open at a time: waiting, events, drawings, documents, exports.",
    )
    api_upload_mb_per_day: int = Field(
        50_000, ge=1, le=1_000_000_000, description="Millions of bytes that a key may upload in a day (UTC)."
    )
    api_jobs_at_once: int = Field(
        100, ge=1, le=1_000_000, description="Jobs, mattes and reframed videos of a key that may wait or be made at a time."
    )
    api_uploads_at_once: int = Field(
        20, ge=1, le=1_000_000, description="Uploads of a key that may come in at a time; and resumable ones begun."
    )
    api_wrong_keys_per_minute: int = Field(
        30,
        ge=1,
        le=1_000_000,
        description="Wrong keys a minute that one address may send; an IPv6 address counts by its /64.",
    )
    api_proxies: Annotated[tuple[str, ...], NoDecode] = Field(
        (), description="Addresses of proxies whose X-Forwarded-For and X-Forwarded-Proto are believed, comma-separated; unset: nobody's."
    )
    api_idle_s: float = Field(
        30.0,
        gt=0,
        le=A_DAY_S,
        description="Seconds after which a request is given up of which nothing more arrives, and an answer that nobody takes.",
    )
    api_cache_mb: int = Field(
        2_000, ge=1, le=1_000_000_000, description="Millions of bytes of drawn videos and sheets that the API keeps in the scratch folder."
    )
    log_format: Literal["auto", "json", "text"] = Field(
        "auto", description="How the API logs: json, or text for people; auto: text on a terminal."
    )

    # --- limits on uploads
    max_upload_mb: int = Field(500, ge=1, le=1_000_000, description="Largest upload, in millions of bytes.")
    min_side: int = Field(16, ge=1, le=65_536, description="Smallest width or height, pixels.")
    max_pixels: int = Field(8192 * 4320, ge=1, le=PIXELS, description="Most pixels a frame.")
    max_duration_s: float = Field(4 * 3600.0, gt=0, le=30 * A_DAY_S, description="Longest video, seconds.")
    max_frames: int = Field(500_000, ge=1, le=10_000_000, description="Most source frames.")
    max_streams: int = Field(32, ge=1, le=10_000, description="Most streams in a container.")
    max_store_mb: int = Field(20_000, ge=1, le=10_000_000, description="Largest frame store of one video, in millions of bytes.")

    # --- running
    executor: Literal["in_process", "multiprocess", "celery"] = Field(
        "in_process", description="Dagster executor: one warm process, a process per stage, or warm workers per kind of stage (celery)."
    )
    launcher: Literal["default", "celery"] = Field(
        "default", description="Who computes runs: processes of this machine, or warm workers on any machine (Celery)."
    )
    workers: int = Field(
        0, ge=0, le=64, description="Warm workers that `reframer dev` starts on this machine; 0: a process for each run instead."
    )
    broker_url: SecretStr | None = Field(
        None, description="Broker that hands runs to workers: amqp://user:password@host:5672//, or amqps://."
    )
    max_concurrent_runs: int = Field(2, ge=1, le=1000, description="Videos computed at once in a deployment; uploads have a place apart.")
    gpu_pool_limit: int = Field(1, ge=1, le=1000, description="Stages on the GPU at once.")
    stall_s: float = Field(600.0, gt=0, le=A_DAY_S, description="Seconds without progress that end a stage.")
    backfill_per_tick: int = Field(
        20, ge=0, le=10_000, description="Most runs that the backfill keeps waiting or running; 0 switches it off."
    )
    max_attempts: int = Field(
        5, ge=1, le=1000, description="Failed runs of a video, that it may be the cause of, after which it is left alone."
    )
    quarantine_after: int = Field(3, ge=1, le=1000, description="Runs of a video that may die with their process, one after the other.")
    memory_mb: int = Field(8096, ge=256, le=16_000_000, description="Memory of a media process, in millions of bytes.")

    @model_validator(mode="before")
    @classmethod
    def _clean(cls, values: dict[str, object]) -> dict[str, object]:
        """Empty environment values count as unset; a key loses the blanks around it; label lists may be comma-separated."""
        cleaned: dict[str, object] = {}
        for key, value in values.items():
            if key in ("gemini_api_key", "GEMINI_API_KEY") and isinstance(value, str):
                value = value.strip()
            if value == "":
                continue
            if key in _LISTS and isinstance(value, str):
                value = tuple(part.strip() for part in value.split(",") if part.strip())
            cleaned[key] = value
        return cleaned

    @model_validator(mode="after")
    def _gemini_has_a_key(self) -> Settings:
        if self.describer == "gemini" and self.gemini_api_key is None:
            raise ValueError("REFRAMER_DESCRIBER=gemini needs GEMINI_API_KEY.")
        return self

    @model_validator(mode="after")
    def _stages_go_where_runs_go(self) -> Settings:
        if self.executor == "celery" and self.launcher != "celery":
            raise ValueError("REFRAMER_EXECUTOR=celery needs REFRAMER_LAUNCHER=celery.")
        return self

    # --- derived, so that nobody derives them twice
    @property
    def home_dir(self) -> Path:
        """The data folder, absolute."""
        return self.home.expanduser().resolve()

    @property
    def objects_url(self) -> str:
        """Where objects go: any fsspec URL, or a folder."""
        return self.store_url or str(self.home_dir / "objects")

    @property
    def bucket_url(self) -> str:
        """What is watched for uploads: any fsspec URL, or a folder."""
        return self.uploads_url or str(self.home_dir / "uploads")

    @property
    def weights_folder(self) -> Path:
        """Where weights files are looked for and downloaded to."""
        return (self.weights_dir or self.home_dir / "weights").expanduser().resolve()

    @property
    def scratch_dir(self) -> Path:
        """Private temporary files of running stages."""
        return self.home_dir / "scratch"

    @property
    def detector_floor(self) -> float:
        """Lowest confidence kept by the detector: `conf`, or lower for the tracker's second pass."""
        return self.conf if self.track_low_conf is None else min(self.conf, self.track_low_conf)

    @property
    def effective_imgsz(self) -> int:
        """The size the detector really works at: `imgsz`, but the demo model has its own."""
        return DEMO_IMGSZ if self.models == "demo" else self.imgsz

    @property
    def effective_sam2_imgsz(self) -> int:
        """The size the segmenter really works at: `sam2_imgsz`, or what it was trained at."""
        return self.sam2_imgsz or SAM2_IMGSZ[self.models]

    @property
    def resolved_describer(self) -> Literal["gemini", "local"]:
        """The describer that will really be asked: with `auto`, Gemini if there is a key."""
        if self.describer == "auto":
            return "gemini" if self.gemini_api_key is not None else "local"
        return self.describer

    @classmethod
    def variable(cls, name: str) -> str:
        """The environment variable of a setting; Gemini's own ones have the names that Google's tools read too."""
        return str(cls.model_fields[name].validation_alias or f"REFRAMER_{name.upper()}")
