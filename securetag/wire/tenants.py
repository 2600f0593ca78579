"""Tenants, what they may use and what they have used."""

from __future__ import annotations

from datetime import date
from typing import Annotated
from uuid import UUID

from pydantic import Field, StrictBool

from securetag.records import ModelLocation
from securetag.wire.base import Answer, Body, Name, Time

Limit = Annotated[int, Field(ge=0, lt=2**53)]


class Quotas(Body):
    """What a tenant may use; null: without a limit. Days begin at midnight UTC."""

    scans_a_day: Limit | None = None
    #: Bytes of uploads.
    bytes_a_day: Limit | None = None
    #: Tokens, read and written, of models that judged findings. Once they are used up no scan is taken.
    model_tokens_a_day: Limit | None = None
    #: Scans that wait or run.
    open: Limit | None = None
    #: Scans that run at a time; more of them wait. At least one.
    running: Annotated[int, Field(ge=1, lt=2**53)] | None = None
    #: Calls with any of the tenant's keys, counted by each process of the api.
    calls_a_minute: Annotated[int, Field(ge=1, lt=2**53)] | None = None


class TenantBody(Body):
    """A new tenant."""

    name: Name
    #: By default what the installation's settings say (`api.model_policy`).
    model_policy: ModelLocation | None = None


class TenantChanges(Body):
    """What is to be changed of a tenant; what is left out stays."""

    model_policy: ModelLocation | None = None
    #: Replaces all of the tenant's own quotas. What it leaves out is as the installation's settings say.
    #: For operators.
    quotas: Quotas | None = None


class Suspension(Body):
    """Whether a tenant or a key is suspended."""

    suspended: StrictBool


class TenantAnswer(Answer):
    """A tenant."""

    id: UUID
    name: str
    #: The farthest place whose models may be shown its code.
    model_policy: ModelLocation
    #: Its own, where they differ from the installation's.
    quotas: Quotas = Field(default_factory=Quotas)
    created_at: Time
    #: Since then its keys open nothing.
    suspended_at: Time | None = None


class Used(Answer):
    """How much of a quota is used; `limit` is null where there is none."""

    used: int
    limit: int | None


class UsageAnswer(Answer):
    """What the tenant has used today (UTC), and what waits and runs now."""

    day: date
    scans_a_day: Used
    bytes_a_day: Used
    model_tokens_a_day: Used
    open: Used
    running: Used
    calls_a_minute: int | None
    #: When the day's counts begin anew.
    resets_at: Time
