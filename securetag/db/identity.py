"""Which of a project's findings each place of a scan is, so that no verdict moves to another place.

A scanner's fingerprint leaves the path out, so the copies of a function share it. Here they are told
apart by path:

- A place with the path at which the finding was last seen is that finding.
- Any other place is a finding of its own. Its fingerprint is made of the shared one, its path and its
  ordinal among its equals there. What people said of the first doesn't apply to it.
- Where the last path is gone and a single new place is left, the code was moved: that place is the
  finding. Where several are left, none is.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from sqlalchemy import select, true
from sqlalchemy.ext.asyncio import AsyncSession

from securetag.db.models import Finding, FindingOccurrence, Project, Task
from securetag.records import content_id

#: Fingerprints that one statement asks for.
LOOKUP = 1_000


@dataclass(frozen=True, slots=True)
class Place:
    """Where a scanner reported a fingerprint."""

    fingerprint: str
    path: str
    start_line: int
    end_line: int


async def identify(session: AsyncSession, task: Task, places: Sequence[Place]) -> list[str]:
    """The fingerprint under which each place is stored; no two are equal.

    Locks the project until the transaction ends: two results of one project must not each give the
    same finding to another place.
    """
    await session.execute(
        select(Project.id).where(Project.id == task.project_id).with_for_update(key_share=True)
    )
    last_paths = await _last_paths(session, task, {place.fingerprint for place in places})
    shared = Counter(place.fingerprint for place in places)
    unclear = [
        place
        for place in places
        if shared[place.fingerprint] > 1 or last_paths.get(place.fingerprint, place.path) != place.path
    ]
    separate = {separate_fingerprint(place, ordinal) for place, ordinal in _with_ordinals(unclear)}
    all_last_paths = last_paths | await _last_paths(session, task, separate)
    return assign(places, all_last_paths)


def assign(places: Sequence[Place], last_paths: Mapping[str, str]) -> list[str]:
    """The same as `identify`, from the stored findings' fingerprints and last paths."""
    groups: dict[str, list[int]] = defaultdict(list)
    for index, place in enumerate(places):
        groups[place.fingerprint].append(index)
    assigned = [place.fingerprint for place in places]
    for fingerprint, members in groups.items():
        last_path = last_paths.get(fingerprint)
        if len(members) == 1 and last_path in {None, places[members[0]].path}:
            continue
        ordered = [(members[at], ordinal) for at, ordinal in _ordinals([places[index] for index in members])]
        for index, ordinal in ordered:
            assigned[index] = separate_fingerprint(places[index], ordinal)
        holder = _holder(
            [
                (places[index].path, assigned[index] in last_paths)
                for index, ordinal in ordered
                if ordinal == 0
            ],
            last_path,
        )
        for index, ordinal in ordered:
            if ordinal == 0 and places[index].path == holder:
                assigned[index] = fingerprint
    return assigned


def _holder(paths: Sequence[tuple[str, bool]], last_path: str | None) -> str | None:
    """The path that keeps the shared fingerprint, from (path, is it a finding of its own already)."""
    if any(path == last_path for path, _ in paths):
        return last_path
    new = [path for path, is_known in paths if not is_known]
    if last_path is None:
        return new[0] if new else None
    return new[0] if len(new) == 1 else None


def separate_fingerprint(place: Place, ordinal: int) -> str:
    """That of a place which shares its scanner's fingerprint with another one."""
    version = place.fingerprint.split(":", 1)[0]
    return f"{version}:{content_id([place.fingerprint, place.path, ordinal])}"


def _ordinals(places: Sequence[Place]) -> list[tuple[int, int]]:
    """(index, ordinal among the places of the same fingerprint and path), by path and line."""
    order = sorted(
        range(len(places)), key=lambda at: (places[at].path, places[at].start_line, places[at].end_line)
    )
    seen: Counter[tuple[str, str]] = Counter()
    result = []
    for at in order:
        key = (places[at].fingerprint, places[at].path)
        result.append((at, seen[key]))
        seen[key] += 1
    return result


def _with_ordinals(places: Sequence[Place]) -> Iterable[tuple[Place, int]]:
    return ((places[at], ordinal) for at, ordinal in _ordinals(places))


async def _last_paths(session: AsyncSession, task: Task, fingerprints: Iterable[str]) -> dict[str, str]:
    """Fingerprint → path of the newest occurrence, of those that the project has a finding of."""
    newest = (
        select(FindingOccurrence.path)
        .where(FindingOccurrence.finding_id == Finding.id)
        .order_by(FindingOccurrence.id.desc())
        .limit(1)
        .lateral("newest")
    )
    wanted = sorted(fingerprints)
    paths: dict[str, str] = {}
    for start in range(0, len(wanted), LOOKUP):
        query = (
            select(Finding.fingerprint, newest.c.path)
            .join(newest, true())
            .where(
                Finding.tenant_id == task.tenant_id,
                Finding.project_id == task.project_id,
                Finding.fingerprint.in_(wanted[start : start + LOOKUP]),
            )
        )
        paths.update((row.fingerprint, row.path) for row in await session.execute(query))
    return paths
