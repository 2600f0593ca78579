"""`securetag scan`: upload a project, wait, print what was found."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Annotated

import typer

from securetag.cli.output import Json, emit, reported, show

Severity = Annotated[
    str | None,
    typer.Option(help="Exit 1 when a finding at or above this severity isn't a false positive."),
]


@reported
def scan(
    path: Annotated[Path, typer.Argument(help="The folder of a project.", exists=True, file_okay=False)],
    fail_on: Severity = None,
    project: Annotated[str | None, typer.Option(help="Name of the project; the folder's by default.")] = None,
    api: Annotated[str | None, typer.Option(envvar="SECURETAG_API_URL", help="Address of the api.")] = None,
    key: Annotated[str | None, typer.Option(envvar="SECURETAG_API_KEY", help="API key.")] = None,
    timeout: Annotated[float, typer.Option(help="Seconds to wait for the scan.")] = 900.0,
    as_json: Json = False,
) -> None:
    """Scan a folder with a running Securetag.

    That of `securetag up`, or any other by --api.
    """
    import tempfile

    from securetag.cli.client import ApiClient, pack
    from securetag.errors import InputError
    from securetag.records import SEVERITIES

    if fail_on is not None and fail_on not in SEVERITIES:
        raise InputError(f"{fail_on} is no severity", hint=f"One of {', '.join(SEVERITIES)}.")
    url, secret = _where(api, key)
    with tempfile.TemporaryDirectory() as folder, ApiClient(url, secret) as client:
        archive = Path(folder) / f"{path.resolve().name}.zip"
        pack(path.resolve(), archive)
        task_id = client.upload(archive, project=project or path.resolve().name)
        ended = client.wait(task_id, timeout_s=timeout, progress=None if as_json else typer.echo)
        found = list(client.findings(task_id))
    by_severity = Counter(item["severity"] for item in found)
    by_verdict = Counter((item.get("verdict") or {}).get("decision") or "not triaged" for item in found)
    if as_json:
        emit({"task_id": task_id, "state": ended["state"], "findings": found,
              "by_severity": by_severity, "by_verdict": by_verdict})  # fmt: skip
    else:
        show(
            ["severity", "rule", "where", "verdict", "title"],
            [
                [f["severity"], f["rule_id"], f"{f['occurrence']['path']}:{f['occurrence']['start_line']}",
                 (f.get("verdict") or {}).get("decision") or "–", f["title"]]
                for f in sorted(found, key=lambda f: -SEVERITIES.index(f["severity"]))
            ],
            title=f"{len(found)} findings, scan {ended['state']}",
        )  # fmt: skip
    if ended["state"] != "completed":
        raise typer.Exit(2)
    if fail_on is not None:
        bar = SEVERITIES.index(fail_on)
        worst = [
            f
            for f in found
            if SEVERITIES.index(f["severity"]) >= bar
            and (f.get("verdict") or {}).get("decision") != "false_positive"
        ]
        if worst:
            raise typer.Exit(1)


def _where(api: str | None, key: str | None) -> tuple[str, str]:
    """Address and key: as given, else those that `securetag up` wrote for this home."""
    from securetag.cli.supervise import published
    from securetag.errors import AuthenticationError, UnavailableError
    from securetag.settings import get_settings
    from securetag.system.services import read_services

    settings = get_settings()
    url = api or read_services(settings.run_dir).get("api", {}).get("url")
    if not url:
        raise UnavailableError(
            "no api is running for this home", hint="Start one with `securetag up`, or name one with --api."
        )
    secret = key or published(settings.home, "local-key").get("key")
    if not secret:
        raise AuthenticationError(
            "no API key was given", hint="Set SECURETAG_API_KEY, or make one with `securetag key create`."
        )
    return str(url), str(secret)
