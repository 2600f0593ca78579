"""Records and harvested verdicts on disk → an immutable release."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import msgspec

from securetag.datasets.build import BuildInputs, BuildParams, BuildTools, ReleaseSummary, build
from securetag.datasets.decontamination.suites import Suite, read_suite
from securetag.datasets.knowledge.teacher import read_responses
from securetag.datasets.releases import lineage
from securetag.errors import InputError, NotFoundError
from securetag.extractors import catalog
from securetag.extractors.record_files import read_records
from securetag.pipeline import review
from securetag.pipeline.harvest import FILE, list_ended_consents, read_harvest
from securetag.pipeline.lineage import record_if_possible, record_release
from securetag.pipeline.ray_cluster import connect
from securetag.pipeline.withdrawals import active_withdrawals
from securetag.records import Record
from securetag.settings import Settings

#: Tiers of which a build takes no source that isn't named: instruction data of others overlaps with what
#: models are judged by, some of it may not be sold, and who trains decides whether to replay general data.
NAMED_ONLY = frozenset({"hf", "replay"})


def build_release(
    params: BuildParams,
    settings: Settings,
    *,
    sources: Sequence[str] | None = None,
    suites: Sequence[Path] = (),
    harvest: bool = True,
    progress: Callable[[str], None] | None = None,
) -> ReleaseSummary:
    """Build a release from the extracted `sources` (by default all but those of NAMED_ONLY) and the last
    harvest.

    What was withdrawn since, and what reviewers rejected, stays out; so does what knows an evaluation
    suite, of those named and of those that lie in `<data>/suites`. Raises ReleaseError,
    LicenceError, InputError, NotFoundError for a source that wasn't extracted, and
    DatabaseUnavailableError or SettingsError where there is a harvest of which nobody can be asked
    whether its consents still stand, and UnavailableError where the Ray cluster of the settings is away.
    Which findings are in the release is recorded in the database where there is one. The same files,
    consents and parameters give the same digest.
    """
    verdicts = read_harvest(settings.records_dir / FILE) if harvest else []
    inputs = BuildInputs(
        records=list(read_sources(settings, sources)),
        verdicts=verdicts,
        withdrawn=msgspec.structs.replace(
            active_withdrawals(settings), ended=list_ended_consents(verdicts, settings)
        ),
        reviews=review.read_decisions(settings),
        suites=read_suites(settings, suites),
        tiers={row.name: row.tier for row in catalog.load(settings.catalog).values()},
        responses=read_responses(settings.teacher_dir),
    )
    with connect(settings.ray_address) as mapper:
        tools = BuildTools(
            releases_dir=settings.releases_dir,
            work=settings.home / "work",
            semgrep=settings.semgrep,
            progress=progress or (lambda _: None),
            mapper=mapper,
        )
        built = build(inputs, params, tools)
    folder = Path(built.path)
    lineage.build_index(folder)
    record_if_possible(lambda: record_release(folder, settings))
    return built


def read_suites(settings: Settings, named: Sequence[Path] = ()) -> list[Suite]:
    """The evaluation suites named, and those that lie in `<data>/suites`, by name. Raises InputError."""
    by_name: dict[str, Suite] = {}
    for suite in map(read_suite, [*named, *sorted((settings.data / "suites").glob("[!.]*"))]):
        if by_name.setdefault(suite.name, suite).digest != suite.digest:
            raise InputError(f"two evaluation suites are called {suite.name}", hint="Rename one of them.")
    return [by_name[name] for name in sorted(by_name)]


def read_sources(settings: Settings, sources: Sequence[str] | None) -> Iterator[Record]:
    """The extracted Records of `sources`, or of all but those of NAMED_ONLY."""
    named_only = {row.name for row in catalog.load(settings.catalog).values() if row.tier in NAMED_ONLY}
    files = sorted(path for path in settings.records_dir.glob("*.jsonl") if path.name != FILE)
    if missing := sorted(set(sources or ()) - {path.stem for path in files}):
        raise NotFoundError(
            f"there are no Records of {', '.join(missing)}",
            hint=f"`securetag source extract {' '.join(missing)}` makes them.",
        )
    for path in files:
        if path.stem in sources if sources is not None else path.stem not in named_only:
            yield from read_records(path)
