"""Records, harvested verdicts and composed cases → one immutable release.

The steps, each counting what it leaves out: Records are filtered by status and licence and become
questions; harvested verdicts become triage rows; triage cases are composed, executed and scanned;
then filters, duplicates, what evaluation suites know, the mix of knowledge rows, the split, and a
check that no group is torn. The same inputs and parameters give the same digest.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

import msgspec

from securetag import rules, triage
from securetag.datasets import erasure, filters
from securetag.datasets.decontamination.decontaminate import apart, decontaminate
from securetag.datasets.decontamination.suites import Suite
from securetag.datasets.dedup.exact import dedup
from securetag.datasets.dedup.near import JACCARD, dedup_near
from securetag.datasets.feedback import agreement, harvest, reviewed_rows
from securetag.datasets.filters import Drop
from securetag.datasets.knowledge import fixes, mix
from securetag.datasets.knowledge.knowledge_rows import SourceSeen, knowledge
from securetag.datasets.knowledge.mix import Mix, usual
from securetag.datasets.knowledge.teacher import NONE as NO_LESSONS
from securetag.datasets.knowledge.teacher import Lessons
from securetag.datasets.licences import Purpose, allowed
from securetag.datasets.releases import plots, release
from securetag.datasets.releases.card import card, facts_of
from securetag.datasets.reviews import review
from securetag.datasets.splitting.assign import TEST_SINCE, Ties, assign, torn, untangled
from securetag.datasets.synthetic.cases import LICENCE, SOURCE, compose
from securetag.datasets.synthetic.oracle import ORACLE_VERSION
from securetag.errors import ReleaseError
from securetag.records import Example, HarvestedVerdict, Lang, Record, Task, content_id
from securetag.settings import SemgrepSettings
from securetag.system.resources import cpu_seconds, peak_memory_mb
from securetag.system.version import package_version

Progress = Callable[[str], None]


class BuildParams(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a person decides about a release. All of it is part of the digest."""

    seed: int = 0
    #: Which triage contract the rows are rendered for.
    profile: triage.Profile = "compact"
    #: Language of triage prompts; that of knowledge rows is the mix's business.
    lang: Lang = "en"
    purpose: Purpose = "internal"
    #: Composed triage rows to ask for; an even number, in pairs.
    composed: Annotated[int, msgspec.Meta(ge=0, le=200_000)] = 1200
    #: Most rows from Records.
    knowledge: Annotated[int, msgspec.Meta(ge=0)] = 400
    #: Which of them, where there are more.
    mix: Mix = msgspec.field(default_factory=usual)
    #: Similarity from which two rows are near duplicates.
    near_duplicates: Annotated[float, msgspec.Meta(gt=0, le=1)] = JACCARD
    #: Rows of Records published on this day or later are test (`YYYY-MM-DD`); the others go by hash.
    test_since: Annotated[str, msgspec.Meta(pattern=r"^\d{4}-\d\d-\d\d$")] | None = TEST_SINCE


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
    #: Reason → rows, Records or functions that were left out.
    dropped: dict[str, int]
    #: Of this process and its children, over the whole build.
    cpu_s: float
    #: Highest resident memory of this process since its start, MiB.
    peak_mb: float
    path: str


def build(
    records: Iterable[Record],
    harvested: Sequence[HarvestedVerdict],
    params: BuildParams,
    *,
    releases_dir: Path,
    work: Path,
    semgrep: SemgrepSettings,
    withdrawn: erasure.Withdrawn = erasure.Withdrawn(),
    reviews: review.Decisions = review.NONE,
    suites: Sequence[Suite] = (),
    tiers: Mapping[str, str] | None = None,
    lessons: Lessons = NO_LESSONS,
    progress: Progress | None = None,
) -> ReleaseSummary:
    """Build a release, or find it built. What was withdrawn or rejected stays out, and is counted.

    `tiers` says which tier of the mix a source belongs to. No row knows a row of `suites`, and no
    held-out row is known to training.

    Raises LicenceError where a source's licence stops a release, ReleaseError when nothing is left
    or a group would be torn, ToolError when the oracle or the scanner fails.
    """
    say = progress or (lambda _: None)
    started = cpu_seconds()
    # Where it can't be made, the user hears of it before minutes of work.
    releases_dir.mkdir(parents=True, exist_ok=True)
    harvested, drops = withdrawn.kept(harvested)
    held = list(records)
    pairs = [
        record
        for record in held
        if record.source not in withdrawn.sources and filters.of_record(record, params.purpose) is None
    ]
    real, left = fixes.rows(pairs, profile=params.profile, lang=params.lang, work=work, semgrep=semgrep)
    known = knowledge(
        held,
        profile=params.profile,
        purpose=params.purpose,
        langs=params.mix.languages,
        withdrawn=withdrawn.sources,
        lessons=lessons,
        asked={origin.record_id or "" for row in real for origin in row.origins},
    )
    drops += [*left, *known.drops]
    teaching = sum(source.records for source in known.sources.values())
    say(f"{len(known.examples):,} questions from {teaching:,} active Records")
    reviewed, left = reviewed_rows.rows(harvested, profile=params.profile, lang=params.lang)
    drops += left
    composed = compose(
        params.composed,
        params.seed,
        profile=params.profile,
        lang=params.lang,
        work=work,
        semgrep=semgrep,
        progress=progress,
    )
    drops += [
        Drop(reason=reason, source=SOURCE, task="triage", n=n) for reason, n in composed.dropped.items()
    ]
    say(f"{len(composed.examples):,} composed and {len(reviewed):,} reviewed triage rows")
    examples, rejected = review.kept([*known.examples, *real, *reviewed, *composed.examples], reviews)
    drops += rejected
    examples = _mixed(_clean(examples, params, suites, drops), params, tiers or {}, drops)
    examples = _split(examples, params, known.ties | reviewed_rows.ties(harvested), drops)
    examples, over = agreement.capped(examples, tenants=len({agreement.tenant_of(v) for v in harvested}))
    drops += over
    _check(examples)
    counts = _counts(examples, drops)
    facts = facts_of(examples, harvested)
    path, manifest = release.write(
        examples,
        drops,
        params=msgspec.to_builtins(params),
        inputs=_inputs(known.sources, harvested, withdrawn, reviews, suites)
        | {"teacher": lessons.digest(name for source in known.sources.values() for name in source.ids)},
        counts=counts,
        sources=_source_entries(known.sources, harvested, counts["by_source"]),
        card=lambda found: card(found, facts),
        pictures=plots.draw(examples, counts),
        releases_dir=releases_dir,
        code_version=package_version(),
    )
    say(f"release {path.name}: {len(examples):,} rows")
    return ReleaseSummary(
        release=path.name,
        digest=manifest.digest,
        rows=len(examples),
        splits=counts["splits"],
        by_source=counts["by_source"],
        by_task=counts["by_task"],
        by_licence=counts["by_licence"],
        dropped=counts["dropped"],
        cpu_s=round(cpu_seconds() - started, 2),
        peak_mb=round(peak_memory_mb(), 1),
        path=str(path),
    )


def _clean(
    examples: list[Example], params: BuildParams, suites: Sequence[Suite], drops: list[Drop]
) -> list[Example]:
    """Without what doesn't fit, may not enter, stands twice or gives a suite away; pairs stay whole."""
    kept: list[Example] = []
    for example in examples:
        reason = filters.of_example(example, params.profile)
        if reason is None and not allowed(example.licence, params.purpose):
            reason = f"example: licence not for {params.purpose} use"
        if reason is None:
            kept.append(example)
        else:
            drops.append(filters.drop_of(example, reason))
    kept, duplicates = dedup(kept)
    drops += duplicates
    kept, near = dedup_near(kept, jaccard=params.near_duplicates)
    drops += near
    kept, known = decontaminate(kept, suites)
    drops += known
    kept, widows = filters.whole_pairs(kept)
    drops += widows
    return kept


def _mixed(
    examples: list[Example], params: BuildParams, tiers: Mapping[str, str], drops: list[Drop]
) -> list[Example]:
    """Of the knowledge rows those that the mix takes; all others."""
    kept, over = mix.choose(
        (row for row in examples if row.task is not Task.TRIAGE),
        params.mix,
        most=params.knowledge,
        tiers=tiers,
        seed=params.seed,
    )
    drops += over
    return [row for row in examples if row.task is Task.TRIAGE] + kept


def _split(
    examples: list[Example], params: BuildParams, ties: dict[str, Ties], drops: list[Drop]
) -> list[Example]:
    """Every row with its side, without the held-out ones that another side gives away."""
    kept, bridges = untangled(assign(examples, ties, test_since=params.test_since), ties)
    kept, known = apart(kept)
    drops += [*bridges, *known]
    return kept


def _check(examples: list[Example]) -> None:
    if not examples:
        raise ReleaseError(
            "nothing is left for a release", hint="Extract a source, or ask for composed rows (--composed)."
        )
    if found := torn(examples):
        raise ReleaseError(f"{len(found)} groups stand on two sides of the split, first {found[0]}")


def _inputs(
    sources: dict[str, SourceSeen],
    harvested: Sequence[HarvestedVerdict],
    withdrawn: erasure.Withdrawn,
    reviews: review.Decisions,
    suites: Sequence[Suite],
) -> dict[str, Any]:
    """What went in, by content alone: neither tool paths nor database ids nor times."""
    reviewed = sorted([v.record.id, v.label, v.scripted, v.project] for v in harvested)
    return {
        "records": {name: content_id(sorted(source.ids)) for name, source in sorted(sources.items())},
        "harvest": content_id(reviewed),
        "withdrawn": sorted(withdrawn.sources),
        "reviews": content_id(reviews),
        "suites": {suite.name: suite.digest for suite in suites},
        "rules": rules.pack_sha256(),
        "oracle": ORACLE_VERSION,
        "prompts": dict(triage.PROMPT_VERSIONS),
    }


def _counts(examples: list[Example], drops: list[Drop]) -> dict[str, dict[str, int]]:
    dropped: Counter[str] = Counter()
    for drop in drops:
        dropped[drop.reason] += drop.n

    def by(key: Callable[[Example], str | None]) -> dict[str, int]:
        return dict(sorted(Counter(name for row in examples if (name := key(row))).items()))

    return {
        "splits": {split: sum(row.split == split for row in examples) for split in release.SPLITS},
        "by_source": by(lambda row: row.source),
        "by_task": by(lambda row: row.task.value),
        "by_licence": by(lambda row: row.licence),
        "by_lang": by(lambda row: row.lang),
        "by_label": by(lambda row: row.label and f"{row.label} ({row.label_source})"),
        "by_axis": by(lambda row: row.axis),
        "dropped": dict(sorted(dropped.items())),
    }


def _source_entries(
    sources: dict[str, SourceSeen], harvested: Sequence[HarvestedVerdict], rows: dict[str, int]
) -> list[release.SourceEntry]:
    entries = [
        release.SourceEntry(
            name=name,
            publisher=source.publisher,
            editions=sorted(source.editions),
            licences=sorted(source.licences),
            urls=sorted(source.urls)[:1] or [""],
            records=source.records,
            rows=rows.get(name, 0),
        )
        for name, source in sorted(sources.items())
    ]
    own = [
        (SOURCE, LICENCE, rows.get(SOURCE, 0)),
        (harvest.SOURCE, harvest.LICENCE, len(harvested)),
    ]
    entries += [
        release.SourceEntry(
            name=name,
            publisher="Securetag",
            editions=[],
            licences=[licence],
            urls=[""],
            records=n,
            rows=rows.get(name, 0),
        )
        for name, licence, n in own
        if n
    ]
    return entries
