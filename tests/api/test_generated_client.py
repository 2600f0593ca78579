"""A client that a generator makes of the OpenAPI document calls the api."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path

import api_process
import pytest
from api_in_process import Api
from postgres import Database

CHECKOUT = Path(__file__).parents[2]
ENVIRONMENT = CHECKOUT / ".venv-openapi" / "bin"
pytestmark = [
    pytest.mark.anyio,
    pytest.mark.system,
    pytest.mark.sockets,
    pytest.mark.skipif(
        not (ENVIRONMENT / "openapi-python-client").exists(), reason="no generator: make openapi"
    ),
]
CALLS = """
import json, sys
from securetag_client import Client
from securetag_client.api.keys import list_keys
from securetag_client.api.projects import create_project, list_projects
from securetag_client.models import Problem, ProjectBody

url, key = sys.argv[1:]
client = Client(base_url=url, headers={"X-API-Key": key})
made = create_project.sync(client=client, body=ProjectBody(name="shop"))
listed = list_projects.sync(client=client)
refused = list_keys.sync(client=client)
assert isinstance(refused, Problem), refused
print(json.dumps([made.name, [item.name for item in listed.items], refused.status]))
"""


async def test_a_generated_client_makes_a_project_and_reads_a_problem(
    api: Api, pg_database: Database, tmp_path: Path
) -> None:
    document, package = tmp_path / "openapi.json", tmp_path / "generated" / "securetag_client"
    document.write_text(json.dumps(api.app.openapi()), "utf-8")
    path = f"{ENVIRONMENT}{os.pathsep}{os.environ['PATH']}"
    generated = subprocess.run(
        [
            str(ENVIRONMENT / "openapi-python-client"),
            *("generate", "--path", str(document), "--output-path", str(package), "--meta", "none"),
        ],
        capture_output=True,
        text=True,
        check=True,
        env={"PATH": path, "HOME": str(tmp_path), "LANG": "C.UTF-8"},
    )
    # What the generator can't read it leaves out, with a warning.
    assert "warning" not in (generated.stdout + generated.stderr).lower()
    tenant = await api.tenant()
    key = await api.key(tenant.id, "read", "scan")
    with api_process.running(tmp_path / "process", pg_database.dsn_api) as (_, url):
        called = subprocess.run(
            [str(ENVIRONMENT / "python"), "-c", CALLS, url, key],
            capture_output=True,
            text=True,
            check=False,
            env={"PYTHONPATH": str(package.parent), "PATH": path},
        )
    assert called.returncode == 0, called.stderr
    assert json.loads(called.stdout) == ["shop", ["shop"], 403]
