"""The api's client with the hints of the command line."""

from __future__ import annotations

import httpx

from securetag.client.api import ApiClient
from securetag.client.http import Hints
from securetag.errors import PROBLEM_TYPE

#: Status or problem type → what a person at the command line can do; the api's hints speak of its requests.
_HINTS: Hints = {
    0: "Start it with `securetag up`, or name another with --api.",
    401: "Set SECURETAG_API_KEY to a key of this installation, or make one with `securetag key create`.",
    403: "Use a key with that scope; `securetag key create --scope` makes one.",
    404: "See that --api names a Securetag of this version, and that the key belongs to the same tenant.",
    409: "Run the command again.",
    500: "Read the api's log, then run the command again.",
    503: "Run the command again in a moment; if that doesn't help, read the api's log.",
    f"{PROBLEM_TYPE}invalid-request": "Correct what the message names, and run it again.",
}


def connect(
    url: str, key: str, *, transport: httpx.BaseTransport | None = None, hints: Hints | None = None
) -> ApiClient:
    """Return a client whose errors say what to do at the command line; `hints` are one command's own."""
    return ApiClient(url, key, hints={**_HINTS, **(hints or {})}, transport=transport)
