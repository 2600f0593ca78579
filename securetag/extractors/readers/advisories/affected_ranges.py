"""Evaluate the version ranges of OSV and of CVE 5 by their specifications' algorithms, and render the result.

OSV: https://ossf.github.io/osv-schema/#evaluation. CVE 5: `versions` in
https://github.com/CVEProject/cve-schema/blob/main/schema/docs/versions.md (the first matching entry decides).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence

import msgspec

from securetag.extractors.readers.advisories.advisory import Fix, RangeNote, Versions, drop_repeated
from securetag.extractors.readers.advisories.version_order import (
    FIRST,
    LAST,
    Bound,
    Scheme,
    Segment,
    is_comparable,
    make_end,
    make_point,
    make_start,
    subtract,
    unite,
)

#: Ecosystems of OSV whose versions are SemVer.
_SEMVER_ECOSYSTEMS = {"go", "npm", "crates.io", "hex", "swifturl", "pub"}
_LAST_KNOWN = re.compile(r"\s*(<=?)\s*(\S+)\s*")
_COMMIT_HASH = re.compile(r"[0-9a-f]{12,64}")


# OSV


def evaluate_osv(
    name: str,
    ecosystem: str,
    ranges: Iterable[tuple[str, Sequence[Mapping[str, str]]]],
    versions: Sequence[str] = (),
    last_known: str = "",
) -> Versions:
    """Return the affected versions of (type, events) ranges and of an enumeration beside them.

    `last_known` is GitHub's `last_known_affected_version_range` (`<= 29.0`): it bounds a range that no event
    ends. A range without `introduced`, which the schema forbids, starts before all versions.
    """
    segments: list[Segment] = []
    notes: dict[str, RangeNote] = {}
    scheme: Scheme = "semver" if ecosystem.split(":", 1)[0].lower() in _SEMVER_ECOSYSTEMS else "generic"
    last_end = _parse_last_known(last_known, scheme)
    for kind, events in ranges:
        if kind == "GIT":
            continue
        for segment in evaluate_events(events, "semver" if kind == "SEMVER" else scheme):
            note: RangeNote | None = "limit" if _is_limit(segment.end, events) else None
            if last_end and segment.end == LAST and segment.start.place < last_end.place:
                segment, note = Segment(segment.start, last_end), "unfixed"  # noqa: PLW2901
            segments.append(segment)
            if note:
                notes[str(segment)] = note
    segments = unite(segments)
    listed = [
        version
        for version in versions
        if not any(segment.contains(make_point(version, scheme).start) for segment in segments)
    ]
    texts = [str(segment) for segment in segments]
    return Versions(
        "/".join(part for part in (ecosystem, name) if part),
        [*texts, *listed],
        notes={text: notes[text] for text in texts if text in notes},
    )


def evaluate_events(events: Sequence[Mapping[str, str]], scheme: Scheme = "generic") -> list[Segment]:
    """Return what the events of one range affect, whatever their order in the file."""
    bounds: list[tuple[Bound, bool]] = []
    limits = [make_end(event["limit"], scheme) for event in events if "limit" in event]
    for event in events:
        if "introduced" in event:
            bounds.append((make_start(event["introduced"], scheme), True))
        elif "fixed" in event:
            bounds.append((make_start(event["fixed"], scheme), False))
        elif "last_affected" in event:
            bounds.append((make_start(event["last_affected"], scheme, excluded=True), False))
    if bounds and not any(introduces for _, introduces in bounds):
        bounds.insert(0, (FIRST, True))
    segments, start = [], None
    for bound, introduces in sorted(bounds, key=lambda item: item[0].place):
        if introduces:
            start = start or bound
        elif start:
            segments.append(Segment(start, bound))
            start = None
    if start:
        segments.append(Segment(start, LAST))
    if limits:
        end = max(limits, key=lambda bound: bound.place)
        segments = subtract(segments, [Segment(end, LAST)])
    return unite(segments)


def _is_limit(end: Bound, events: Sequence[Mapping[str, str]]) -> bool:
    return any(event.get("limit") == end.version for event in events) and not any(
        end.version in (event.get("fixed"), event.get("last_affected")) for event in events
    )


def _parse_last_known(text: str, scheme: Scheme) -> Bound | None:
    match = _LAST_KNOWN.fullmatch(text)
    return make_end(match[2], scheme, included=match[1] == "<=") if match else None


# CVE 5


class VersionEntry(msgspec.Struct, frozen=True):
    """One entry of a product's `versions`."""

    version: str = ""
    status: str = "affected"
    less_than: str = ""
    less_than_or_equal: str = ""
    version_type: str = ""
    #: (version, status) in upstream's order.
    changes: list[tuple[str, str]] = []

    @property
    def high(self) -> str:
        """The upper bound; empty for a single version."""
        return self.less_than or self.less_than_or_equal

    @property
    def is_commit(self) -> bool:
        """Whether the entry is about commits, which mean nothing to a reader."""
        return self.version_type == "git" or any(
            _COMMIT_HASH.fullmatch(text) and not text.isdecimal() for text in (self.version, self.high)
        )


def evaluate_product(name: str, default_status: str, entries: Sequence[VersionEntry]) -> Versions | None:
    """Return the affected versions of a product; None where no version is affected.

    Entries about commits say only that the product is affected.
    """
    commits = [entry for entry in entries if entry.is_commit]
    entries = [entry for entry in entries if not entry.is_commit]
    if not entries:
        if commits and not any(entry.status == "affected" for entry in commits):
            return None if default_status != "affected" else Versions(name)
        is_affected = default_status == "affected" and not commits
        return None if default_status == "unaffected" and not commits else Versions(name, ["*"] * is_affected)
    scheme: Scheme = "semver" if any(entry.version_type == "semver" for entry in entries) else "generic"
    comparable = [entry for entry in entries if _is_range(entry) or is_comparable(entry.version)]
    words = [entry for entry in entries if entry not in comparable]
    affected = _evaluate_entries(comparable, default_status, scheme)
    fixes = _list_fixes(comparable, affected, scheme)
    branches = [segment for fix in fixes if (segment := _make_fixed_segment(fix, scheme))]
    merged = unite([*affected, *(s for s in branches if any(s.start == part.end for part in affected))])
    is_shorter = len(merged) == 1 or any(fix.branch for fix in fixes)
    merged = merged if is_shorter and _is_exact(merged, branches, affected) else affected
    merged, holes = _join_at_holes(merged)
    ranges = [str(s) if not _is_point(s) else s.start.version for s in merged]
    ranges += [text for entry in words if entry.status == "affected" and (text := _get_words(entry))]
    exceptions = [
        text for entry in words if entry.status != "affected" and (text := _get_words(entry)) and merged
    ]
    if not ranges:
        is_named_only = any(entry.status == "affected" for entry in (*words, *commits))
        return Versions(name) if is_named_only else None
    shown = fixes if merged else []
    ends = {segment.end.version for segment in merged if not segment.end.side}
    return Versions(
        name,
        drop_repeated(ranges),
        exceptions=[*holes, *exceptions],
        fixed=[fix for fix in shown if fix.branch or fix.version not in ends],
    )


def _is_range(entry: VersionEntry) -> bool:
    return bool(entry.high) and (
        is_comparable(entry.high) or make_end(entry.high) == LAST or bool(re.search(r"\d", entry.high))
    )


def _get_words(entry: VersionEntry) -> str:
    text = entry.version.strip()
    return "" if text.lower() in ("n/a", "na", "unknown", "none", "-", "") else text


def _make_segment(entry: VersionEntry, scheme: Scheme) -> Segment:
    if not entry.high:
        return make_point(entry.version, scheme)
    end = make_end(entry.high, scheme, included=not entry.less_than)
    return Segment(make_start(entry.version, scheme), end)


def _evaluate_entries(entries: Sequence[VersionEntry], default_status: str, scheme: Scheme) -> list[Segment]:
    """Return the affected versions: each version has the status of the first entry that covers it."""
    covered: list[Segment] = []
    affected: list[Segment] = []
    for entry in entries:
        segment = _make_segment(entry, scheme)
        changes = entry.changes if entry.high else []
        affected += subtract(_apply_changes(segment, entry.status, changes, scheme), covered)
        covered = unite([*covered, segment])
    if default_status == "affected":
        affected += subtract([Segment()], covered)
    return unite(affected)


def _apply_changes(
    segment: Segment, status: str, changes: Sequence[tuple[str, str]], scheme: Scheme
) -> list[Segment]:
    """Return the affected part of an entry: of the changes that apply, the last of the list decides."""
    affected = [segment] if status == "affected" else []
    for at, changed in changes:
        after = Segment(make_start(at, scheme), LAST)
        affected = subtract(affected, [after])
        if changed == "affected":
            affected += subtract([segment], [Segment(FIRST, after.start)])
    return unite(affected)


def _list_fixes(entries: Sequence[VersionEntry], affected: Sequence[Segment], scheme: Scheme) -> list[Fix]:
    """Return the versions that a publisher names as fixed, with their branch (`6.1.*`) where there is one.

    A fix is the start of an unaffected branch, or a change to unaffected behind all affected versions.
    """
    fixes = []
    for entry in entries:
        if entry.status == "unaffected" and entry.less_than_or_equal and is_comparable(entry.version):
            branch = "" if make_end(entry.high) == LAST else entry.high
            fix = Fix(entry.version, branch)
            is_start = make_start(entry.version, scheme) != FIRST and (not branch or branch.endswith("*"))
            if is_start and _is_disjoint(_make_fixed_segment(fix, scheme), affected):
                fixes.append(fix)
        elif entry.status == "affected" and entry.changes:
            fix = Fix(entry.changes[-1][0])
            is_fix = entry.changes[-1][1] == "unaffected" and is_comparable(fix.version)
            if is_fix and _is_disjoint(_make_fixed_segment(fix, scheme), affected):
                fixes.append(fix)
    return list(dict.fromkeys(fixes))


def _make_fixed_segment(fix: Fix, scheme: Scheme) -> Segment:
    end = make_end(fix.branch, scheme, included=True) if fix.branch else LAST
    return Segment(make_start(fix.version, scheme), end)


def _is_disjoint(segment: Segment, others: Sequence[Segment]) -> bool:
    return unite(subtract(others, [segment])) == unite(others)


def _is_exact(merged: Sequence[Segment], removed: Sequence[Segment], affected: Sequence[Segment]) -> bool:
    """Return whether `merged` without `removed` is what is affected."""
    left = [(s.start.place, s.end.place) for s in subtract(merged, removed)]
    return left == [(s.start.place, s.end.place) for s in affected]


def _is_point(segment: Segment) -> bool:
    return segment.start.key == segment.end.key and (segment.start.side, segment.end.side) == (0, 1)


def _join_at_holes(segments: Sequence[Segment]) -> tuple[list[Segment], list[str]]:
    """Join segments that only one version separates; return the segments and those versions."""
    joined: list[Segment] = []
    holes = []
    for segment in segments:
        before = joined[-1] if joined else None
        if before and before.end.key == segment.start.key and (before.end.side, segment.start.side) == (0, 1):
            joined[-1] = Segment(before.start, segment.end)
            holes.append(segment.start.version)
        else:
            joined.append(segment)
    return joined, holes
