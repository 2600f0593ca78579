"""Build one immutable release from Records, verdicts of people and synthetic cases.

First rows are made: questions from Records, triage rows from verdicts, fixes and synthetic cases. Then each
step of `list_steps` takes rows and returns those that stay and those that it drops. Everything that is left
out is counted. The same inputs and parameters give the same digest.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Annotated

import msgspec

from securetag import rules, triage
from securetag.datasets import filters
from securetag.datasets.decontamination.decontaminate import decontaminate, drop_overlapping
from securetag.datasets.decontamination.suites import Suite
from securetag.datasets.dedup.exact import drop_duplicates
from securetag.datasets.dedup.near import JACCARD, drop_near_duplicates
from securetag.datasets.drops import Drop, StepResult
from securetag.datasets.erasure import Withdrawn
from securetag.datasets.feedback.agreement import cap_tenants, tenant_id_of
from securetag.datasets.feedback.reviewed_rows import group_keys, make_reviewed_rows
from securetag.datasets.knowledge.fixes import make_fix_rows
from securetag.datasets.knowledge.knowledge_rows import SourceSummary, make_knowledge_rows
from securetag.datasets.knowledge.mix import Mix, default_mix, measure_mix, mix_knowledge
from securetag.datasets.knowledge.package_fixes import make_package_fix_rows
from securetag.datasets.knowledge.teacher import EMPTY, TeacherResponses
from securetag.datasets.licences import Purpose
from securetag.datasets.parallel import Mapper, map_here
from securetag.datasets.releases import plots
from securetag.datasets.releases.card import measure_facts, render_card
from securetag.datasets.releases.contents import count_contents, list_sources
from securetag.datasets.releases.release import write_release
from securetag.datasets.reviews.review import NO_DECISIONS, Decisions, apply_reviews
from securetag.datasets.splitting.assign import TEST_SINCE, assign_splits, drop_cross_split, leaking_groups
from securetag.datasets.splitting.groups import GroupKeys
from securetag.datasets.synthetic.cases import make_synthetic_rows
from securetag.datasets.synthetic.holdout import Parts
from securetag.datasets.synthetic.oracle import ORACLE_VERSION
from securetag.datasets.synthetic.shapes import Mistake
from securetag.datasets.synthetic.vocabulary import describe_packages
from securetag.datasets.triage_rows import PromptStyle
from securetag.errors import ReleaseError
from securetag.records import Example, HarvestedVerdict, JsonObject, Lang, Record, content_id
from securetag.settings.sections import SemgrepSettings
from securetag.system.resources import cpu_seconds, peak_memory_mb
from securetag.system.version import package_version

Progress = Callable[[str], None]
Step = Callable[[list[Example]], StepResult]


class BuildParams(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a person decides about a release. All of it is part of the digest."""

    seed: int = 0
    #: Which triage contract the rows are rendered for.
    profile: triage.Profile = "compact"
    #: Language of triage prompts; that of knowledge rows follows from the mix.
    lang: Lang = "en"
    purpose: Purpose = "internal"
    #: Synthetic triage rows to ask for; an even number, in pairs.
    synthetic: Annotated[int, msgspec.Meta(ge=0, le=200_000)] = 1200
    #: How much of them is held out of training.
    parts: Parts = Parts()
    #: Kinds of mistake in them; empty: all.
    mistakes: list[Mistake] = []
    #: Most rows from Records.
    knowledge: Annotated[int, msgspec.Meta(ge=0)] = 400
    #: Which of them, where there are more.
    mix: Mix = msgspec.field(default_factory=default_mix)
    #: Similarity from which two rows are near duplicates.
    near_duplicates: Annotated[float, msgspec.Meta(gt=0, le=1)] = JACCARD
    #: Rows of Records published on this day or later are test (`YYYY-MM-DD`); the others go by hash.
    test_since: Annotated[str, msgspec.Meta(pattern=r"^\d{4}-\d\d-\d\d$")] | None = TEST_SINCE


class BuildInputs(msgspec.Struct, frozen=True, kw_only=True):
    """What a release is built from. Its content is part of the digest, except for the tiers."""

    records: Sequence[Record] = ()
    verdicts: Sequence[HarvestedVerdict] = ()
    #: What was withdrawn: it stays out, and is counted.
    withdrawn: Withdrawn = Withdrawn()
    #: What reviewers decided on rows of earlier releases.
    reviews: Decisions = msgspec.field(default_factory=lambda: NO_DECISIONS)
    #: Evaluation suites that no row may overlap with.
    suites: Sequence[Suite] = ()
    #: Source → its tier in the mix.
    tiers: Mapping[str, str] = {}
    responses: TeacherResponses = EMPTY


class BuildTools(msgspec.Struct, frozen=True, kw_only=True):
    """Where and with what a build works. Nothing of it is part of the digest."""

    releases_dir: Path
    #: Folder for temporary files.
    work: Path
    semgrep: SemgrepSettings
    progress: Progress = lambda _: None
    #: Where the rows of Records are made.
    mapper: Mapper = map_here


class ReleaseSummary(msgspec.Struct, frozen=True, kw_only=True):
    """What was built."""

    #: Name of the release: the digest's first 12 hex digits.
    release: str
    digest: str
    rows: int
    splits: dict[str, int]
    by_source: dict[str, int]
    by_task: dict[str, int]
    by_licence: dict[str, int]
    #: `DropReason` → rows, Records, functions or verdicts that were left out.
    dropped: dict[str, int]
    #: Of this process and its children, over the whole build.
    cpu_s: float
    #: Highest resident memory of this process since its start, MiB.
    peak_mb: float
    path: str


class MadeRows(msgspec.Struct, frozen=True):
    """All rows before the first step, and what the steps need to know of their origins."""

    rows: list[Example]
    drops: list[Drop]
    #: Record id or finding id → keys of its rows.
    keys: dict[str, GroupKeys]
    sources: dict[str, SourceSummary]


def build(inputs: BuildInputs, params: BuildParams, tools: BuildTools) -> ReleaseSummary:
    """Build a release, or return the one that these inputs and parameters built before.

    Raises LicenceError where a source's license stops every release, ReleaseError when no row is left or
    a group would be in two splits, ToolError when the oracle or the scanner fails.
    """
    started = cpu_seconds()
    # Where it can't be made, the user is told before minutes of work.
    tools.releases_dir.mkdir(parents=True, exist_ok=True)
    verdicts, drops = inputs.withdrawn.filter_verdicts(inputs.verdicts)
    inputs = msgspec.structs.replace(inputs, verdicts=verdicts)
    made = make_rows(inputs, params, tools)
    drops += made.drops
    rows = made.rows
    for step in list_steps(inputs, params, made.keys):
        rows, dropped = step(rows)
        drops += dropped
    _check(rows)
    counts = count_contents(rows, drops)
    facts = measure_facts(rows, verdicts, measure_mix(rows, params.mix, inputs.tiers))
    path, manifest = write_release(
        rows,
        drops,
        params=msgspec.to_builtins(params),
        inputs=_describe_inputs(inputs, made.sources, has_synthetic=params.synthetic > 0),
        counts=counts,
        sources=list_sources(made.sources, verdicts=len(verdicts), by_source=counts["by_source"]),
        card=lambda manifest: render_card(manifest, facts),
        pictures=plots.draw_plots(rows, counts),
        releases_dir=tools.releases_dir,
        code_version=package_version(),
    )
    tools.progress(f"release {path.name}: {len(rows):,} rows")
    return ReleaseSummary(
        release=path.name,
        digest=manifest.digest,
        rows=len(rows),
        splits=counts["splits"],
        by_source=counts["by_source"],
        by_task=counts["by_task"],
        by_licence=counts["by_licence"],
        dropped=counts["dropped"],
        cpu_s=round(cpu_seconds() - started, 2),
        peak_mb=round(peak_memory_mb(), 1),
        path=str(path),
    )


def make_rows(inputs: BuildInputs, params: BuildParams, tools: BuildTools) -> MadeRows:
    """Make the rows of all inputs. Raises LicenceError, ToolError."""
    style = PromptStyle(params.profile, params.lang)
    usable = [
        record
        for record in inputs.records
        if record.source not in inputs.withdrawn.sources
        and filters.check_record(record, params.purpose) is None
    ]
    fixes = make_fix_rows(usable, style, work=tools.work, semgrep=tools.semgrep)
    package_fixes = make_package_fix_rows(usable, style, work=tools.work, semgrep=tools.semgrep)
    knowledge = make_knowledge_rows(
        inputs.records,
        profile=params.profile,
        purpose=params.purpose,
        langs=params.mix.languages,
        withdrawn=inputs.withdrawn.sources,
        in_test={
            origin.record_id or ""
            for row in [*fixes.rows, *package_fixes.rows]
            if row.split == "test"
            for origin in row.origins
        },
        responses=inputs.responses,
        mapper=tools.mapper,
    )
    usable_count = sum(source.records for source in knowledge.sources.values())
    tools.progress(f"{len(knowledge.rows):,} questions from {usable_count:,} active Records")
    reviewed = make_reviewed_rows(inputs.verdicts, style)
    synthetic = make_synthetic_rows(
        params.synthetic,
        params.seed,
        style,
        work=tools.work,
        semgrep=tools.semgrep,
        parts=params.parts,
        mistakes=params.mistakes,
        progress=tools.progress,
    )
    tools.progress(f"{len(synthetic.rows):,} synthetic and {len(reviewed.rows):,} reviewed triage rows")
    return MadeRows(
        rows=[*knowledge.rows, *fixes.rows, *package_fixes.rows, *reviewed.rows, *synthetic.rows],
        drops=[*fixes.drops, *package_fixes.drops, *knowledge.drops, *reviewed.drops, *synthetic.drops],
        keys=knowledge.keys | group_keys(inputs.verdicts),
        sources=knowledge.sources,
    )


def list_steps(inputs: BuildInputs, params: BuildParams, keys: Mapping[str, GroupKeys]) -> list[Step]:
    """Return the steps in order. `keys` is Record id or finding id → keys of its rows."""
    tenants = len({tenant_id_of(verdict) for verdict in inputs.verdicts})
    return [
        partial(apply_reviews, decisions=inputs.reviews),
        partial(filters.filter_examples, profile=params.profile, purpose=params.purpose),
        drop_duplicates,
        partial(drop_near_duplicates, jaccard=params.near_duplicates),
        partial(decontaminate, suites=inputs.suites),
        filters.drop_unpaired,
        partial(assign_splits, keys=keys, test_since=params.test_since),
        partial(drop_cross_split, keys=keys),
        drop_overlapping,
        partial(cap_tenants, tenants=tenants),
        # Last, so that its shares are those of the release.
        partial(
            mix_knowledge, mix=params.mix, max_rows=params.knowledge, tiers=inputs.tiers, seed=params.seed
        ),
    ]


def _check(rows: Sequence[Example]) -> None:
    if not rows:
        raise ReleaseError(
            "nothing is left for a release", hint="Extract a source, or ask for synthetic rows (--synthetic)."
        )
    if leaking := leaking_groups(rows):
        raise ReleaseError(f"{len(leaking)} groups are in two splits, first {leaking[0]}")


def _describe_inputs(
    inputs: BuildInputs, sources: Mapping[str, SourceSummary], *, has_synthetic: bool
) -> JsonObject:
    """Return what went in, by content alone: neither tool paths nor database ids nor times."""
    verdicts = sorted(
        [verdict.record.id, verdict.label, verdict.scripted, verdict.project] for verdict in inputs.verdicts
    )
    return {
        "records": {name: content_id(sorted(source.ids)) for name, source in sorted(sources.items())},
        "harvest": content_id(verdicts),
        "withdrawn": sorted(inputs.withdrawn.sources),
        "reviews": content_id(inputs.reviews),
        "suites": {suite.name: suite.digest for suite in inputs.suites},
        "rules": rules.pack_sha256(),
        "oracle": ORACLE_VERSION,
        "vocabulary": describe_packages() if has_synthetic else {},
        "prompts": dict(triage.PROMPT_VERSIONS),
        "teacher": inputs.responses.digest(name for source in sources.values() for name in source.ids),
    }
