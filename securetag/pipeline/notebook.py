"""What a notebook asks for: a release, an evaluation and its answers, scans and findings as tables.

`securetag.load_release`, `load_evaluation`, `load_answers`, `scans_frame` and `findings_frame` are these,
imported on first use. Folders and addresses are arguments: no setting has to be changed to read another
installation.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING
from uuid import UUID

import msgspec

from securetag.errors import NotFoundError
from securetag.settings import get_settings

if TYPE_CHECKING:
    import pandas as pd

    from securetag.client.api import ApiClient

#: Models of an evaluation, as its folder names their answers.
_MODELS = ("base", "candidate")


def load_release(name: str | Path | None = None, *, data: str | Path | None = None) -> pd.DataFrame:
    """Return a release's rows with their split, one row an example.

    `name` is the release's folder; by default the newest one below `data`, which by default is
    SECURETAG_DATA. Columns are the fields of `securetag.records.Example`.

    Raises NotFoundError, ReleaseError.
    """
    import pandas as pd

    from securetag.datasets.releases.release import read_release

    release = read_release(_find_release(data) if name is None else Path(name))
    return pd.DataFrame(msgspec.to_builtins([*release.train, *release.validation, *release.test]))


def load_evaluation(folder: str | Path | None = None, *, home: str | Path | None = None) -> pd.DataFrame:
    """Return an evaluation's figures, one row a suite and metric: base, candidate, interval, p.

    `folder` is the evaluation's; by default the newest one below `home`, which by default is
    SECURETAG_HOME.

    Raises NotFoundError.
    """
    import pandas as pd

    from securetag.pipeline.evaluate import read_evaluation

    return pd.DataFrame(
        [
            {"suite": suite, "metric": metric, **msgspec.to_builtins(cell)}
            for suite, compared in read_evaluation(_find_evaluation(folder, home)).comparison.suites.items()
            for metric, cell in compared.metrics.items()
        ]
    )


def load_answers(
    folder: str | Path | None = None, *, home: str | Path | None = None, data: str | Path | None = None
) -> pd.DataFrame:
    """Return what base and candidate said of each held-out row, one row an example.

    Columns `id`, `axis`, `group`, `label`, `lang`; `code`, the lines that both models read, with numbers
    and mark; `evidence`, spans (role, first, last) of those lines; and of each model `base.…` and
    `candidate.…`: `decision`, `valid`, `is_right` (the decision is the label), `margin` (log P(false
    positive) − log P(true positive); empty without log-probabilities), `reason` and `free_text`.

    `folder` is the evaluation's, by default the newest one below `home`; the release that it names is read
    from `data`. Raises NotFoundError, ReleaseError, InputError.
    """
    import pandas as pd

    from securetag.datasets.releases.release import read_release
    from securetag.evaluation.suites import SuiteResult
    from securetag.pipeline.evaluate import read_evaluation
    from securetag.triage import read_code

    folder = _find_evaluation(folder, home)
    release = read_release(_releases_dir(data) / read_evaluation(folder).release)
    examples = {example.id: example for example in release.test}
    table: dict[str, dict[str, object]] = {}
    for model in _MODELS:
        for row in SuiteResult.read(folder / f"{model}.jsonl").rows:
            if row.id not in examples:
                continue
            example = examples[row.id]
            shared: dict[str, object] = {
                "id": row.id,
                "axis": row.axis,
                "group": row.group,
                "label": row.label,
                "lang": row.lang,
                "code": read_code(example.messages, example.prompt_version),
                "evidence": [(span.role, span.first, span.last) for span in example.evidence],
            }
            table.setdefault(row.id, shared).update(
                {
                    f"{model}.decision": row.decision.value,
                    f"{model}.valid": row.valid,
                    f"{model}.is_right": row.decision.value == row.label,
                    f"{model}.margin": row.margin,
                    f"{model}.reason": row.reason,
                    f"{model}.free_text": row.free_text,
                }
            )
    return pd.DataFrame(list(table.values()))


def scans_frame(
    *,
    project: str | None = None,
    api: str | None = None,
    key: str | None = None,
    home: str | Path | None = None,
) -> pd.DataFrame:
    """Return the scans of a service, the oldest first, with their counts in columns such as `by_verdict.…`.

    Address and key are by default those that `securetag up` wrote into `home` (SECURETAG_HOME). Raises the
    api's errors, and UnavailableError where none answers.
    """
    import pandas as pd

    with _connect(api, key, home) as client:
        frame = pd.json_normalize([scan.model_dump(mode="json") for scan in client.scans(project=project)])
    return frame.sort_values("created_at", ignore_index=True) if len(frame) else frame


def findings_frame(
    task_id: str | None = None,
    *,
    project: str | None = None,
    api: str | None = None,
    key: str | None = None,
    home: str | Path | None = None,
) -> pd.DataFrame:
    """Return a scan's findings, or those that are in a project's code now, one row a finding.

    The model's verdict is in columns `verdict.…`, a person's in `feedback.…`. Address and key as in
    `scans_frame`. Raises the api's errors, such as NotFoundError, and UnavailableError where it doesn't
    answer.
    """
    import pandas as pd

    with _connect(api, key, home) as client:
        items = client.findings(project=project) if task_id is None else client.scan_findings(UUID(task_id))
        return pd.json_normalize([finding.model_dump(mode="json") for finding in items])


@contextmanager
def _connect(api: str | None, key: str | None, home: str | Path | None) -> Iterator[ApiClient]:
    from securetag.client.api import ApiClient
    from securetag.client.local import find_api

    with ApiClient(*find_api(api, key, home=None if home is None else Path(home))) as client:
        yield client


def _releases_dir(data: str | Path | None) -> Path:
    return get_settings().releases_dir if data is None else Path(data) / "releases"


def _find_release(data: str | Path | None) -> Path:
    return _find_newest(_releases_dir(data), "manifest.json", "release")


def _find_evaluation(folder: str | Path | None, home: str | Path | None) -> Path:
    if folder is not None:
        return Path(folder)
    home = get_settings().home if home is None else Path(home)
    return _find_newest(home / "evaluations", "evaluation.json", "evaluation")


def _find_newest(folder: Path, file: str, kind: str) -> Path:
    newest = max(folder.glob(f"*/{file}"), key=lambda path: path.stat().st_mtime, default=None)
    if newest is None:
        # A notebook shows the message alone, so it says what to do too.
        step = "run `make demo`, or name another folder"
        raise NotFoundError(f"there is no {kind} in {folder}: {step}", hint=f"To get one, {step}.")
    return newest.parent
