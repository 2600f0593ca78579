"""The api as a process: what it imports, what it weighs, where it says it is, how it ends."""

from __future__ import annotations

import io
import json
import os
import signal
import subprocess
import sys
import zipfile
from contextlib import closing
from pathlib import Path
from uuid import uuid4

import httpx
import pytest
from api_process import running
from postgres import Database
from prometheus_client.parser import text_string_to_metric_families

from securetag.api.__main__ import listening, main
from securetag.api.metrics import Metrics
from securetag.cli.services.ports import find_free_port
from securetag.db.engine import create_engine
from securetag.db.repositories.keys import create_key
from securetag.db.repositories.tenants import create_tenant
from securetag.errors import SettingsError
from securetag.settings import LOCAL_PEPPER, get_settings
from securetag.system.metrics import serve_metrics

MAX_RESTING_MIB = 200

IMPORT_ALL = """
import importlib, pkgutil, sys
import securetag.api
for module in pkgutil.walk_packages(securetag.api.__path__, "securetag.api."):
    importlib.import_module(module.name)
heavy = {"torch", "transformers", "dagster", "pymupdf", "trl", "peft", "datasets", "pandas", "pyarrow"}
print(sorted(heavy & set(sys.modules)), len([m for m in sys.modules if m.startswith("securetag.api.")]))
"""


def test_no_heavy_library_is_imported() -> None:
    done = subprocess.run(
        [sys.executable, "-c", IMPORT_ALL], capture_output=True, text=True, check=True, timeout=120
    )
    heavy_modules, count = done.stdout.rsplit(" ", 1)
    assert heavy_modules == "[]"
    assert int(count) > 30, "the walk found too few modules to mean anything"


def _resting_mib(pid: int) -> float:
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) / 1024
    raise AssertionError("no VmRSS")


def _zip(size: int) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_STORED) as bundle:
        bundle.writestr("app.py", "x = 1\n")
        bundle.writestr("data.bin", os.urandom(size))
    return out.getvalue()


@pytest.mark.sockets
@pytest.mark.anyio
async def test_the_process_serves_rests_light_and_stops(pg_database: Database, tmp_path: Path) -> None:
    engine = create_engine(pg_database.dsn_api)
    tenant_id = await create_tenant(engine, "process test")
    key = await create_key(engine, tenant_id, "test", ["scan", "read"], LOCAL_PEPPER)
    await engine.dispose()

    before = f"import sys; sys.stderr = open({str(tmp_path / 'log')!r}, 'w')"
    with running(tmp_path / "home", pg_database.dsn_api, before=before) as (process, url):
        address = tmp_path / "home" / "run" / "api.json"
        assert (address.stat().st_mode & 0o777, address.parent.stat().st_mode & 0o777) == (0o600, 0o700)
        with httpx.Client(base_url=url, headers={"X-API-Key": key}, timeout=30) as client:
            assert client.get("/healthz/db").json() == {"status": "ok"}
            # 20 MB come in without being held in memory.
            answer = client.post(
                "/codeaudit/upload", files={"file": ("a.zip", _zip(20_000_000))}, data={"project": "p"}
            )
            assert answer.status_code == 202, answer.text
            assert client.get(answer.headers["location"]).json()["state"] == "queued"
            # Refused by its declared length, before the body is read.
            refused = client.post("/projects", content=bytes(1_000_000))
            assert (refused.status_code, refused.headers["connection"]) == (413, "close")
            for _ in range(50):
                assert client.get("/findings?q=hunter2", headers={"X-Request-ID": "call-7"}).is_success
        assert _resting_mib(process.pid) < MAX_RESTING_MIB
        process.send_signal(signal.SIGTERM)
        assert process.wait(20) in {0, -signal.SIGTERM}
        assert not address.exists()
        assert list((tmp_path / "home" / "run" / "incoming").iterdir()) == []
    log = (tmp_path / "log").read_text()
    assert key[4:] not in log
    assert "hunter2" not in log
    lines = [json.loads(line) for line in log.splitlines()]
    calls = [line for line in lines if line["logger"] == "securetag.access"]
    assert len([line for line in calls if line.get("request_id") == "call-7"]) == 50
    assert calls[-1] | {"timestamp": "", "duration_ms": 0} == {
        "event": "request",
        "level": "info",
        "logger": "securetag.access",
        "method": "GET",
        "route": "/findings",
        "status": 200,
        "tenant": str(tenant_id),
        "request_id": "call-7",
        "timestamp": "",
        "duration_ms": 0,
    }


@pytest.mark.sockets
def test_what_can_not_be_served_is_said_with_a_hint(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert main(["--port", "0"]) == 1
    assert "DATABASE_URL" in capsys.readouterr().err
    monkeypatch.setenv("DATABASE_URL", "postgresql://nobody@/nowhere")
    monkeypatch.setenv("SECURETAG_PEPPER", "a secret of our own")
    monkeypatch.setenv("SECURETAG_API__BEHIND_PROXY", "true")
    get_settings.cache_clear()
    for arguments in (["--port", "-1"], ["--port", "70000"], ["--host", "203.0.113.7", "--port", "0"]):
        assert main(arguments) == 1
        assert "can't be listened on" in capsys.readouterr().err


@pytest.mark.sockets
def test_metrics_have_a_listener_of_their_own(pg_database: Database, tmp_path: Path) -> None:
    port = find_free_port("127.0.0.1")
    with running(tmp_path / "home", pg_database.dsn_api, metrics_port=str(port)) as (process, url):
        assert httpx.get(f"{url}/scans/{uuid4()}?q=hunter2").status_code == 401
        assert httpx.get(f"{url}/metrics").status_code == 401
        answer = httpx.get(f"http://127.0.0.1:{port}/metrics")
        samples = [
            sample for family in text_string_to_metric_families(answer.text) for sample in family.samples
        ]
        requests = [sample for sample in samples if sample.name == "securetag_http_requests_total"]
        labels = {"method": "GET", "route": "/scans/{task_id}", "status": "401"}
        assert [sample.value for sample in requests if sample.labels == labels] == [1.0]
        assert "hunter2" not in answer.text
        memory = next(sample.value for sample in samples if sample.name == "process_resident_memory_bytes")
        assert memory == pytest.approx(_resting_mib(process.pid) * 1024**2, rel=0.2)
        process.send_signal(signal.SIGTERM)
        assert process.wait(20) in {0, -signal.SIGTERM}


@pytest.mark.sockets
def test_a_metrics_port_that_is_taken_is_said() -> None:
    with (
        closing(listening("127.0.0.1", 0)) as other,
        pytest.raises(SettingsError, match="metrics can't be served at"),
        serve_metrics(Metrics().registry, "127.0.0.1", other.getsockname()[1], section="api"),
    ):
        raise AssertionError("two listeners on one port")
