"""The errors that Securetag raises on purpose, drawn.

::

    SecuretagError                 what happened, and `hint`: what to do next
    ├── SettingsError              a setting is missing, malformed or unsafe here
    ├── InputError                 bytes from outside are refused; nothing was kept
    │   ├── ArchiveError           an upload that may not be unpacked
    │   └── SourceError            an upstream file that can't be read as what it claims to be
    ├── NotFoundError              no such thing, or not yours
    ├── ConflictError              the state of the thing forbids it
    │   └── FencedError            a lease that somebody else holds now
    ├── GoneError                  what the request is about has been removed for good
    ├── AuthenticationError        no key, or a key that isn't known
    ├── PermissionDeniedError      a known key without the scope
    ├── VersionError               worker and api speak different versions of the queue's protocol
    ├── LimitError                 a size that is exceeded
    ├── QuotaError                 more calls, scans, bytes or tokens than the tenant may use
    ├── UnavailableError           a service that is away; try again
    │   ├── DatabaseUnavailableError
    │   └── ModelUnavailableError
    ├── ToolError                  a scanner that failed, timed out or ran out of memory
    ├── TriageError                a completion that isn't a valid triage answer
    ├── LicenceError               a license that the purpose forbids
    ├── ReleaseError               a release that is broken or can't be built
    ├── TrainingError              a run that failed
    └── GateError                  a model that may not be published

Every class carries the HTTP status that the api answers with, so that a
business error needs no second mapping there.
"""

from __future__ import annotations

from typing import ClassVar

#: Beginning of the `type` of every problem document; the `slug` of the error follows.
PROBLEM_TYPE = "urn:securetag:problem:"


class SecuretagError(Exception):
    """Something went wrong that a person can act on.

    `str(error)` says what happened; `hint` says what to do next.
    """

    #: HTTP status of the problem document.
    status: ClassVar[int] = 500
    #: Last segment of the problem's `type`; stable, so clients may match on it.
    slug: ClassVar[str] = "internal"

    def __init__(self, message: str, *, hint: str = "") -> None:
        super().__init__(message)
        self.hint = hint
        #: Seconds after which a repetition may succeed, where the service that refused has said so.
        self.retry_after_s: float | None = None

    def __reduce__(self) -> tuple[object, ...]:
        return (_rebuild, (type(self), str(self), self.hint))


def _rebuild(kind: type[SecuretagError], message: str, hint: str) -> SecuretagError:
    return kind(message, hint=hint)


class SettingsError(SecuretagError):
    """A setting is missing, malformed or unsafe in this environment."""

    slug = "settings"


class InputError(SecuretagError):
    """Bytes from outside are refused; nothing of them was kept."""

    status = 422
    slug = "invalid-input"


class ArchiveError(InputError):
    """An upload that may not be unpacked."""

    slug = "invalid-archive"


class SourceError(InputError):
    """An upstream file that can't be read as what it claims to be."""

    slug = "invalid-source"


class NotFoundError(SecuretagError):
    """No such thing, or not one that this key may see."""

    status = 404
    slug = "not-found"


class ConflictError(SecuretagError):
    """The state of the thing forbids it."""

    status = 409
    slug = "conflict"


class FencedError(ConflictError):
    """The lease is lost: another worker holds the task, or it has ended."""

    slug = "fenced"


class GoneError(SecuretagError):
    """What the request is about has been removed for good."""

    status = 410
    slug = "gone"


class AuthenticationError(SecuretagError):
    """No API key, or one that isn't known."""

    status = 401
    slug = "unauthenticated"


class PermissionDeniedError(SecuretagError):
    """A known key without the scope that this call needs."""

    status = 403
    slug = "forbidden"


class VersionError(SecuretagError):
    """Worker and api speak different versions of the queue's protocol; the hint says which to update."""

    status = 400
    slug = "version"


class LimitError(SecuretagError):
    """A size is exceeded."""

    status = 413
    slug = "too-large"


class QuotaError(SecuretagError):
    """The tenant has used up a quota; `retry_after_s` says how long to wait."""

    status = 429
    slug = "quota"


class UnavailableError(SecuretagError):
    """A service that this call needs is away; the same call may work later."""

    status = 503
    slug = "unavailable"


class DatabaseUnavailableError(UnavailableError):
    """PostgreSQL doesn't answer, or its schema is at another revision."""

    slug = "database-unavailable"


class ModelUnavailableError(UnavailableError):
    """The model runtime doesn't answer, or doesn't know the alias."""

    slug = "model-unavailable"


class ToolError(SecuretagError):
    """A scanner failed, timed out or ran out of memory."""

    slug = "tool-failed"


class TriageError(SecuretagError):
    """A completion isn't a valid triage answer."""

    slug = "invalid-triage-answer"


class LicenceError(SecuretagError):
    """A license that the purpose of the release forbids."""

    slug = "licence"


class ReleaseError(SecuretagError):
    """A release is broken, or can't be built from these inputs."""

    slug = "release"


class TrainingError(SecuretagError):
    """A training run failed."""

    slug = "training"


class GateError(SecuretagError):
    """A model that the gate rejected was asked to be published."""

    status = 409
    slug = "gate-rejected"
