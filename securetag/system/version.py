"""The version of this package, from its installed metadata: the one definition of it."""

from __future__ import annotations

from functools import cache
from importlib.metadata import PackageNotFoundError, version

#: Where the package runs from a folder without being installed.
UNKNOWN = "0+unknown"


@cache
def package_version() -> str:
    """Return Securetag's version, or `UNKNOWN` where it isn't installed."""
    try:
        return version("securetag")
    except PackageNotFoundError:
        return UNKNOWN
