"""The nouns of the api: one folder and one router each, found by name.

`docs/howto/add-an-api-noun.md` shows how another package adds one.
"""

from __future__ import annotations

from typing import TypeGuard

from fastapi import APIRouter

from securetag.system.registry import Registry

_BUILTIN = [
    "audit",
    "codeaudit",
    "consent",
    "erasure",
    "feedback",
    "findings",
    "keys",
    "projects",
    "queue",
    "scans",
    "suppressions",
    "targets",
    "tenants",
    "tools",
    "ui",
    "usage",
    "webhooks",
]


def _is_router(candidate: object) -> TypeGuard[APIRouter]:
    return isinstance(candidate, APIRouter)


#: Noun → its router.
NOUNS: Registry[APIRouter] = Registry(
    "noun",
    {noun: f"securetag.api.{noun}.endpoints:router" for noun in _BUILTIN},
    group="securetag.nouns",
    accepts=_is_router,
)
