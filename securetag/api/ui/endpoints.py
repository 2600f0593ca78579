"""`/ui`: all pages and their static files."""

from __future__ import annotations

from fastapi import APIRouter, Request
from starlette.exceptions import HTTPException
from starlette.responses import RedirectResponse, Response

from securetag.api.ui import deletion, findings, overview, scans, sign_in
from securetag.api.ui.rendering import load_static
from securetag.api.ui.review import blind, bulk, notes, queue, undo
from securetag.api.ui.route import PageRoute

YEAR_SECONDS = 365 * 24 * 3600

router = APIRouter(include_in_schema=False)
pages = APIRouter(prefix="/ui", route_class=PageRoute)
for part in (findings, overview, scans, deletion, undo, bulk, queue, notes, blind, sign_in):
    router.include_router(part.router)


@router.get("/")
async def redirect_people(request: Request) -> Response:
    """Send a browser to the page; a program finds nothing here."""
    if "text/html" not in request.headers.get("accept", ""):
        raise HTTPException(404)
    return RedirectResponse("/ui/", 303)


@pages.get("/static/{name}")
async def get_static(name: str) -> Response:
    """A script or a style sheet. Its address changes with its content, so it may be kept for ever."""
    loaded = load_static(name)
    if loaded is None:
        raise HTTPException(404)
    content, media_type = loaded
    return Response(
        content,
        media_type=media_type,
        headers={"Cache-Control": f"public, max-age={YEAR_SECONDS}, immutable"},
    )


@pages.get("/{path:path}")
async def get_nothing(path: str) -> Response:
    """Any other address."""
    raise HTTPException(404, path)


# Last: it answers every address that no other page has.
router.include_router(pages)
