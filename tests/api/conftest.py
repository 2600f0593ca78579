"""The real api over the real PostgreSQL, called in-process: no socket, nothing mocked.

`api` gives an `Api`: `.client(key)` speaks HTTP to the app, `.tenant(name)` makes a tenant and its
keys, `.superuser` reads every row for counting.
"""

from __future__ import annotations

import io
import zipfile
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from api_in_process import Api
from postgres import Database
from pydantic import SecretStr
from sqlalchemy.ext.asyncio import AsyncEngine

from securetag.api.app import create_app
from securetag.db.embedded import SUPERUSER, Cluster
from securetag.settings import Settings
from securetag.settings.sections import ApiSettings, WebSettings


@pytest.fixture
def api_settings() -> dict[str, object]:
    """Override in a module for other limits."""
    return {"reap_s": 3600.0}


@pytest.fixture
def web_settings() -> dict[str, object]:
    """Override in a module that scans web applications."""
    return {}


@pytest.fixture
async def api(
    db: AsyncEngine,
    pg_database: Database,
    pg_cluster: Cluster,
    tmp_path: Path,
    api_settings: dict[str, object],
    web_settings: dict[str, object],
) -> AsyncIterator[Api]:
    settings = Settings(
        database_url=SecretStr(pg_database.dsn_api),
        home=tmp_path / "home",
        data=tmp_path / "data",
        api=ApiSettings(**api_settings),
        web=WebSettings(**web_settings),
    )
    app = create_app(settings)
    made = Api(app, settings, db, pg_cluster.dsn(pg_database.name, SUPERUSER))
    async with app.router.lifespan_context(app):
        yield made
        for client in made.clients:
            await client.aclose()


def zipped(**files: str) -> bytes:
    """A zip archive; `__` in a name stands for `/`, a trailing `_py` for `.py`."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as bundle:
        for name, text in files.items():
            bundle.writestr(name.replace("__", "/").replace("_py", ".py"), text)
    return out.getvalue()


@pytest.fixture
def archive() -> bytes:
    return zipped(app_py="import os\nos.system(input())\n", lib__safe_py="x = 1\n")
