"""Is the file that is served the model that was trained? One receipt for each published model.

The same held-out rows go through the adapter on its base, the merged model, and the quantized file that the
runtime serves. Each is read at the token that begins the verdict, after what the served file has written
before it, by the product's own score (`securetag.calibration.read_margin`).
"""

from __future__ import annotations

import hashlib
import tempfile
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from securetag import triage
from securetag.calibration import Calibration, count_to_verdict, judge, read_margin
from securetag.datasets.releases.release import find_release, read_release
from securetag.errors import ConflictError, GateError, ModelUnavailableError
from securetag.evaluation.suites import select_scorable
from securetag.pipeline.model_scores import SLOTS, open_model
from securetag.records import Decision, Example
from securetag.serving.client import make_predictor
from securetag.serving.registry import ModelEntry, Parity, Registry
from securetag.settings import Settings
from securetag.system.clock import utc_timestamp
from securetag.training import parity as trained
from securetag.training.merge import adapter_digest
from securetag.triage import Completion, Profile

#: Seconds for one answer of the served file.
ANSWER_S = 120.0
#: Share of the rows that may be without a score.
MAX_UNSCORED = 0.02
#: Rows of a model that only the demo's gate let through, where no verdict differs: 200 would take a sixth of
#: what a demo may cost.
DEMO_ROWS = 60
#: Tokens that the served file may write: a compact answer begins with its verdict, the rest isn't read.
MAX_TOKENS: dict[Profile, int] = {"compact": 16, "full": triage.MAX_ANSWER_TOKENS["full"]}
#: (rows that the served file has answered, of all) → None.
Progress = Callable[[int, int], None]


def measure_parity(
    entry: ModelEntry,
    release: str,
    settings: Settings,
    *,
    max_rows: int,
    progress: Progress | None = None,
) -> Parity:
    """Compare a model's file with its adapter on held-out rows of `release`, and keep the result.

    Raises NotFoundError for a release or run that isn't here, ConflictError where the run's folder holds
    another adapter or the release has no row for it, ModelUnavailableError, TrainingError.
    """
    examples, profile = choose_rows(find_release(release, settings.releases_dir), max_rows)
    if not examples:
        raise ConflictError(
            f"release {release} has no held-out row of triage that this version rendered",
            hint="Evaluate the model on a release that was built by this version.",
        )
    receipt = compare_rows(entry, examples, profile, release, settings, progress)
    Registry(settings.models_dir).record_parity(entry.model_id, receipt)
    return receipt


def compare_rows(
    entry: ModelEntry,
    examples: Sequence[Example],
    profile: Profile,
    release: str,
    settings: Settings,
    progress: Progress | None = None,
) -> Parity:
    """Return the receipt for these triage rows; raises as `measure_parity`."""
    run_dir = settings.home / "runs" / (entry.run or "")
    if not (run_dir / "adapter").is_dir() or adapter_digest(run_dir) != entry.adapter:
        raise ConflictError(
            f"{run_dir} doesn't hold the adapter of model {entry.model_id[:12]}",
            hint="The comparison needs it: bring the run's folder back, or train the model again.",
        )
    served = _ask_served(entry, examples, profile, settings, progress)
    answered = [
        (example, completion, parts)
        for example, completion in zip(examples, served, strict=True)
        if completion is not None and (parts := _split(completion)) is not None
    ]
    questions = [trained.Question(example.messages[:-1], written) for example, _, (written, _) in answered]
    with tempfile.TemporaryDirectory(dir=run_dir) as folder:
        answers = trained.score(run_dir, questions, Path(folder))
    adapter, merged = (
        [_read(*parts, likeliest) for (_, _, parts), likeliest in zip(answered, part, strict=True)]
        for part in (answers.adapter, answers.merged)
    )
    margins = [read_margin(completion) for _, completion, _ in answered]
    version = triage.PROMPT_VERSIONS[profile]
    return compare(adapter, merged, margins, entry, version, release, len(examples))


def compare(
    adapter: Sequence[float | None],
    merged: Sequence[float | None],
    served: Sequence[float | None],
    entry: ModelEntry,
    prompt_version: str,
    release: str,
    rows: int,
) -> Parity:
    """Return the receipt for three scores of each row; of `rows`, those without all three are unscored."""
    triples = [
        (a, m, s)
        for a, m, s in zip(adapter, merged, served, strict=True)
        if a is not None and m is not None and s is not None
    ]
    judged = [
        tuple(_judge(margin, entry.calibration, prompt_version) for margin in triple) for triple in triples
    ]
    return Parity(
        file_sha256=entry.file_sha256,
        release=release,
        rows=rows,
        unscored=rows - len(triples),
        flips_merged=sum(first[1] != second[1] for first, second, _ in judged),
        flips_served=sum(first[1] != third[1] for first, _, third in judged),
        shift_merged=max((abs(first[0] - second[0]) for first, second, _ in judged), default=0.0),
        shift_served=max((abs(first[0] - third[0]) for first, _, third in judged), default=0.0),
        at=utc_timestamp("milliseconds"),
    )


def require_parity(parity: Parity, rows: int, max_flips: float) -> None:
    """Raise GateError where a receipt is of fewer than `rows`, or more than a share `max_flips` differ."""
    if parity.rows < rows:
        raise GateError(
            f"the served file was compared with its adapter on {parity.rows} rows; {rows} are needed",
            hint="Evaluate on a release with more held-out rows, or lower SECURETAG_PUBLISH__PARITY_ROWS.",
        )
    if parity.unscored > MAX_UNSCORED * parity.rows:
        raise GateError(
            f"{parity.unscored} of {parity.rows} rows have no score of adapter, merged model and file",
            hint="Look at <home>/logs/scored.log: the served file must answer with a verdict.",
        )
    for what, flips in (("merged model", parity.flips_merged), ("served file", parity.flips_served)):
        if flips > max_flips * parity.rows:
            raise GateError(
                f"{flips} of {parity.rows} verdicts ({flips / parity.rows:.1%}) of the {what} are not the "
                f"adapter's; at most {max_flips:.1%} may differ",
                hint="Quantize it less (Q8_0 or F16): what was evaluated must be what was trained.",
            )


def _judge(margin: float, calibration: Calibration | None, prompt_version: str) -> tuple[float, Decision]:
    """Return probability and verdict of a score, as a worker decides."""
    word = Decision.FALSE_POSITIVE if margin > 0 else Decision.TRUE_POSITIVE
    judged = judge(word, margin, calibration, prompt_version)
    assert judged.p_false_positive is not None
    return judged.p_false_positive, judged.decision


def choose_rows(release: Path, count: int) -> tuple[list[Example], Profile]:
    """Return at most `count` held-out rows of one profile, test rows first, each in the order of a hash."""
    splits = read_release(release)
    profiles = {version: profile for profile, version in triage.PROMPT_VERSIONS.items()}
    usable = [
        [example for example in part if select_scorable(example) and example.prompt_version in profiles]
        for part in (splits.test, splits.validation)
    ]
    ordered = [
        example
        for part in usable
        for example in sorted(part, key=lambda row: hashlib.sha256(row.id.encode()).hexdigest())
    ]
    profile: Profile = profiles[str(ordered[0].prompt_version)] if ordered else "compact"
    version = triage.PROMPT_VERSIONS[profile]
    return [example for example in ordered if example.prompt_version == version][:count], profile


def _ask_served(
    entry: ModelEntry,
    examples: Sequence[Example],
    profile: Profile,
    settings: Settings,
    progress: Progress | None,
) -> list[Completion | None]:
    """Return the served file's answer to each row; None where none came."""

    def ask(example: Example) -> Completion | None:
        prompt = triage.read_prompt(example.messages[:-1], example.prompt_version, example.lang)
        try:
            return predict(prompt.messages, triage.schema(prompt), MAX_TOKENS[profile])
        except ModelUnavailableError:
            return None

    completions: list[Completion | None] = []
    with (
        open_model(entry.model_id, settings, profile=profile) as client,
        ThreadPoolExecutor(SLOTS, thread_name_prefix="parity") as pool,
    ):
        predict = make_predictor(client, timeout_s=ANSWER_S, logprobs=True)
        for completion in pool.map(ask, examples):
            completions.append(completion)
            if progress is not None:
                progress(len(completions), len(examples))
    return completions


def _split(completion: Completion) -> tuple[list[str], str] | None:
    """Return an answer's tokens before the one that begins its verdict, and that one; None without it."""
    count = count_to_verdict(completion)
    if count is None:
        return None
    *before, first = [token for token, _ in completion.logprobs[:count]]
    return before, first


def _read(written: Sequence[str], first: str, likeliest: trained.Likeliest) -> float | None:
    """Return the score of a model that may go on with the likeliest tokens, where the file wrote `first`."""
    logprobs = dict(likeliest)
    if not logprobs:
        return None
    token = first if first in logprobs else likeliest[0][0]
    return read_margin(
        Completion(
            text="".join([*written, token]),
            logprobs=[*((before, 0.0) for before in written), (token, logprobs[token])],
            top_logprobs=[*([] for _ in written), likeliest],
        )
    )
