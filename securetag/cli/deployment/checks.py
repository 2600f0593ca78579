"""One result a line: what was looked at, what was seen, why it failed, and what to do next."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import httpx

#: Why a check failed, for scripts. `starting` and `proxy_timeout` were tried again until the patience ended.
Cause = Literal[
    "unreachable",
    "not_json",
    "wrong_key",
    "open_endpoint",
    "starting",
    "proxy_timeout",
    "no_model",
    "wrong_model",
    "schema_ignored",
    "slow",
    "no_logprobs",
    "database_away",
    "failed",
]
#: Gets a line about what is waited for.
Report = Callable[[str], None]

#: Seconds in which the api must answer whether it is alive.
API_TIMEOUT_S = 10.0


@dataclass(frozen=True)
class Check:
    """One thing that was looked at."""

    name: str
    ok: bool
    detail: str
    cause: Cause | None = None
    hint: str = ""


def check_api(url: str) -> list[Check]:
    """Return whether the api at `url` is alive and its database answers at the right revision."""
    where = url.rstrip("/")
    alive = _get("api", f"{where}/healthz")
    return [alive, _get("database", f"{where}/healthz/db")] if alive.ok else [alive]


def _get(name: str, url: str) -> Check:
    """Ask for the status of one part; anything but `{"status": "ok"}` is a failure."""
    try:
        response = httpx.get(url, timeout=API_TIMEOUT_S)
        body = response.json()
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        return Check(
            name,
            False,
            f"{url}: {error or type(error).__name__}",
            "unreachable",
            "Is the address right (--api), is the api running, and does the proxy in front of it answer?",
        )
    except ValueError:
        return Check(
            name,
            False,
            f"{url} answers {response.status_code} with something else than JSON",
            "not_json",
            "Something else than Securetag listens there: look at the address (--api) and at the proxy.",
        )
    if response.is_success and isinstance(body, dict) and body.get("status") == "ok":
        return Check(name, True, url)
    detail = body.get("detail") if isinstance(body, dict) else None
    return Check(
        name,
        False,
        f"{url} answers {response.status_code}: {detail or body}",
        "database_away" if name == "database" else "failed",
        "Is PostgreSQL running, and has `securetag db upgrade` been run? The api's log says more.",
    )
