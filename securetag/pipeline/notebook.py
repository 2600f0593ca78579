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


def load_release(name: str | Path | None = None) -> pd.DataFrame:
    """One row an example, with its split; the newest release by default.

    Columns are the fields of `securetag.records.Example`. Raises NotFoundError, ReleaseError.
    """
    import pandas as pd

    from securetag.datasets.releases.release import read

    folder = _newest(get_settings().releases_dir, "manifest.json") if name is None else Path(name)
    found = read(folder)
    return pd.DataFrame(msgspec.to_builtins([*found.train, *found.validation, *found.test]))


def load_evaluation(folder: str | Path | None = None) -> pd.DataFrame:
    """One row a suite and metric: base, candidate, interval, p; the newest evaluation by default.

    Raises NotFoundError.
    """
    import pandas as pd

    from securetag.pipeline.evaluate import read_evaluation

    where = (
        _newest(get_settings().home / "evaluations", "evaluation.json") if folder is None else Path(folder)
    )
    return pd.DataFrame(
        [
            {"suite": suite, "metric": metric, **msgspec.to_builtins(cell)}
            for suite, compared in read_evaluation(where).comparison.suites.items()
            for metric, cell in compared.metrics.items()
        ]
    )


def findings_frame(task_id: str, *, api: str, key: str) -> pd.DataFrame:
    """One row a finding of a scan, the model's verdict in columns `verdict.…`.

    Raises httpx.HTTPError when the api refuses or is away.
    """
    import httpx
    import pandas as pd

    items: list[dict[str, object]] = []
    cursor: str | None = None
    with httpx.Client(base_url=api, headers={"X-API-Key": key}, timeout=30) as client:
        while True:
            answer = client.get(f"/scans/{task_id}/findings", params={"cursor": cursor} if cursor else None)
            answer.raise_for_status()
            page = answer.json()
            items += page["items"]
            cursor = page.get("next_cursor")
            if not cursor:
                return pd.json_normalize(items)


def _newest(folder: Path, file: str) -> Path:
    found = max(folder.glob(f"*/{file}"), key=lambda path: path.stat().st_mtime, default=None)
    if found is None:
        raise NotFoundError(f"nothing lies in {folder} yet", hint="Run `securetag demo` first.")
    return found.parent
