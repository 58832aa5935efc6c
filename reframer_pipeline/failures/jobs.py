"""Failures of asking for a job, and of what was asked along with it."""

from __future__ import annotations

from reframer_pipeline.failures.base import CallerError, RetryableFailure


class IdempotencyKeyReused(CallerError):
    """The same Idempotency-Key came with another file, file name or webhook before."""

    code = "idempotency_key_reused"
    default_remedy = "Use a new key for a new job; with an old one send exactly what was sent before."


class WebhookRefused(CallerError):
    """A webhook's URL is none, or leads to a private address."""

    code = "webhook_refused"
    default_remedy = "Name an http or https URL of a public address; REFRAMER_WEBHOOK_PRIVATE=true allows private ones."


class UploadInUse(RetryableFailure):
    """Another connection is sending bytes of this upload."""

    code = "upload_in_use"
    blames_video = False
    default_remedy = "Ask for the offset again in a moment, and go on from there."


class OffsetConflict(CallerError):
    """Bytes were sent for another place of an upload than the one it has come to."""

    code = "offset_conflict"
    default_remedy = "Ask for the offset with HEAD, and go on from there."


class ProtocolUnknown(CallerError):
    """A resumable upload speaks no version of tus that this server does."""

    code = "protocol_unknown"
    default_remedy = "Use a client for tus 1.0, or send the file as a form to /jobs."
