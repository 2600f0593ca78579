"""The release's card: what is in it, from whom, under which terms, and what to expect of it.

Begins with the YAML header of Hugging Face's dataset cards
(https://huggingface.co/docs/hub/datasets-cards). Names no time and no place.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import msgspec
import yaml

from securetag.datasets.drops import describe_reason
from securetag.datasets.feedback.agreement import (
    MAX_SHARE,
    MIN_TENANTS,
    Agreement,
    Anchoring,
    find_contradicting,
    measure_agreement,
    measure_anchoring,
    tenant_id_of,
)
from securetag.datasets.knowledge.mix import MixShare
from securetag.datasets.releases.baselines import (
    Score,
    group_by_axis,
    majority_share,
    score_lookups,
    score_word_counts,
)
from securetag.datasets.releases.features import list_features
from securetag.datasets.releases.manifest import NAME_LENGTH, SPLITS, Manifest, SourceEntry
from securetag.datasets.releases.notice import list_credits, list_terms
from securetag.datasets.releases.plots import ALT, count_after_steps, count_before_rows
from securetag.records import Example, HarvestedVerdict

#: Share of the knowledge rows from which a source is shown in the table of the mix.
MIN_SHOWN = 0.05


class CardFacts(msgspec.Struct, frozen=True, kw_only=True):
    """What the card says beside the manifest."""

    #: Majority share of the label over triage rows, 0.5 is none, by split and axis.
    majority: dict[str, float]
    #: Accuracy on synthetic test rows of answering what train says of this rule, sink, ….
    lookups: dict[str, Score]
    #: Accuracy of word counts, by axis.
    word_counts: dict[str, Score]
    verdicts: int
    scripted: int
    saw_model: int
    #: Verdicts that are part of a bulk decision, and bulk decisions.
    in_bulk: int
    bulk_decisions: int
    reviewers: int
    tenants: int
    #: Tenants whose verdicts are left out, since they contradict the others.
    contradicting: int
    agreement: Agreement
    anchoring: list[Anchoring]
    #: Shares of the knowledge rows beside the mix's limits.
    mix: Sequence[MixShare]


def measure_facts(
    examples: Sequence[Example], verdicts: Sequence[HarvestedVerdict], mix: Sequence[MixShare] = ()
) -> CardFacts:
    """Return the figures of the rows and of the harvest; `mix` is what `measure_mix` says of the rows."""
    return CardFacts(
        majority={name: majority_share(rows) for name, rows in group_by_axis(examples).items()},
        lookups=score_lookups(examples),
        word_counts=score_word_counts(examples),
        verdicts=len(verdicts),
        scripted=sum(verdict.scripted for verdict in verdicts),
        saw_model=sum(verdict.saw_model for verdict in verdicts),
        in_bulk=sum(bool(verdict.bulk) for verdict in verdicts),
        bulk_decisions=len({verdict.bulk for verdict in verdicts if verdict.bulk}),
        reviewers=len({verdict.reviewer for verdict in verdicts}),
        tenants=len({tenant_id_of(verdict) for verdict in verdicts}),
        contradicting=len(find_contradicting(verdicts)),
        agreement=measure_agreement(verdicts),
        anchoring=measure_anchoring(verdicts),
        mix=mix,
    )


def render_card(manifest: Manifest, facts: CardFacts) -> str:
    """README.md of a release."""
    name = manifest.digest[:NAME_LENGTH]
    counts = manifest.counts
    lines = [
        _header(manifest),
        f"# Securetag release {name}",
        "",
        "Chat rows for triaging findings of static analysers and for application security knowledge.",
        "Synthetic triage rows carry the label that running their code in a sandbox gave: none is a model's.",
        "",
        f"Digest `{manifest.digest}`; profile `{manifest.params.get('profile')}`, "
        f"purpose `{manifest.params.get('purpose')}`.",
        "",
        *_plots(manifest),
        *_table("Rows", "split", counts["splits"]),
        *_table("Rows", "task", counts["by_task"]),
        *_table("Rows", "label", counts["by_label"]),
        *_table("Rows", "held-out axis of the test split", counts["by_axis"]),
        *_table("Rows", "licence", counts["by_licence"]),
        *_table("Rows", "language", counts["by_lang"]),
        *_mix(facts.mix),
        *_table("Left out", "reason", {describe_reason(name): n for name, n in counts["dropped"].items()}),
        "## What can be had without weighing the guard",
        "",
        "Accuracy on the test split's synthetic rows of a table learned on train, by one property alone:",
        "",
        *_scores("by", facts.lookups),
        "Accuracy of TF-IDF (one to three tokens of the code) with logistic regression, learned on train. A "
        "model that triages must beat it, axis by axis:",
        "",
        *_scores("axis", facts.word_counts),
        "Majority label's share:",
        "",
        *_table("", "part", facts.majority),
        "## Training on it",
        "",
        "A trainer that reads `messages` takes the loss over the prompts too, unless it is told not to: in "
        "TRL by `assistant_only_loss=True` with a chat template that marks the assistant's turns (`securetag "
        "dataset export --format trl-messages` writes one for ChatML beside the rows), or by rows of prompt "
        "and completion (`trl-prompt-completion`), of which the completion alone is trained.",
        "",
        "## Analysts",
        "",
        *_analysts(facts),
        "## Sources",
        "",
        *_sources(manifest.sources),
        "## Credits",
        "",
        *_credits(manifest),
        "## Terms",
        "",
        *(f"- {term}" for term in list_terms(manifest)),
        "",
    ]
    return "\n".join(lines)


def _analysts(facts: CardFacts) -> list[str]:
    """Who judged, how far they agree, what seeing the model's answer does, and whether a cap holds."""
    agreed = facts.agreement
    kappa = "isn't measurable" if agreed.kappa is None else f"is {agreed.kappa:.2f}"
    overlap = "no finding was judged by two people"
    if agreed.observed is not None:
        overlap = (
            f"{agreed.findings:,} findings were judged by two reviewers or more ({agreed.pairs:,} pairs of "
            f"reviewers, who say the same of {agreed.observed:.1%})"
        )
    cap = (
        f"No tenant, and so no reviewer, holds more than {MAX_SHARE:.0%} of a label's reviewed rows."
        if facts.tenants >= MIN_TENANTS
        else f"No cap limits a tenant's or reviewer's share of a label: it begins with {MIN_TENANTS} tenants."
    )
    return [
        f"{facts.verdicts:,} verdicts of {facts.reviewers:,} reviewers of {facts.tenants:,} tenants came "
        f"in, {facts.saw_model:,} of them after the reviewer saw the model's answer. {facts.scripted:,} were "
        "scripted from a ground truth and are no person's. "
        f"{facts.in_bulk:,} were given by {facts.bulk_decisions:,} bulk decisions, each of them one vote. "
        f"Tenants whose verdicts contradict the others' and train nothing: {facts.contradicting:,}. {cap}",
        "",
        f"Cohen's kappa {kappa}: {overlap}.",
        "",
        "Share of people's verdicts that say what the model had said, by whether they had seen it. The gap "
        "is what seeing it does:",
        "",
        "| verdict | had seen it | share | hadn't | share |",
        "| --- | ---: | ---: | ---: | ---: |",
        *(
            f"| {counts.label} | {counts.saw:,} | {_share(counts.saw_agree, counts.saw)} "
            f"| {counts.unseen:,} | {_share(counts.unseen_agree, counts.unseen)} |"
            for counts in facts.anchoring
        ),
        "",
    ]


def _share(part: int, whole: int) -> str:
    return f"{part / whole:.3f}" if whole else "none"


def _plots(manifest: Manifest) -> list[str]:
    lines = [f"![{words}]({name})" for name, words in ALT.items()]
    rows = [f"| {step} | {n:,} |" for step, n in count_after_steps(manifest.counts).items()]
    return [
        "## Rows through the build",
        "",
        "| step | rows |",
        "| --- | ---: |",
        *rows,
        "",
        f"{count_before_rows(manifest.counts):,} Records, functions and verdicts never became rows.",
        "",
        *(line for picture in lines for line in (picture, "")),
    ]


def _header(manifest: Manifest) -> str:
    rows = sum(entry.rows for entry in manifest.files.values())
    steps = [(1_000, "n<1K"), (10_000, "1K<n<10K"), (100_000, "10K<n<100K"), (1_000_000, "100K<n<1M")]
    fields = {
        "pretty_name": f"Securetag {manifest.digest[:NAME_LENGTH]}",
        "language": sorted(set(manifest.counts["by_lang"]) & {"en", "es"}),
        "license": "other",
        "license_name": "per-row",
        "task_categories": ["text-generation", "question-answering"],
        "tags": ["security", "static-analysis", "triage"],
        "size_categories": [next((name for limit, name in steps if rows < limit), "n>1M")],
        "configs": [
            {
                "config_name": "default",
                # `load_dataset` fails on a split without rows.
                "data_files": [
                    {"split": split, "path": f"{split}.jsonl"}
                    for split in SPLITS
                    if manifest.files[f"{split}.jsonl"].rows
                ],
                # `load_dataset(folder, data_files=…)` takes the types from here, all else from below.
                "features": list_features(),
            }
        ],
        "dataset_info": {"config_name": "default", "features": list_features()},
    }
    return "---\n" + yaml.safe_dump(fields, sort_keys=False, allow_unicode=True) + "---\n"


def _table(title: str, key: str, counts: Mapping[str, int | float]) -> list[str]:
    heading = [f"## {title} by {key}", ""] if title else []
    if not counts:
        return [*heading, "None.", ""]
    body = [f"| {name} | {value:,} |" for name, value in sorted(counts.items())]
    return [*heading, f"| {key} | |", "| --- | ---: |", *body, ""]


def _scores(key: str, scores: Mapping[str, Score]) -> list[str]:
    if not scores:
        return ["Too few rows to say.", ""]
    rows = [f"| {name} | {s.n:,} | {s.accuracy:.3f} | {s.majority:.3f} |" for name, s in scores.items()]
    return [f"| {key} | rows | accuracy | majority |", "| --- | ---: | ---: | ---: |", *rows, ""]


def _sources(sources: Sequence[SourceEntry]) -> list[str]:
    rows = [
        f"| {source.name} | {source.publisher} | {', '.join(source.editions)} | {', '.join(source.licences)} "
        f"| {source.records:,} | {source.rows:,} |"
        for source in sources
    ]
    head = "| source | publisher | edition | license | records | rows |"
    return [head, "| --- | --- | --- | --- | ---: | ---: |", *rows, ""]


def _credits(manifest: Manifest) -> list[str]:
    rows = [
        f"| {publisher} | {n:,} | {', '.join(source.name for source in sources)} |"
        for publisher, n, sources in list_credits(manifest)
    ]
    return [
        "Rows that name a publisher, since they adapt its words; a row may name several. `NOTICE` says under "
        "which terms, the column `attribution` what of whom.",
        "",
        "| publisher | rows | sources |",
        "| --- | ---: | --- |",
        *rows,
        "",
    ]


def _mix(shares: Sequence[MixShare]) -> list[str]:
    """Every tier, task and language; of sources those alone that have MIN_SHOWN."""
    if not shares:
        return []
    rows = [
        f"| {entry.kind} | {entry.name} | {entry.rows:,} | {entry.share:.3f} | {entry.limit:g} |"
        for entry in shares
        if entry.kind != "source" or entry.share >= MIN_SHOWN
    ]
    return [
        "## Mix of the knowledge rows",
        "",
        "A share over its limit means that all limits were widened, since there were too few other rows.",
        "",
        "| | | rows | share | limit |",
        "| --- | --- | ---: | ---: | ---: |",
        *rows,
        "",
    ]
