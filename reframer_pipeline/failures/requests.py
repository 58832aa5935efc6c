"""Failures of asking: who asks, whether they may, how often, and for what."""

from __future__ import annotations

from typing import Self

from reframer_pipeline.failures.base import CallerError, RetryableFailure


class Limited:
    """A limit stands in the way, for a time.

    Attributes:
        retry_after_s: Seconds after which it may not.
    """

    retry_after_s = 60.0

    def after(self, seconds: float) -> Self:
        """Say when."""
        self.retry_after_s = seconds
        return self


class KeyMissing(CallerError):
    """The request names no key, or none that is good: unknown, expired or revoked."""

    code = "key_missing"
    default_remedy = "Send a valid key in the header X-API-Key; `reframer keys add` makes one."


class NotAllowed(CallerError):
    """The key is good, but lacks the scope for this."""

    code = "not_allowed"
    default_remedy = "Use a key with that scope; `reframer keys list` shows what each has."


class CrossSite(CallerError):
    """A page of another site would have changed something in the name of a browser's session."""

    code = "cross_site"
    default_remedy = "Ask from a page of this server, or with a key in the header X-API-Key."


class RequestInvalid(CallerError):
    """The request has a parameter or a body that does not fit."""

    code = "request_invalid"
    default_remedy = "Correct what does not fit; /openapi.json describes every parameter."


class HostUnknown(CallerError):
    """The request names another host than those that this server answers for."""

    code = "host_unknown"
    default_remedy = "Ask under a name that REFRAMER_API_HOSTS lists, or add this one to it."


class NotHttp(CallerError):
    """What came is no HTTP/1.1, or its headers are too large."""

    code = "not_http"
    default_remedy = "Send HTTP/1.1, with headers of 32 kB at most."


class ServerFull(Limited, RetryableFailure):
    """As many requests are at work as the server takes at a time."""

    code = "server_full"
    blames_video = False
    default_remedy = "Wait as long as the header Retry-After says."


class TooSlow(RetryableFailure):
    """Nothing more of the request's body arrived, or too little."""

    code = "too_slow"
    blames_video = False
    default_remedy = "Send it again; a resumable upload goes on from where it broke off."


class NothingThere(CallerError):
    """There is nothing under this address, or nothing that this person may see."""

    code = "nothing_there"
    default_remedy = "Check the address and the id; /openapi.json lists every address."


class ResultsGone(CallerError):
    """The set of results that was being read is kept no more: newer ones took its place some days ago."""

    code = "results_gone"
    default_remedy = "Begin again at the first page, which belongs to the newest results."


class BeingMade(Limited, RetryableFailure):
    """What was asked for is being drawn, and is not ready yet."""

    code = "being_made"
    blames_video = False
    default_remedy = "Ask again after as long as the header Retry-After says."


class DeliverableNotMade(CallerError):
    """The file of a matte or a reframed video was asked for, and is not there: not yet, or no longer."""

    code = "not_made"
    default_remedy = "Look at the deliverable; if it failed or was evicted, ask for it again."


class NothingToRun(CallerError):
    """All results of the video are there, made as they would be made now."""

    code = "nothing_to_run"
    default_remedy = "Nothing to do: change a setting first if something else is wanted."


class NobodyToRun(RetryableFailure):
    """Nothing is being computed: no `reframer dev` is running, or this server does not know it."""

    code = "nobody_to_run"
    blames_video = False
    default_remedy = (
        "Whoever runs the server starts `reframer dev`, or sets REFRAMER_DAGSTER_URL if it runs already. What waits begins by itself then."
    )


class MethodUnknown(CallerError):
    """This address does not know the method."""

    code = "method_unknown"
    default_remedy = "Use a method that the header Allow names."


class TooManyRequests(Limited, RetryableFailure):
    """More requests than the key may make in a minute, or more wrong keys than an address may send."""

    code = "too_many_requests"
    blames_video = False
    default_remedy = "Wait as long as the header Retry-After says."


class TooManyOpen(Limited, RetryableFailure):
    """More requests open at a time than the key may have: waiting, events, drawings, documents and exports; or uploads."""

    code = "too_many_open"
    blames_video = False
    default_remedy = "End one of them first, or wait as long as the header Retry-After says."


class QuotaUsedUp(Limited, RetryableFailure):
    """The key's quota is used up: bytes a day, jobs at once, or resumable uploads under way."""

    code = "quota_used_up"
    blames_video = False
    default_remedy = "Wait as long as the header Retry-After says."


class RangeBeyondEnd(CallerError):
    """The range of bytes begins behind the end of the file."""

    code = "range_beyond_end"
    default_remedy = "Ask for bytes before the size that the header Content-Range says."


class UnknownUser(CallerError):
    """No user with this address."""

    code = "unknown_user"
    default_remedy = "`reframer users list` shows the users; `reframer users add` adds one."


class UnknownKey(CallerError):
    """No key begins like this, or more than one."""

    code = "unknown_key"
    default_remedy = "`reframer keys list` shows the keys; say as much of one as is shown there."


class NobodyToServe(CallerError):
    """The API would be open to other machines, and nobody has a key."""

    code = "nobody_to_serve"
    default_remedy = "Make a user and a key first: `reframer users add you@example.org`, then `reframer keys add you@example.org`."
