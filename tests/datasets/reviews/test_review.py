"""Reviews: majority, agreement, export to and import from Argilla, and rows dropped by the next build."""

from __future__ import annotations

import json
import warnings
from collections.abc import Callable
from pathlib import Path
from unittest.mock import MagicMock

import pytest
from hypothesis import given
from hypothesis import strategies as st

from securetag.datasets.build import BuildParams, ReleaseSummary
from securetag.datasets.releases import release
from securetag.datasets.reviews import argilla, review
from securetag.datasets.reviews.review import Review, decide, measure_agreement
from securetag.errors import ConflictError, InputError
from securetag.pipeline import review as pipeline
from securetag.records import Example, Record
from securetag.settings import get_settings
from tests.plugins.small_build import build_small

USERS = ["6f0d4f8a-0d1e-4a9b-8f86-2f4f5f1f6f1a", "7c9e6679-7425-40de-944b-e07fc1f90ae7"]


def review_of(example: str, reviewer: str, answer: review.Answer, at: str = "2026-01-01T00:00:00Z") -> Review:
    return Review(example_id=example, reviewer=reviewer, answer=answer, at=at)


def test_the_majority_of_latest_reviews_decides() -> None:
    reviews = [
        review_of("a", "x", "accept"),
        review_of("a", "y", "accept"),
        review_of("a", "z", "reject"),
        review_of("b", "x", "accept"),
        review_of("b", "y", "reject"),
        review_of("c", "x", "accept"),
        review_of("c", "x", "reject", "2026-01-02T00:00:00Z"),
    ]
    assert decide(reviews) == {"a": "accepted", "b": "disputed", "c": "rejected"}
    assert decide(reversed(reviews)) == decide(reviews)


def test_alpha_equals_krippendorffs_example() -> None:
    """His own example of nominal data for two observers and ten units: alpha 0.095, six of ten agree.

    Computing Krippendorff's Alpha-Reliability, section B (https://repository.upenn.edu/asc_papers/43).
    """
    first, second = [0, 1, 0, 0, 0, 0, 0, 0, 1, 0], [1, 1, 1, 0, 0, 1, 0, 0, 0, 0]
    reviews = [
        review_of(str(unit), name, "accept" if values[unit] else "reject")
        for name, values in (("a", first), ("b", second))
        for unit in range(10)
    ]
    agreement = measure_agreement(reviews)
    assert (agreement.examples, agreement.reviews, agreement.observed) == (10, 20, 0.6)
    assert agreement.alpha == pytest.approx(0.095, abs=0.001)


@given(
    st.lists(
        st.builds(
            review_of, st.sampled_from("abc"), st.sampled_from("xyz"), st.sampled_from(["accept", "reject"])
        )
    )
)
def test_agreement_is_bounded_and_alpha_is_one_if_all_agree(reviews: list[Review]) -> None:
    agreement = measure_agreement(reviews)
    assert agreement.observed is None or 0 <= agreement.observed <= 1
    assert agreement.alpha is None or -1 <= agreement.alpha <= 1
    decisions = decide(reviews)
    if agreement.observed == 1:
        assert agreement.alpha in (1, None)
        shared = {w.example_id for w in reviews}
        assert all(decisions[name] in ("accepted", "rejected") for name in shared)


def answered(folder: Path, answers: dict[int, list[str]]) -> Path:
    """Argilla's records.json after people answered: record number → an answer of each user."""
    records = json.loads((folder / "records.json").read_text())
    for number, given_answers in answers.items():
        records[number]["responses"] = {
            "answer": [
                {"value": value, "user_id": user} for user, value in zip(USERS, given_answers, strict=False)
            ],
            "comment": [{"value": "because", "user_id": USERS[0]}],
        }
    path = folder.parent / "answered.json"
    path.write_text(json.dumps(records))
    return path


def test_rejected_and_disputed_rows_are_dropped_from_the_next_build(
    built: ReleaseSummary, record: Callable[..., Record], tmp_path: Path
) -> None:
    out = tmp_path / "review"
    assert pipeline.export_for_review(Path(built.path), out, rows=30, overlap=2, seed=1) == 30
    with pytest.raises(ConflictError):
        pipeline.export_for_review(Path(built.path), out, rows=30, overlap=2, seed=1)
    records = json.loads((out / "records.json").read_text())
    assert {record["metadata"]["source"] for record in records} == set(built.by_source)
    knowledge = [n for n, record in enumerate(records) if record["metadata"]["source"] == "test-weaknesses"]
    bad, split_on, good = knowledge[:3]
    settings = get_settings()
    path = answered(
        out, {bad: ["reject", "reject"], split_on: ["accept", "reject"], good: ["accept", "accept"]}
    )
    assert len(pipeline.import_argilla(path, settings)) == 6
    assert pipeline.import_argilla(path, settings) == []  # no new answers
    first = pipeline.read_reviews(settings)[0]
    assert (first.reviewer, first.comment, first.release) == (f"argilla/{USERS[0]}", "because", built.release)
    assert first.at.endswith("Z")

    def again(decisions: review.Decisions) -> ReleaseSummary:
        records = [record(n) for n in range(40)]
        params = BuildParams(seed=7, synthetic=0, knowledge=500)
        return build_small(tmp_path, records, params, reviews=decisions)

    before, after = again(review.NO_DECISIONS), again(pipeline.read_decisions(settings))
    ids = {row.id for row in rows(after)}
    assert {row.id for row in rows(before)} - ids == {records[bad]["id"], records[split_on]["id"]}
    assert records[good]["id"] in ids
    assert (after.dropped["review_rejected"], after.dropped["review_disputed"]) == (1, 1)
    assert again(pipeline.read_decisions(settings)).digest == after.digest != before.digest


def rows(built: ReleaseSummary) -> list[Example]:
    splits = release.read_release(Path(built.path))
    return [*splits.train, *splits.validation, *splits.test]


def test_argilla_itself_reads_the_bundle(
    built: ReleaseSummary, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The client's own classes, without a server: settings and every record, with overlap."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it was written for an older pydantic
        rg = pytest.importorskip("argilla")
        monkeypatch.setattr(rg.Argilla, "_get_default", classmethod(lambda _: MagicMock()))
        out = tmp_path / "review"
        pipeline.export_for_review(Path(built.path), out, rows=12, overlap=3, seed=0)
        settings = rg.Settings.from_json(out / ".argilla" / "settings.json")
        settings.validate()
        assert settings.distribution.min_submitted == 3
        assert [question.name for question in settings.questions] == ["answer", "comment"]
        dataset = rg.Dataset._load_dataset_model(out / ".argilla" / "dataset.json")
        assert dataset.name == f"securetag-{built.release}-review"
        records = [rg.Record.from_dict(entry) for entry in json.loads((out / "records.json").read_text())]
        for record in records:
            assert set(record.metadata) <= {prop.name for prop in settings.metadata}
            assert record.fields["conversation"][-1]["role"] == "assistant"
            record.responses.add(rg.Response("answer", "reject", user_id=USERS[0], status="submitted"))
        # What the client writes, we read.
        from argilla.records._io import JsonIO

        JsonIO.to_json(records, tmp_path / "back.json")
    back = argilla.read_answers(tmp_path / "back.json", at="2026-01-01T00:00:00Z")
    assert {(answer.answer, answer.reviewer) for answer in back} == {("reject", f"argilla/{USERS[0]}")}
    assert {answer.example_id for answer in back} == {record.id for record in records}


@pytest.mark.parametrize(
    "content",
    [
        pytest.param(b"", id="empty file"),
        pytest.param(b"{}", id="object"),
        pytest.param(b"[1]", id="list of numbers"),
        pytest.param(b"\xff", id="not UTF-8"),
        pytest.param(b"[" * 99_999, id="deep nesting"),
        pytest.param(
            b'[{"id": "x", "responses": {"answer": [{"value": "maybe", "user_id": "u"}]}}]',
            id="unknown answer",
        ),
    ],
)
def test_a_file_that_argilla_did_not_write_is_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "records.json").write_bytes(content)
    with pytest.raises(InputError):
        argilla.read_answers(tmp_path, at="")


def test_drafts_and_discarded_answers_are_ignored(tmp_path: Path) -> None:
    states = ["draft", "discarded", "submitted"]
    answers = [{"value": "accept", "user_id": state, "status": state} for state in states]
    (tmp_path / "records.json").write_text(json.dumps([{"id": "x", "responses": {"answer": answers}}]))
    assert [answer.reviewer for answer in argilla.read_answers(tmp_path, at="")] == ["argilla/submitted"]


def test_a_broken_line_of_reviews_stops_the_build() -> None:
    settings = get_settings()
    pipeline.record_reviews([review_of("a", "x", "accept")], settings)
    with (settings.data / pipeline.FILE).open("a") as out:
        out.write('{"example_id": "b", "ans')
    with pytest.raises(InputError, match="line 2"):
        pipeline.read_decisions(settings)
