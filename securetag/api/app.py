"""Put the api together: `create_app(settings)`."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from functools import partial

from fastapi import FastAPI
from fastapi_offline import FastAPIOffline
from starlette.middleware import Middleware

from securetag.api import errors, health, openapi
from securetag.api.admission import WAITING_PER_CONNECTION, Admission
from securetag.api.metrics import Metrics
from securetag.api.middleware import BodyLimit, Observe
from securetag.api.nouns import NOUNS
from securetag.api.receive import MAX_FIELD
from securetag.api.services import ApiServices
from securetag.api.sweeper import sweep_for_ever
from securetag.api.webhooks.sender import send_for_ever
from securetag.db.engine import create_engine
from securetag.db.queue import count_open_tasks, reap
from securetag.db.repositories.notifications import listen
from securetag.db.repositories.webhooks import count_webhooks
from securetag.db.upgrade import head_revision
from securetag.errors import DatabaseUnavailableError
from securetag.settings import Settings
from securetag.settings.sections import ApiSettings
from securetag.storage import storage_for
from securetag.system.files import make_private_folder
from securetag.system.version import package_version

log = logging.getLogger(__name__)

#: Bytes that a multipart form may need beside its file: boundaries, part headers, the text fields.
FORM_OVERHEAD = 4 * MAX_FIELD
#: Looks for lost leases after which the first one is, where the database or this process was away: at 5 s
#: each (`api.reap_s`), workers have sent two heartbeats until then.
AFTER_OUTAGE = 4
#: Nouns that most calls are for: each router that is asked in vain costs a call a tenth of a millisecond.
ASKED_FIRST = ("findings", "queue", "scans", "ui")
#: Bytes of a JSON body that a person or a script sends.
SMALL_BODY = 64 * 1024


def create_app(settings: Settings) -> FastAPI:
    """The api. Nothing is opened before its lifespan begins. Raises SettingsError there."""
    metrics = Metrics()
    app = FastAPIOffline(  # /docs without a CDN: an air-gapped site reads it too
        title="Securetag",
        version=package_version(),
        description="Upload code, see its findings and the model's verdicts on them, say which are true.",
        lifespan=_lifespan(settings, metrics),
        middleware=[
            Middleware(Observe, metrics=metrics),
            Middleware(Admission, limit=settings.api.pool_size * (1 + WAITING_PER_CONNECTION)),
            Middleware(BodyLimit, limit=limit_body(settings.api)),
        ],
        # Prometheus is served at /metrics; nothing leaves the machine by itself.
        telemetry={"tracing": False, "metrics": False, "logs": False, "auto_configure": False},
        generate_unique_id_function=openapi.name_operation,
        redoc_url=None,
        static_url="/docs/assets",
    )
    app.state.metrics = metrics
    errors.add_error_handlers(app)
    app.include_router(health.router)
    for noun in sorted(NOUNS.names(), key=lambda name: (name not in ASKED_FIRST, name)):
        app.include_router(NOUNS.get(noun))
    app.openapi = partial(openapi.describe, app)  # type: ignore[method-assign]  # FastAPI's documented way
    return app


def limit_body(api: ApiSettings) -> Callable[[str, str], int]:
    """(method, path) → bytes that a body may have."""

    def limit(method: str, path: str) -> int:
        if (method, path) == ("POST", "/codeaudit/upload"):
            return api.max_upload + FORM_OVERHEAD
        if (method, path) == ("POST", "/findings/import"):
            return api.max_sarif + api.max_upload + FORM_OVERHEAD
        if method == "POST" and path in {"/queue/findings", "/queue/result"}:
            return api.max_result
        if method == "PUT" and path.startswith("/queue/tasks/"):
            return api.max_artifact
        return min(SMALL_BODY, api.max_body)

    return limit


def _lifespan(
    settings: Settings, metrics: Metrics
) -> Callable[[FastAPI], contextlib.AbstractAsyncContextManager[None]]:
    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        engine = create_engine(settings)
        services = ApiServices(
            settings=settings,
            engine=engine,
            storage=storage_for(settings.storage, settings.storage_credentials),
            metrics=metrics,
        )
        app.state.services = services
        make_private_folder(services.incoming_dir)
        if settings.storage_url is None:
            # An earlier version let others of this machine in.
            make_private_folder(settings.home / "artifacts")
        # Reads the migrations once, here rather than under the first call.
        await asyncio.to_thread(head_revision)
        tasks = [
            asyncio.create_task(_reap_for_ever(services), name="reaper"),
            asyncio.create_task(listen(engine, services.notifier), name="listener"),
            asyncio.create_task(sweep_for_ever(services), name="sweeper"),
            asyncio.create_task(send_for_ever(services), name="sender"),
        ]
        try:
            yield
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            await engine.dispose()

    return lifespan


async def _reap_for_ever(services: ApiServices) -> None:
    """Put back the tasks of dead workers. Every replica does; the database lets each task go once."""
    # An outage makes no worker dead: whoever lives extends its lease first.
    reap_s, looks = services.settings.api.reap_s, AFTER_OUTAGE
    while True:
        await asyncio.sleep(reap_s * looks)
        looks = 1
        try:
            reaped = await reap(services.engine)
            services.metrics.show_queue(await count_open_tasks(services.engine))
            services.metrics.show_webhooks(await count_webhooks(services.engine))
        except DatabaseUnavailableError as error:
            services.metrics.database_up.set(0)
            log.warning("lost leases can't be looked for: %s", error)
            looks = AFTER_OUTAGE
            continue
        except Exception:
            # Whatever it is, a process that no longer reaps would leave tasks stuck for ever.
            log.exception("looking for lost leases failed")
            continue
        services.metrics.database_up.set(1)
        if reaped:
            services.metrics.reaped.inc(reaped)
            log.info("%d tasks lost their worker", reaped)
            services.notifier.notify()
