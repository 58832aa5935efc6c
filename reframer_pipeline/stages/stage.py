"""What a stage is: one value, from which everything that differs between stages follows.

What belongs here: the value, what a stage is given to work with, and the pieces of its table for people. What does not: any one stage (the
modules beside), running it (`orchestration`), keeping what it makes (`results`).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, ExitStack
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Final, Literal, TypeVar

import pyarrow as pa

from reframer_pipeline.handover import Progress, StageInput, StageOutput
from reframer_pipeline.settings import Settings
from reframer_pipeline.stages.checks import Validator
from reframer_pipeline.versions import StageKey

if TYPE_CHECKING:
    from reframer_pipeline.database.postgres import Database
    from reframer_pipeline.stages.order import Order

T = TypeVar("T")
# Header, the first rows at least, and how many rows there are. A row whose first cell is empty belongs to the one above: it is not counted.
Cells = tuple[list[str], list[list[Any]], int]
Columns = dict[str, pa.Array]  # of a Postgres table
TABLE_ROWS: Final = 12  # that people are shown


@dataclass(frozen=True)
class Rows:
    """A stage's rows in Postgres.

    Attributes:
        table: The table.
        columns: Turns a batch of the stage's schema into the table's columns, `video_id` and `result_id` apart.
    """

    table: str
    columns: Callable[[pa.RecordBatch, StageKey], Columns]


@dataclass(frozen=True)
class Stage:
    """A stage of the pipeline.

    Attributes:
        name: Of the stage, its Dagster asset and its results.
        says: What it makes, in a sentence for people.
        inputs: The stages whose results it reads.
        code_version: Raised by hand when its code changes its result; the golden-output test says when that was forgotten.
        settings: Names of the settings that change its result. Batch, device, limits and timeouts do not.
        schema: Columns of its rows.
        compute: Makes the result; its inputs come by name.
        validator: Judges the result.
        cells: A few rows that say what a result holds, for people.
        kinds: What Dagster's UI shows beside the name.
        weights: Whose weights it loads; it then wants a GPU.
        rows: Where its rows lie in Postgres; None: in Parquet alone, or in `videos`.
        json_columns: Columns that hold JSON documents; they are cleaned.
        more_settings: What its result is a function of beside `settings`, given the settings.
        looks_at_pictures: Whether it reads the frame store under these settings that changed its result, so that evicted frames are made
            again for it.
    """

    name: str
    says: str
    inputs: tuple[str, ...]
    code_version: int
    settings: tuple[str, ...]
    schema: pa.Schema
    compute: Callable[..., StageOutput]
    validator: type[Validator]
    cells: Callable[[StageInput], Cells]
    kinds: frozenset[str]
    weights: Literal["detector", "segmenter"] | None = None
    rows: Rows | None = None
    json_columns: tuple[str, ...] = ()
    more_settings: Callable[[Settings], dict[str, Any]] = lambda settings: {}
    looks_at_pictures: Callable[[Mapping[str, Any]], bool] = lambda chosen: False


@dataclass
class Work:
    """What a stage is given beside its inputs.

    Attributes:
        order: What is asked for; the result gets its key.
        stage: Name of the stage.
        db: For what a stage keeps beside its result, such as Gemini's answers.
        scratch: Folder for its files; deleted with the work.
        upload: Opens the video file on a local path.
        progress: To be told how far it is. Raises `KeyboardInterrupt` once the run is interrupted.
        alive: To be told that work goes on, of which nothing can be counted. Raises as `progress`.
        notes: Figures that are kept beside the result, in its manifest row.
        answer: What was paid for to make it, as `scenes.gemini.questions.told`; kept in its file, for a rebuild.
    """

    order: Order
    stage: str
    db: Database
    scratch: Path
    upload: Callable[[], AbstractContextManager[Path]]
    progress: Progress
    alive: Callable[[], None]
    notes: dict[str, Any] = field(default_factory=dict)
    answer: Mapping[str, Any] | None = None
    _open: ExitStack = field(default_factory=ExitStack)

    @property
    def settings(self) -> Settings:
        """What to compute with."""
        return self.order.settings

    @property
    def key(self) -> StageKey:
        """What the result is a function of."""
        return self.order.key(self.stage)

    @property
    def result_id(self) -> str:
        """The id that this result will have."""
        return self.key.result_id

    def hold(self, context: AbstractContextManager[T]) -> T:
        """Enter a context until the work is over: the rows are drawn after `compute` has returned."""
        return self._open.enter_context(context)

    def __enter__(self) -> Work:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        """Leave all contexts, which are told how it went."""
        self._open.__exit__(kind, error, trace)


def facts(values: Mapping[str, Any]) -> Cells:
    """Names and values, a line each."""
    return ["fact", "value"], [[name, value] for name, value in values.items()], len(values)


def first_rows(result: StageInput, columns: list[str] | None = None) -> list[dict[str, Any]]:
    """The first rows of a result; no more of it is read."""
    rows = (row for batch in result.batches(columns) for row in batch.slice(0, TABLE_ROWS).to_pylist())
    return list(islice(rows, TABLE_ROWS))
