"""What a build leaves out, why, and in which step: each drop is counted and stays in the release."""

from __future__ import annotations

from enum import StrEnum
from typing import Literal, NamedTuple, get_args

import msgspec

from securetag.records import Example, Status

#: Steps of a build, in order. The first four make rows; the others take rows away.
BuildStep = Literal[
    "records",
    "feedback",
    "fixes",
    "synthetic",
    "reviews",
    "filters",
    "duplicates",
    "evaluation suites",
    "split",
    "share of a tenant",
    "mix",
]
#: The steps that take rows away.
ROW_STEPS: tuple[BuildStep, ...] = get_args(BuildStep)[4:]


class DropReason(StrEnum):
    """Why something isn't in a release.

    The value is stored in `dropped.parquet` and in the manifest's counts, and never changes its meaning.
    `step` is the step that dropped it, `text` the reason for people.
    """

    step: BuildStep
    text: str

    def __new__(cls, value: str, step: BuildStep = "records", text: str = "") -> DropReason:
        member = str.__new__(cls, value)
        member._value_ = value
        member.step, member.text = step, text
        return member

    RECORD_SUPERSEDED = "record_superseded", "records", "the Record is superseded"
    RECORD_DEPRECATED = "record_deprecated", "records", "the Record is deprecated"
    RECORD_REVOKED = "record_revoked", "records", "the Record is revoked"
    RECORD_WITHDRAWN = "record_withdrawn", "records", "the Record is withdrawn"
    RECORD_REJECTED = "record_rejected", "records", "the Record is rejected"
    RECORD_LICENCE = "record_licence", "records", "the Record's license doesn't allow the purpose"
    RECORD_TOO_SHORT = "record_too_short", "records", "the Record's text is too short"
    RECORD_LANGUAGE = "record_language", "records", "the Record's language isn't in the mix"
    RECORD_ERASED = "record_erased", "records", "the Record's source was withdrawn"
    RECORD_NO_SENTENCE = "record_no_sentence", "records", "no whole sentence of the Record fits an answer"
    RECORD_IN_TEST = "record_in_test", "records", "the Record is in the test split as a fix"
    ANSWER_LOOKUP = "answer_lookup", "records", "the answer is a key, a status, a category or a number alone"
    ANSWER_IN_QUESTION = "answer_in_question", "records", "the question has the words of its answer"
    ANSWER_BOILERPLATE = "answer_boilerplate", "records", "many Records say the same, or it advises nothing"
    ANSWER_VERBATIM = "answer_verbatim", "records", "a summary is asked for and the text itself is the answer"
    ANSWER_LANGUAGE = "answer_language", "records", "question or answer is in another language"
    ANSWER_CUT = "answer_cut", "records", "the answer stops before what it announces"
    TEACHER_NO_JSON = "teacher_no_json", "records", "the teacher's response isn't JSON of the schema"
    TEACHER_NO_ROOM = "teacher_no_room", "records", "the teacher's Record has its rows already"
    TEACHER_TOO_LONG = "teacher_too_long", "records", "the teacher's answer is too long"
    TEACHER_LANGUAGE = "teacher_language", "records", "the teacher's pair is in another language"
    TEACHER_REFERS = (
        "teacher_refers",
        "records",
        "the teacher's pair is about the text instead of its subject",
    )
    TEACHER_NO_ANSWER = "teacher_no_answer", "records", "the teacher's answer doesn't answer"
    TEACHER_VAGUE = "teacher_vague", "records", "the section alone doesn't answer the teacher's question"
    TEACHER_REPEATED = "teacher_repeated", "records", "the teacher asked the question twice"
    INVENTED_NUMBER = "invented_number", "records", "the teacher's number or identifier isn't in the section"
    INVENTED_NAME = "invented_name", "records", "the teacher's name isn't in the section"
    INVENTED_CODE = "invented_code", "records", "the teacher's code isn't in the section"
    INVENTED_QUOTE = "invented_quote", "records", "the teacher's quotation isn't in the section"
    UNSUPPORTED = "unsupported", "records", "the section doesn't support a sentence of the teacher"
    CONTRADICTED = "contradicted", "records", "the section contradicts a sentence of the teacher"

    VERDICT_ERASED = "verdict_erased", "feedback", "the verdict was erased"
    VERDICT_CONSENT_ENDED = "verdict_consent_ended", "feedback", "the consent ended after the harvest"
    VERDICT_DISAGREEMENT = "verdict_disagreement", "feedback", "the finding's reviewers disagree"
    VERDICT_CONTRADICTION = "verdict_contradiction", "feedback", "the tenant contradicts the others"
    VERDICT_BULK = "verdict_bulk", "feedback", "a bulk decision is one vote, which another row has"

    FIX_NOT_REMOVED = "fix_not_removed", "fixes", "the fix didn't remove the finding"
    FIX_NO_FINDING = "fix_no_finding", "fixes", "no rule of ours reports the vulnerable code"
    FIX_LANGUAGE = "fix_language", "fixes", "our rules don't read the fix's language"
    FIX_OF_TEST = "fix_of_test", "fixes", "the fixed code is a test's"
    FIX_OTHER_WEAKNESS = "fix_other_weakness", "fixes", "the advisory is about another weakness"
    FIX_ELSEWHERE = "fix_elsewhere", "fixes", "the correction changed nothing that reaches what is flagged"
    FIX_REPEATED = "fix_repeated", "fixes", "the rule reports the function twice"
    FIX_UNPAIRED = "fix_unpaired", "fixes", "the fixed code isn't reported, so that it has no counterpart"
    FIX_NOT_SHOWN = "fix_not_shown", "fixes", "the code that is shown doesn't have the guard"

    SYNTHETIC_NOT_JUDGED = "synthetic_not_judged", "synthetic", "the oracle can't judge the function"
    SYNTHETIC_NO_FINDING = "synthetic_no_finding", "synthetic", "no rule of ours reports the function's sink"
    SYNTHETIC_NOT_SHOWN = (
        "synthetic_not_shown",
        "synthetic",
        "the code that is shown of both functions is the same",
    )
    SYNTHETIC_MISSING = "synthetic_missing", "synthetic", "fewer pairs than asked for could be made"

    REVIEW_REJECTED = "review_rejected", "reviews", "its reviewers rejected the row"
    REVIEW_DISPUTED = "review_disputed", "reviews", "its reviewers disagree on the row"

    ROW_EMPTY = "row_empty", "filters", "nothing in the row can be trained on"
    ROW_SHORT_ANSWER = "row_short_answer", "filters", "the row's answer is too short"
    ROW_LONG_ANSWER = "row_long_answer", "filters", "the row's answer is too long for the profile"
    ROW_TOO_LONG = "row_too_long", "filters", "the row is too long for the profile"
    ROW_LICENCE = "row_licence", "filters", "the row's license doesn't allow the purpose"
    ROW_UNPAIRED = "row_unpaired", "filters", "the other half of the row's pair was left out"

    DUPLICATE = "duplicate", "duplicates", "another row has the same question and answer"
    DUPLICATE_NEAR = "duplicate_near", "duplicates", "another row has nearly the same words"
    DUPLICATE_CONTRADICTION = "duplicate_contradiction", "duplicates", "the same question has two labels"

    SUITE_EXACT = "suite_exact", "evaluation suites", "an evaluation suite has the same text"
    SUITE_NORMALISED = "suite_normalised", "evaluation suites", "an evaluation suite has the same words"
    SUITE_NGRAM = "suite_ngram", "evaluation suites", "the row overlaps with an evaluation suite"

    SPLIT_IDENTIFIER = "split_identifier", "split", "its identifier is in another split"
    SPLIT_EXACT = "split_exact", "split", "another split has the same text"
    SPLIT_NORMALISED = "split_normalised", "split", "another split has the same words"
    SPLIT_NGRAM = "split_ngram", "split", "the row overlaps with another split"

    TENANT_SHARE = "tenant_share", "share of a tenant", "its tenant has its share of the label already"

    MIX_SHARE = "mix_share", "mix", "its tier, task, source or language has its share already"
    MIX_WEIGHT = "mix_weight", "mix", "its tier, task, source or language has no share in the mix"

    @classmethod
    def of_status(cls, status: Status) -> DropReason:
        """Return the reason for a Record that isn't active."""
        return cls(f"record_{status.value}")


def describe_reason(reason: str) -> str:
    """Return the text of a stored reason; the reason itself where an older version wrote it."""
    return DropReason(reason).text if reason in set(DropReason) else reason


class Drop(msgspec.Struct, frozen=True, kw_only=True):
    """Something that was left out. `n` counts what never became rows of its own."""

    reason: DropReason
    source: str
    task: str = ""
    id: str = ""
    n: int = 1
    #: The row because of which this one went: an Example's id, or `suite/row`.
    against: str = ""
    #: What of the reason is particular to this one: a language, an error, a bucket.
    detail: str = ""

    @classmethod
    def of(cls, example: Example, reason: DropReason, against: str = "") -> Drop:
        """Return the drop of a row."""
        return cls(
            reason=reason,
            source=example.source,
            task=example.task.value,
            id=example.id,
            against=against,
        )


class StepResult(NamedTuple):
    """What a step of the build gives: the rows that stay, and those that it dropped."""

    rows: list[Example]
    drops: list[Drop]
