"""Reviews on disk: `<data>/reviews.jsonl`, one line a review, which the next build reads."""

from __future__ import annotations

import fcntl
import os
import tempfile
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from pathlib import Path

import msgspec

from securetag.datasets.releases import drafts
from securetag.datasets.releases.release import read
from securetag.datasets.reviews import argilla
from securetag.datasets.reviews.review import Decisions, Review, decide, latest
from securetag.errors import ConflictError, InputError
from securetag.settings import Settings

FILE = "reviews.jsonl"


def read_reviews(settings: Settings) -> list[Review]:
    """Every review that was recorded. Raises InputError naming a line that can't be read."""
    path = settings.data / FILE
    try:
        lines = path.read_bytes().splitlines()
    except FileNotFoundError:
        return []
    decoder = msgspec.json.Decoder(Review)
    found: list[Review] = []
    for number, line in enumerate(lines, 1):
        try:
            found.append(decoder.decode(line))
        except (msgspec.DecodeError, UnicodeError) as error:
            raise InputError(
                f"{path.name}, line {number}: no review ({error})",
                hint="Correct the line or take it out: a build that passed over it would differ silently.",
            ) from error
    return found


def record(reviews: Iterable[Review], settings: Settings) -> Sequence[Review]:
    """Add reviews; returns those that are new. What a reviewer's last word says already adds nothing."""
    settings.data.mkdir(parents=True, exist_ok=True)
    with (settings.data / f".{FILE}.lock").open("a") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        known = read_reviews(settings)
        said = {(one.example_id, one.reviewer): (one.answer, one.comment) for one in latest(known)}
        new = [
            one for one in reviews if said.get((one.example_id, one.reviewer)) != (one.answer, one.comment)
        ]
        if new:
            _replace(settings.data / FILE, [*known, *new])
        return new


def decisions(settings: Settings) -> Decisions:
    """What the recorded reviews amount to."""
    return decide(read_reviews(settings))


def export(release: Path, out: Path, *, rows: int, overlap: int, seed: int) -> int:
    """Write a choice of rows for Argilla; returns how many. Raises ConflictError, ReleaseError."""
    found = read(release)
    examples = argilla.sample(found, rows, seed)
    with drafts.draft(out.absolute().parent) as folder:
        for name, text in argilla.bundle(examples, found.manifest.digest, overlap=overlap).items():
            (folder / name).parent.mkdir(exist_ok=True)
            (folder / name).write_text(text, encoding="utf-8")
        if not drafts.settle(folder, out.absolute()):
            raise ConflictError(f"{out} is not free", hint="Name a folder that doesn't exist yet.")
    return len(examples)


def import_argilla(path: Path, settings: Settings) -> Sequence[Review]:
    """Record the answers of an exported dataset; returns the new ones. Raises InputError."""
    now = datetime.now(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
    return record(argilla.read(path, at=now), settings)


def _replace(path: Path, reviews: Sequence[Review]) -> None:
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "wb") as out:
            out.write(b"".join(msgspec.json.encode(review) + b"\n" for review in reviews))
            out.flush()
            os.fsync(out.fileno())
        Path(temporary).replace(path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise
