"""What the api refuses before it listens where other machines reach it: defaults, and keys in plain text."""

from __future__ import annotations

from ipaddress import ip_address
from typing import NoReturn

from sqlalchemy import URL

from securetag.db.engine import dsn_for, parse_url
from securetag.errors import SettingsError
from securetag.settings import LOCAL_PEPPER, Settings

#: Characters of a pepper at least; `openssl rand -base64 32` prints 44.
MIN_PEPPER = 16
#: Passwords that examples and images come with.
WELL_KNOWN_PASSWORDS = frozenset(
    {"admin", "changeme", "change-me", "default", "example", "letmein", "pass", "password", "postgres"}
    | {"root", "secret", "securetag", "test"}
)


def refuse_unsafe(settings: Settings, host: str) -> None:
    """Raise SettingsError for what is unsafe on this address; on loopback only production's rules hold."""
    settings.require_pepper()
    if _is_loopback(host):
        return
    pepper = settings.pepper.get_secret_value()
    if pepper == LOCAL_PEPPER or len(pepper) < MIN_PEPPER:
        what = "is the default, which everybody can read" if pepper == LOCAL_PEPPER else "is too short"
        _refuse(
            host,
            f"SECURETAG_PEPPER {what}",
            "Set SECURETAG_PEPPER, or SECURETAG_PEPPER_FILE, to a secret of your own: "
            "`openssl rand -base64 32` prints one.",
        )
    if not settings.api.behind_proxy:
        _refuse(
            host,
            "it has no TLS, so keys and code would cross the network in plain text",
            "Put a proxy with TLS in front and set SECURETAG_API__BEHIND_PROXY=true, or listen on 127.0.0.1.",
        )
    database = parse_url(dsn_for(settings))
    if database.password and _is_well_known(database):
        _refuse(
            host,
            "the database's password in DATABASE_URL is a well-known one",
            "Give the database's user a password of your own (docs/operations.md, Rotating secrets).",
        )
    if database.query.get("sslmode") == "disable" and "." in (database.host or ""):
        _refuse(
            host,
            f"DATABASE_URL turns TLS off for {database.host}",
            "Remove sslmode=disable, or better set sslmode=verify-full.",
        )


def _refuse(host: str, what: str, hint: str) -> NoReturn:
    raise SettingsError(f"the api doesn't listen on {host}: {what}", hint=hint)


def _is_loopback(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _is_well_known(database: URL) -> bool:
    password = str(database.password).lower()
    return password in WELL_KNOWN_PASSWORDS or password == str(database.username).lower()
