"""What a notebook asks for: a release, an evaluation and findings as tables.

`securetag.load_release`, `load_evaluation` and `findings_frame` are these, imported on first use.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from securetag.errors import NotFoundError
from securetag.settings import get_settings

if TYPE_CHECKING:
    import pandas as pd


def load_release(name: str | Path | None = None, *, data: str | Path | None = None) -> pd.DataFrame:
    """Return a release's rows with their split, one row an example.

    `name` is the release's folder; by default the newest one below `data`, which by default is
    SECURETAG_DATA. Columns are the fields of `securetag.records.Example`.

    Raises NotFoundError, ReleaseError.
    """
    import pandas as pd

    from securetag.datasets.releases.release import read_release

    releases_dir = get_settings().releases_dir if data is None else Path(data) / "releases"
    release = read_release(
        _find_newest(releases_dir, "manifest.json", "release") if name is None else Path(name)
    )
    return pd.DataFrame(msgspec.to_builtins([*release.train, *release.validation, *release.test]))


def load_evaluation(folder: str | Path | None = None, *, home: str | Path | None = None) -> pd.DataFrame:
    """Return an evaluation's figures, one row a suite and metric: base, candidate, interval, p.

    `folder` is the evaluation's; by default the newest one below `home`, which by default is
    SECURETAG_HOME.

    Raises NotFoundError.
    """
    import pandas as pd

    from securetag.pipeline.evaluate import read_evaluation

    home = get_settings().home if home is None else Path(home)
    folder = _find_newest(home / "evaluations", "evaluation.json", "evaluation") if folder is None else folder
    return pd.DataFrame(
        [
            {"suite": suite, "metric": metric, **msgspec.to_builtins(cell)}
            for suite, compared in read_evaluation(Path(folder)).comparison.suites.items()
            for metric, cell in compared.metrics.items()
        ]
    )


def findings_frame(task_id: str, *, api: str, key: str) -> pd.DataFrame:
    """Return a scan's findings, one row a finding, the model's verdict in columns `verdict.…`.

    Raises the api's errors, such as NotFoundError, and UnavailableError where it doesn't answer.
    """
    import pandas as pd

    from securetag.client.api import ApiClient

    with ApiClient(api, key) as client:
        return pd.json_normalize(
            [finding.model_dump(mode="json") for finding in client.scan_findings(task_id)]
        )


def _find_newest(folder: Path, file: str, kind: str) -> Path:
    newest = max(folder.glob(f"*/{file}"), key=lambda path: path.stat().st_mtime, default=None)
    if newest is None:
        # A notebook shows the message alone, so it says what to do too.
        step = "run `make demo`, or name another folder"
        raise NotFoundError(f"there is no {kind} in {folder}: {step}", hint=f"To get one, {step}.")
    return newest.parent
