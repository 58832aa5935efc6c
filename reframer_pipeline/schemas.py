"""The hand-overs: one Arrow schema per stage, and nothing else.

What belongs here: column names, types, units, coordinate conventions, and the words that columns may hold. What does not: code that
fills or reads them.
`sql/` holds the same facts as DDL; a test keeps the two together. Storage prepends `video_id` and `result_id` to every
table, so stages do not carry them.

Conventions: frame numbers count source frames from zero in presentation order; `timestamp` is seconds since the first
frame; ranges are half-open. Boxes are pixels of the displayed frame (rotated upright, square pixels), origin top left,
`x1, y1` inside and `x2, y2` outside (half-open).
"""

from __future__ import annotations

from typing import Final, Literal, get_args

import pyarrow as pa

ObjectClass = Literal["person", "product"]
SceneType = Literal["person", "product", "both", "none"]
Difficulty = Literal["easy", "medium", "hard"]
CLASSES: Final[tuple[ObjectClass, ...]] = get_args(ObjectClass)
SCENE_TYPES: Final = get_args(SceneType)
DIFFICULTIES: Final = get_args(Difficulty)

IDENTITY: Final = pa.schema([pa.field("video_id", pa.string(), nullable=False), pa.field("result_id", pa.string(), nullable=False)])


def _schema(*fields: tuple[str, pa.DataType] | tuple[str, pa.DataType, bool]) -> pa.Schema:
    return pa.schema([pa.field(f[0], f[1], nullable=len(f) > 2 and bool(f[2])) for f in fields])


METADATA: Final = _schema(
    ("container", pa.string()),  # the demuxer's name, such as mov,mp4,m4a,3gp,3g2,mj2
    ("codec", pa.string()),
    ("pix_fmt", pa.string(), True),
    ("width", pa.int32()),  # displayed: after rotation and sample aspect ratio
    ("height", pa.int32()),
    ("coded_width", pa.int32()),  # as stored
    ("coded_height", pa.int32()),
    ("rotation", pa.int32()),  # degrees counter-clockwise that the display turns the stored picture: 0, 90, 180, 270
    ("sar_num", pa.int32()),  # sample aspect ratio
    ("sar_den", pa.int32()),
    ("fps_num", pa.int64()),  # average frame rate as an exact fraction
    ("fps_den", pa.int64()),
    ("variable_frame_rate", pa.bool_()),
    ("duration_seconds", pa.float64()),  # of the picture: last frame's end minus first frame's start
    ("frame_count", pa.int64()),  # counted, never the header's claim
    ("time_base_num", pa.int64()),
    ("time_base_den", pa.int64()),
    ("start_pts", pa.int64(), True),
    ("size_bytes", pa.int64()),
    ("sha256", pa.string()),
    ("stream_index", pa.int32()),
    ("has_audio", pa.bool_()),
    ("mirrored", pa.bool_()),  # whether the display mirrors the picture left to right, after turning it
    ("tone_mapped_from", pa.string(), True),  # transfer function of HDR that is mapped to SDR for the frames: smpte2084, arib-std-b67
    ("notes", pa.list_(pa.string())),  # what is odd about the file and refuses nothing, a sentence each
)

# One row per source frame, sampled or not.
FRAMES: Final = _schema(
    ("frame_number", pa.int32()),
    ("pts", pa.int64()),  # as in the container, in units of the stream's time base
    ("timestamp", pa.float64()),  # seconds since the first frame
    ("content_score", pa.float32()),  # change against the frame before, PySceneDetect's scale 0..255; 0 for the first
    ("sampled", pa.bool_()),  # whether the frame store holds the picture
)

DETECTIONS: Final = _schema(
    ("detection_id", pa.string()),  # UUIDv5(result_id, "frame:ordinal")
    ("frame_number", pa.int32()),
    ("timestamp", pa.float64()),
    ("ordinal", pa.int32()),  # place within the frame, by falling confidence
    ("object_class", pa.string()),  # one of CLASSES
    ("label", pa.string()),  # the model's own label
    ("confidence", pa.float32()),
    ("x1", pa.float32()),
    ("y1", pa.float32()),
    ("x2", pa.float32()),
    ("y2", pa.float32()),
    ("candidate", pa.bool_()),  # below conf, kept only for the tracker's second pass: has no mask
)

MASKS: Final = _schema(
    ("mask_id", pa.string()),  # UUIDv5(result_id, detection_id)
    ("detection_id", pa.string()),
    ("frame_number", pa.int32()),
    ("timestamp", pa.float64()),
    ("height", pa.int32()),
    ("width", pa.int32()),
    ("rle", pa.string()),  # COCO's compressed counts; Postgres holds the plain run lengths
    ("area", pa.int64()),  # pixels set
    ("predicted_iou", pa.float32()),  # the segmenter's own estimate
    ("stability", pa.float32()),  # IoU of the mask cut at logits +1 and -1
)

TRAJECTORY_FRAME: Final = pa.struct(
    [
        pa.field("frame", pa.int32(), nullable=False),
        pa.field("timestamp", pa.float64(), nullable=False),
        pa.field("x1", pa.float32(), nullable=False),
        pa.field("y1", pa.float32(), nullable=False),
        pa.field("x2", pa.float32(), nullable=False),
        pa.field("y2", pa.float32(), nullable=False),
        pa.field("confidence", pa.float32(), nullable=False),
        pa.field("detection_id", pa.string(), nullable=False),
        pa.field("seconds", pa.float64(), nullable=False),  # what the sighting stands for: until the next sampled frame, within its shot
    ]
)

# One row per track, in order of first sight.
TRAJECTORIES: Final = _schema(
    ("track_id", pa.string()),  # obj_001, unique within the result
    ("object_class", pa.string()),
    ("label", pa.string()),  # the label seen most often
    ("start_frame", pa.int32()),
    ("end_frame", pa.int32()),  # last observed frame + 1
    ("avg_confidence", pa.float64()),
    ("frames", pa.list_(pa.field("item", TRAJECTORY_FRAME, nullable=False))),
)

SCENES: Final = _schema(
    ("scene_number", pa.int32()),  # from 1
    ("start_frame", pa.int32()),  # exact source frames
    ("end_frame", pa.int32()),
    ("start_seconds", pa.float64()),
    ("end_seconds", pa.float64()),
    ("describer", pa.string()),  # local | gemini
    ("analysis", pa.string()),  # JSON, the reference's scene object with tracks and figures
)


def stored(schema: pa.Schema) -> pa.Schema:
    """A stage's schema as it lies in Parquet: `video_id`, `result_id`, then its own columns."""
    return pa.schema([*IDENTITY, *schema])
