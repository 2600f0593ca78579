"""Reviews on disk: `<data>/reviews.jsonl`, one line a review, which the next build reads."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

import msgspec

from securetag.datasets.releases.release import read_release
from securetag.datasets.reviews import argilla
from securetag.datasets.reviews.review import Decisions, Review, decide, latest_reviews
from securetag.errors import ConflictError, InputError
from securetag.settings import Settings
from securetag.system.clock import utc_timestamp
from securetag.system.files import draft_folder, write_atomic
from securetag.system.locks import FileLock

FILE = "reviews.jsonl"


def read_reviews(settings: Settings) -> list[Review]:
    """Every review that was recorded. Raises InputError naming a line that can't be read."""
    path = settings.data / FILE
    try:
        lines = path.read_bytes().splitlines()
    except FileNotFoundError:
        return []
    decoder = msgspec.json.Decoder(Review)
    reviews: list[Review] = []
    for number, line in enumerate(lines, 1):
        try:
            reviews.append(decoder.decode(line))
        except (msgspec.DecodeError, UnicodeError) as error:
            raise InputError(
                f"{path.name}, line {number}: no review ({error})",
                hint="Correct the line or take it out: a build that passed over it would differ silently.",
            ) from error
    return reviews


def record_reviews(reviews: Iterable[Review], settings: Settings) -> Sequence[Review]:
    """Add reviews; returns those that are new. What a reviewer's last word says already adds nothing."""
    settings.data.mkdir(parents=True, exist_ok=True)
    with FileLock(settings.data / f".{FILE}.lock"):
        recorded = read_reviews(settings)
        latest_answers = {
            (review.example_id, review.reviewer): (review.answer, review.comment)
            for review in latest_reviews(recorded)
        }
        new = [
            review
            for review in reviews
            if latest_answers.get((review.example_id, review.reviewer)) != (review.answer, review.comment)
        ]
        if new:
            lines = b"".join(msgspec.json.encode(review) + b"\n" for review in [*recorded, *new])
            write_atomic(settings.data / FILE, lines)
        return new


def read_decisions(settings: Settings) -> Decisions:
    """What the recorded reviews amount to."""
    return decide(read_reviews(settings))


def export_for_review(release: Path, out: Path, *, rows: int, overlap: int, seed: int) -> int:
    """Write a choice of rows for Argilla; returns how many. Raises ConflictError, ReleaseError."""
    source = read_release(release)
    examples = argilla.sample_rows(source, rows, seed)
    with draft_folder(out.absolute().parent) as draft:
        for name, text in argilla.make_bundle(examples, source.manifest.digest, overlap=overlap).items():
            (draft.path / name).parent.mkdir(exist_ok=True)
            (draft.path / name).write_text(text, encoding="utf-8")
        if not draft.commit(out.absolute(), read_only=True):
            raise ConflictError(f"{out} is not free", hint="Name a folder that doesn't exist yet.")
    return len(examples)


def import_argilla(path: Path, settings: Settings) -> Sequence[Review]:
    """Record the answers of an exported dataset; returns the new ones. Raises InputError."""
    return record_reviews(argilla.read_answers(path, at=utc_timestamp()), settings)
