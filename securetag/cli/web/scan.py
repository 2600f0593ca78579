"""`securetag web scan`: scan a web application, wait, print what was found."""

from __future__ import annotations

from functools import partial
from typing import Annotated

import typer

from securetag.cli.output import Json, reported_with
from securetag.cli.scan.command import ApiKey, ApiUrl, FailOn
from securetag.cli.scan.follow import FAILED, FollowedScan, check_end, unexpected_errors
from securetag.cli.scan.options import Lang
from securetag.client.local import find_api

_HINTS: dict[int | str, str] = {
    404: "Name it with `securetag web target add`; `securetag web target list` shows yours.",
    409: "See `securetag web target list`. A scan that goes on is shown by `securetag scan --resume TASK`.",
}


@partial(reported_with, exit_code=FAILED)
def scan(
    url: Annotated[str, typer.Argument(help="The page where the scan begins.")],
    fail_on: FailOn = None,
    project: Annotated[str | None, typer.Option(help="Name of the project; the host's by default.")] = None,
    lang: Annotated[
        Lang | None, typer.Option(help="Language of the model's words; the worker's own by default.")
    ] = None,
    api: ApiUrl = None,
    key: ApiKey = None,
    timeout: Annotated[float, typer.Option(help="Seconds to wait for the scan.")] = 3_600.0,
    as_json: Json = False,
) -> None:
    """Scan a web application. This attacks it: it must be a target that is proven to be yours.

    See `securetag web target`. Exit codes, Ctrl-C and --resume are those of `securetag scan`.
    """
    from securetag.cli.client import connect
    from securetag.cli.scan.report import print_json, print_table
    from securetag.scanning.web.addresses import parse_target
    from securetag.wire.web import WebScanBody

    parse_target(url)  # says what is wrong with it, before anything is sent
    address, secret = find_api(api, key)
    with unexpected_errors(), connect(address, secret, hints=_HINTS) as client:
        body = WebScanBody(url=url, project=project, lang=lang)
        followed = FollowedScan(client, as_json)
        ended, findings = followed.follow(lambda: client.scan_web(body).task_id, timeout)
        (print_json if as_json else print_table)(ended, findings, None)
        check_end(ended, findings, fail_on)
