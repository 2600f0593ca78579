"""Keys and tenants as an installation's operator lists, replaces, suspends and ends them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, TypeVar

import typer

from securetag.cli.output import Json, emit, reported

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from sqlalchemy.ext.asyncio import AsyncEngine

    from securetag.db.models import Tenant
    from securetag.db.repositories.tenant_keys import TenantKey

T = TypeVar("T")
Wanted = Annotated[
    str,
    typer.Argument(
        metavar="KEY", help="Its id, its beginning (stk_…), or its name where only one key has it."
    ),
]


@reported
def list_keys(
    tenant: Annotated[
        str | None, typer.Option(help="Of the tenant with this name or id; by default of all.")
    ] = None,
    as_json: Json = False,
) -> None:
    """List API keys, revoked ones too. Never their secrets."""
    from securetag.cli.output import show
    from securetag.db.repositories.tenant_keys import list_tenant_keys
    from securetag.system.clock import format_utc

    keys = _run(lambda engine: list_tenant_keys(engine, tenant))
    if as_json:
        emit([_describe(key) for key in keys])
        return
    show(
        ["tenant", "name", "key", "scopes", "state", "last used"],
        [
            [
                key.tenant,
                key.name,
                f"stk_{key.prefix}",
                " ".join(key.scopes),
                key.state,
                format_utc(key.last_used_at) if key.last_used_at else "never",
            ]
            for key in keys
        ],
        title=f"{len(keys)} keys",
    )


@reported
def revoke_key(wanted: Wanted, as_json: Json = False) -> None:
    """End a key: it opens nothing from the next call on, and its sessions on the page end."""
    from securetag.db.repositories.tenant_keys import find_tenant_key, revoke_tenant_key

    async def revoke(engine: AsyncEngine) -> TenantKey:
        key = await find_tenant_key(engine, wanted)
        await revoke_tenant_key(engine, key)
        return key

    key = _run(revoke)
    if as_json:
        emit({**_describe(key), "state": "revoked"})
    else:
        typer.echo(f"revoked stk_{key.prefix} ({key.name}, {key.tenant})")


@reported
def suspend_key(wanted: Wanted, as_json: Json = False) -> None:
    """Suspend a key: it opens nothing until `securetag key resume`."""
    _suspend(wanted, as_json, is_suspended=True)


@reported
def resume_key(wanted: Wanted, as_json: Json = False) -> None:
    """End a key's suspension: it opens again what it did before."""
    _suspend(wanted, as_json, is_suspended=False)


def _suspend(wanted: str, as_json: bool, *, is_suspended: bool) -> None:
    from securetag.db.repositories.tenant_keys import find_tenant_key, suspend_tenant_key

    async def change(engine: AsyncEngine) -> TenantKey:
        key = await find_tenant_key(engine, wanted)
        await suspend_tenant_key(engine, key, is_suspended=is_suspended)
        return await find_tenant_key(engine, str(key.id))

    key = _run(change)
    if as_json:
        emit(_describe(key))
    else:
        done = "suspended" if is_suspended else "resumed"
        typer.echo(f"{done} stk_{key.prefix} ({key.name}, {key.tenant})")


@reported
def rotate_key(
    wanted: Wanted,
    overlap_hours: Annotated[
        float, typer.Option(min=0, max=24 * 90, help="Hours for which the old key still opens.")
    ] = 0.0,
    as_json: Json = False,
) -> None:
    """Replace a key by a new one with the same name, scopes and expiry. The new one is printed once."""
    from datetime import timedelta

    from securetag.db.repositories.tenant_keys import find_tenant_key, rotate_tenant_key
    from securetag.settings import get_settings

    pepper = get_settings().require_pepper()

    async def rotate(engine: AsyncEngine) -> tuple[TenantKey, str]:
        key = await find_tenant_key(engine, wanted)
        return key, await rotate_tenant_key(engine, key, pepper, overlap=timedelta(hours=overlap_hours))

    key, plain = _run(rotate)
    if as_json:
        emit({"key": plain, "replaces": key.prefix, "tenant_id": str(key.tenant_id), "name": key.name})
    else:
        typer.echo(plain)
        until = f"opens for {overlap_hours:g} more hours" if overlap_hours else "opens nothing any more"
        typer.echo(f"stk_{key.prefix} {until}", err=True)


@reported
def suspend_tenant(name: str, as_json: Json = False) -> None:
    """Suspend a tenant: its keys open nothing, its running scans end, waiting ones wait."""
    from securetag.db.repositories import tenants

    _change_tenant(name, as_json, tenants.suspend_tenant, "suspended")


@reported
def resume_tenant(name: str, as_json: Json = False) -> None:
    """End a tenant's suspension: its keys open again, and waiting scans run."""
    from securetag.db.repositories import tenants

    _change_tenant(name, as_json, tenants.resume_tenant, "resumed")


def _change_tenant(name: str, as_json: bool, change: Callable[..., Awaitable[Tenant]], done: str) -> None:
    from securetag.db.engine import cross_tenant_transaction
    from securetag.db.repositories.tenant_keys import OPERATOR
    from securetag.db.repositories.tenants import find_tenant
    from securetag.system.clock import format_utc

    async def work(engine: AsyncEngine) -> Tenant:
        async with cross_tenant_transaction(engine) as session:
            tenant_id = await find_tenant(session, name)
        return await change(engine, tenant_id, actor=OPERATOR)

    tenant = _run(work)
    moment = format_utc(tenant.suspended_at) if tenant.suspended_at else None
    if as_json:
        emit({"tenant_id": str(tenant.id), "name": name, "suspended_at": moment})
    else:
        typer.echo(f"{done} {name}")


@reported
def list_tenants(as_json: Json = False) -> None:
    """List the tenants of this installation, oldest first."""
    from securetag.cli.output import show
    from securetag.db.engine import cross_tenant_transaction
    from securetag.db.repositories import tenants
    from securetag.system.clock import format_utc

    async def read(engine: AsyncEngine) -> list[dict[str, str]]:
        async with cross_tenant_transaction(engine) as session:
            rows = await tenants.list_tenants(session, after=None, limit=None)
        return [
            {
                "tenant_id": str(row.id),
                "name": row.name,
                "model_policy": row.model_policy,
                "created_at": format_utc(row.created_at),
                "suspended_at": format_utc(row.suspended_at) if row.suspended_at else "",
            }
            for row in rows
        ]

    rows = _run(read)
    if as_json:
        emit(rows)
    else:
        show(["id", "name", "code may go to", "made", "suspended"], [list(row.values()) for row in rows])


def _run(work: Callable[[AsyncEngine], Awaitable[T]]) -> T:
    """Return what `work` makes of the installation's database."""
    import asyncio

    from securetag.db.engine import create_engine
    from securetag.settings import get_settings

    async def run() -> T:
        engine = create_engine(get_settings())
        try:
            return await work(engine)
        finally:
            await engine.dispose()

    return asyncio.run(run())


def _describe(key: TenantKey) -> dict[str, object]:
    """Return the key as JSON has it."""
    from dataclasses import asdict

    from securetag.system.clock import format_utc

    times = ("created_at", "expires_at", "revoked_at", "last_used_at", "suspended_at")
    moments = {name: format_utc(value) if (value := getattr(key, name)) else None for name in times}
    ids = {"id": str(key.id), "tenant_id": str(key.tenant_id)}
    return {**asdict(key), **ids, **moments, "state": key.state}
