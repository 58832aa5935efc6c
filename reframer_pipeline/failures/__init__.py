"""Every way the pipeline can refuse or fail, as types with a stable code.

What belongs in this package: the base types, one subclass per code, in a module by where the fault lies, and the list of codes, which
the docs print. What does not: catching, retrying, logging. A failure says in one sentence what happened (`message`) and in one
what to do (`remedy`). Messages never hold secrets; they may hold the user's own file name.

Each failure is written down once, in its module; whoever catches or raises one takes it from here.
"""

from __future__ import annotations

from reframer_pipeline.failures.base import *
from reframer_pipeline.failures.corrections import *
from reframer_pipeline.failures.gemini import *
from reframer_pipeline.failures.jobs import *
from reframer_pipeline.failures.models import *
from reframer_pipeline.failures.reframing import *
from reframer_pipeline.failures.requests import *
from reframer_pipeline.failures.running import *
from reframer_pipeline.failures.storage import *
from reframer_pipeline.failures.uploads import *


def all_failures() -> list[type[ReframerError]]:
    """Every concrete failure, by code, for the table in docs and its test."""

    def below(cls: type[ReframerError]) -> list[type[ReframerError]]:
        return [cls, *(leaf for sub in cls.__subclasses__() for leaf in below(sub))]

    bases = {ReframerError, PermanentFailure, CallerError, RetryableFailure, GeminiFailure}
    return sorted(set(below(ReframerError)) - bases, key=lambda cls: cls.code)
