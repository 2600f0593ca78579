"""Ask the teacher model about every section that it hasn't answered yet, within a budget.

Each answer is written whole, as soon as it is there: a run that is killed, or that its budget stops, goes
on where it was. Two runs at once ask nothing twice, since the second waits for the first.
"""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from pathlib import Path

import msgspec
from tenacity import Retrying, retry_if_exception_type, stop_after_attempt, wait_exponential_jitter

from securetag.datasets import filters
from securetag.datasets.knowledge import teacher
from securetag.datasets.knowledge.credits import combine_licences
from securetag.datasets.knowledge.questions import MAX_PER_RECORD, make_questions
from securetag.datasets.knowledge.teacher import TeacherResponse, TeacherResponses
from securetag.datasets.licences import Purpose, is_allowed
from securetag.errors import InputError, LicenceError, ModelUnavailableError, SettingsError
from securetag.pipeline.release import read_sources
from securetag.records import Message, Record, Status
from securetag.scanning.secrets.mask import mask_issued
from securetag.serving.client import ModelClient, OllamaClient, RuntimeClient
from securetag.settings import Settings
from securetag.settings.sections import TeacherSettings
from securetag.system.files import write_atomic
from securetag.system.locks import FileLock
from securetag.triage import Completion, Profile

#: First and longest pause between two tries, seconds. Endpoints count requests by the minute.
PAUSE_S = (1.0, 60.0)
#: Sections that fail one after the other, all tries used up, before the endpoint counts as away.
FAILURES_IN_A_ROW = 5
#: Asked once more where the answer is no JSON of the schema; a model that can't do it won't the third time.
ASKS = 2

PURPOSES: tuple[Purpose, ...] = ("internal", "public")


class TeachReport(msgspec.Struct, frozen=True, kw_only=True):
    """What a run asked, what that gave and cost."""

    model_id: str
    prompt_version: str
    licence: str
    #: Purposes of a release that rows on these terms may enter; empty: they stop every release.
    may_enter: list[str]
    #: Sections that have room for rows of a teacher, as far as the run came.
    sections: int
    #: Of them answered before, answered now, and left after all tries.
    cached: int
    answered: int
    failed: int
    #: Tries that got no answer: what an endpoint bills for those isn't in `cost`.
    failed_tries: int
    #: Pairs of all answered sections, those of them that may be trained on, and why the others may not.
    pairs: int
    kept: int
    dropped: dict[str, int]
    #: Of this run.
    prompt_tokens: int
    completion_tokens: int
    cost: float
    wall_s: float
    #: Why it ended before all sections were asked; empty: it didn't.
    stopped: str = ""


class Budget:
    """What a run may still spend. What is under way counts with the most that it can cost."""

    def __init__(self, settings: TeacherSettings) -> None:
        self._settings = settings
        self._lock = threading.Lock()
        self.prompt_tokens = self.completion_tokens = self.failed_tries = 0
        self._reserved: tuple[int, int] = (0, 0)

    @property
    def cost(self) -> float:
        return self._price(self.prompt_tokens, self.completion_tokens)

    def reserve(self, messages: Sequence[Message]) -> bool:
        """Whether it can be asked whatever the answer's length; `record_use` it afterwards."""
        more = _most(messages)
        with self._lock:
            reserved = (self._reserved[0] + more[0], self._reserved[1] + more[1])
            prompt, completion = self.prompt_tokens + reserved[0], self.completion_tokens + reserved[1]
            limits = (
                (self._settings.budget, self._price(prompt, completion)),
                (self._settings.budget_tokens, prompt + completion),
            )
            if any(limit is not None and amount > limit for limit, amount in limits):
                return False
            self._reserved = reserved
            return True

    def record_use(self, messages: Sequence[Message], prompt_tokens: int, completion_tokens: int) -> None:
        """Count what was really spent in place of what was reserved."""
        most = _most(messages)
        with self._lock:
            self._reserved = (self._reserved[0] - most[0], self._reserved[1] - most[1])
            self.prompt_tokens += prompt_tokens
            self.completion_tokens += completion_tokens

    def failed(self) -> None:
        """Count a try without an answer."""
        with self._lock:
            self.failed_tries += 1

    def _price(self, prompt: int, completion: int) -> float:
        return (prompt * self._settings.price_prompt + completion * self._settings.price_completion) / 1e6


def teach(
    settings: Settings,
    *,
    client: ModelClient | None = None,
    sources: Sequence[str] | None = None,
    limit: int | None = None,
    profile: Profile | None = None,
    progress: Callable[[str], None] | None = None,
) -> TeachReport:
    """Ask about the sections of the extracted `sources`, at most `limit` new ones.

    `client` answers in place of the settings' endpoint and stays open. Raises SettingsError where model or
    license isn't set, ModelUnavailableError where the endpoint doesn't know the model.
    """
    licence = _licence(settings.teacher)
    teacher_client = client or _connect(settings)
    try:
        model_id = teacher_client.resolve().model_id
        with FileLock(settings.teacher_dir / ".lock"):
            run = _Run(settings, teacher_client, model_id, licence, profile or settings.triage.profile)
            return run.over(read_sources(settings, sources), limit, progress or (lambda _: None))
    finally:
        if client is None:
            teacher_client.close()


class _Run:
    """One run over the sections."""

    def __init__(
        self, settings: Settings, client: ModelClient, model_id: str, licence: str, profile: Profile
    ) -> None:
        self._folder, self._settings, self._client = settings.teacher_dir, settings.teacher, client
        self._model_id, self._licence, self._profile = model_id, licence, profile
        self._budget = Budget(settings.teacher)
        self._closing = threading.Event()
        self._dropped: Counter[str] = Counter()
        self._sections = self._cached = self._answered = self._failed = self._pairs = self._kept = 0
        self._stopped = ""

    def over(
        self, found_records: Iterator[Record], limit: int | None, say: Callable[[str], None]
    ) -> TeachReport:
        began = last_report = time.monotonic()
        in_a_row = 0
        open_records = self._unanswered(found_records, limit)
        under_way: dict[Future[TeacherResponse | None], Record] = {}
        with ThreadPoolExecutor(self._settings.concurrency, thread_name_prefix="teach") as pool:
            try:
                while True:
                    while not self._stopped and len(under_way) < self._settings.concurrency:
                        if (record := next(open_records, None)) is None:
                            break
                        if not self._budget.reserve(teacher.make_prompt(record)):
                            self._stopped = "the budget is used up"
                            break
                        under_way[pool.submit(self._answer, record)] = record
                    if not under_way:
                        break
                    for future in wait(under_way, return_when=FIRST_COMPLETED).done:
                        in_a_row = 0 if self._take(future, under_way.pop(future)) else in_a_row + 1
                    if in_a_row >= FAILURES_IN_A_ROW and not self._stopped:
                        self._stopped = f"the last {in_a_row} sections got no answer"
                    if time.monotonic() - last_report > 2:
                        last_report = time.monotonic()
                        say(
                            f"{self._answered:,} answered, {self._kept:,} pairs, cost {self._budget.cost:.2f}"
                        )
            finally:
                self._closing.set()
        return self._report(round(time.monotonic() - began, 1))

    def _unanswered(self, found_records: Iterator[Record], limit: int | None) -> Iterator[Record]:
        """Records to ask about; those answered before are counted on the way."""
        given = 0
        seen: set[str] = set()
        for record in found_records:
            if record.id in seen or not self._has_room(record):
                continue
            seen.add(record.id)
            self._sections += 1
            if (response := self._known(record)) is not None:
                self._cached += 1
                self._count(response, record)
            elif limit is None or given < limit:
                given += 1
                yield record
            else:
                self._stopped = self._stopped or f"{limit:,} sections were asked for"

    def _has_room(self, record: Record) -> bool:
        try:
            fit = record.status is Status.ACTIVE and filters.check_record(record, "internal") is None
        except LicenceError:
            return False  # no release may hold it: asking would be money lost
        return (
            fit
            and teacher.is_teachable(record)
            and len(make_questions(record, self._profile)) < MAX_PER_RECORD
        )

    def _known(self, record: Record) -> TeacherResponse | None:
        path = self._path(record)
        if not path.exists():
            return None
        try:
            response = teacher.read_response(path)
        except InputError:
            path.unlink()  # asked again
            return None
        if response.licence != self._licence:
            # The terms were stated anew; what the model wrote is the same.
            response = msgspec.structs.replace(response, licence=self._licence)
            self._keep(response, record)
        return response

    def _answer(self, record: Record) -> TeacherResponse | None:
        """Runs in a thread. None: no answer after all tries; the reservation is settled either way."""
        messages = teacher.make_prompt(record)
        spent = (0, 0)
        text: str | None = None
        try:
            for number in range(ASKS):
                if number and not self._budget.reserve(messages):
                    break  # the first answer stands as it is
                used = (0, 0)
                try:
                    answer = self._ask(messages)
                    used = _tokens(answer, messages)
                    text = answer.text
                finally:
                    self._budget.record_use(messages, *used)
                    spent = (spent[0] + used[0], spent[1] + used[1])
                if teacher.parse_pairs(text) is not None:
                    break
        except ModelUnavailableError:
            if text is None:
                return None
        response = TeacherResponse(
            key=teacher.response_key(self._model_id, record),
            model_id=self._model_id,
            prompt_version=teacher.PROMPT_VERSION,
            record_id=record.id,
            licence=self._licence,
            # A model that has read the world writes tokens that may be somebody's.
            text=mask_issued(text or ""),
            prompt_tokens=spent[0],
            completion_tokens=spent[1],
        )
        self._keep(response, record)
        return response

    def _ask(self, messages: Sequence[Message]) -> Completion:
        """Raises ModelUnavailableError after all tries."""
        tries = Retrying(
            retry=retry_if_exception_type(ModelUnavailableError),
            stop=lambda state: self._closing.is_set() or stop_after_attempt(self._settings.attempts)(state),
            wait=wait_exponential_jitter(multiplier=PAUSE_S[0], max=PAUSE_S[1], jitter=PAUSE_S[0]),
            sleep=self._pause,
            after=lambda _: self._budget.failed(),
            reraise=True,
        )
        return tries(
            self._client.chat,
            messages,
            schema=teacher.SCHEMA if self._settings.constrained else None,
            max_tokens=teacher.MAX_TOKENS,
            timeout_s=self._settings.timeout_s,
        )

    def _pause(self, seconds: float) -> None:
        self._closing.wait(seconds)

    def _take(self, future: Future[TeacherResponse | None], record: Record) -> bool:
        """Count what a section gave; return whether it was answered."""
        response = future.result()
        if response is None:
            self._failed += 1
            return False
        self._answered += 1
        self._count(response, record)
        return True

    def _count(self, response: TeacherResponse, record: Record) -> None:
        limit = MAX_PER_RECORD - len(make_questions(record, self._profile))
        kept, left = TeacherResponses([response]).make_rows(record, self._profile, limit)
        self._kept += len(kept)
        self._pairs += len(teacher.parse_pairs(response.text) or ())
        self._dropped.update(left)

    def _path(self, record: Record) -> Path:
        return self._folder / f"{teacher.response_key(self._model_id, record)}.json"

    def _keep(self, response: TeacherResponse, record: Record) -> None:
        write_atomic(self._path(record), msgspec.json.encode(response) + b"\n")

    def _report(self, wall_s: float) -> TeachReport:
        budget = self._budget
        return TeachReport(
            model_id=self._model_id,
            prompt_version=teacher.PROMPT_VERSION,
            licence=self._licence,
            may_enter=_purposes(self._licence),
            sections=self._sections,
            cached=self._cached,
            answered=self._answered,
            failed=self._failed,
            failed_tries=budget.failed_tries,
            pairs=self._pairs,
            kept=self._kept,
            dropped=dict(sorted(self._dropped.items())),
            prompt_tokens=budget.prompt_tokens,
            completion_tokens=budget.completion_tokens,
            cost=round(budget.cost, 6),
            wall_s=wall_s,
            stopped=self._stopped,
        )


def _licence(settings: TeacherSettings) -> str:
    if not settings.licence:
        raise SettingsError(
            "nobody said on which terms the teacher writes",
            hint="Set SECURETAG_TEACHER__LICENCE to an SPDX expression: Apache-2.0 for an open model, "
            "LicenseRef-Distilled-<vendor> where the terms forbid training other models.",
        )
    try:
        return combine_licences(settings.licence, settings.licence)
    except LicenceError as error:
        raise SettingsError(str(error), hint="See https://spdx.org/licenses/.") from error


def _purposes(licence: str) -> list[str]:
    try:
        return [purpose for purpose in PURPOSES if is_allowed(licence, purpose)]
    except LicenceError:
        return []


def _connect(settings: Settings) -> ModelClient:
    teacher_settings = settings.teacher
    if not teacher_settings.model:
        raise SettingsError(
            "no teacher model is set", hint="Set SECURETAG_TEACHER__MODEL; see docs/datasets.md."
        )
    if teacher_settings.backend == "ollama":
        return OllamaClient(settings.ollama_host, aliases=[teacher_settings.model])
    if not teacher_settings.url:
        raise SettingsError("the teacher has no address", hint="Set SECURETAG_TEACHER__URL, ending in /v1.")
    key = teacher_settings.api_key.get_secret_value() if teacher_settings.api_key else None
    return RuntimeClient(
        teacher_settings.url, run_dir=settings.run_dir, aliases=[teacher_settings.model], api_key=key
    )


def _most(messages: Sequence[Message]) -> tuple[int, int]:
    """Most tokens that a question and its answer take."""
    return filters.TEMPLATE_TOKENS + sum(
        filters.estimate_tokens(m.content) for m in messages
    ), teacher.MAX_TOKENS


def _tokens(answer: Completion, messages: Sequence[Message]) -> tuple[int, int]:
    """What the endpoint counted; an estimate from above where it counts nothing."""
    return answer.prompt_tokens or _most(messages)[0], answer.completion_tokens or filters.estimate_tokens(
        answer.text
    )
