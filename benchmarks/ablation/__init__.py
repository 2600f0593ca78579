"""Does the knowledge help? The embedded model trained with all rows, without knowledge, without each tier.

ABLATION_RELEASE names a release of profile `compact` with rows of both kinds. Each training has the same
triage rows, and as many short knowledge rows of every tier; a variant lacks those of one tier, or all, and
gets no others instead: it trains fewer steps. Scores are kept in `benchmarks/results/ablation/`, and a
training that was stopped goes on from its checkpoint, so a run may end anywhere. ABLATION_SEEDS (3) says how
many seeds, ABLATION_TRIAGE (600) and ABLATION_TIER (150) how many rows of triage and of each tier, and
ABLATION_CHARS (1,000) how long a row may be.
"""

from __future__ import annotations

import math
import os
import shutil
import statistics
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import msgspec

from benchmarks.ablation.rows import Part, choose_part
from benchmarks.ablation.scores import Scores, score_adapter
from benchmarks.figure import Figure
from securetag.datasets.releases.release import read_release
from securetag.errors import SettingsError
from securetag.extractors import catalog
from securetag.records import Example, content_id
from securetag.system.files import write_json
from securetag.training.launchers.local import training_command
from securetag.training.recipe import RECIPES_DIR, load

SEEDS = int(os.environ.get("ABLATION_SEEDS", "3"))
TRIAGE_ROWS = int(os.environ.get("ABLATION_TRIAGE", "600"))
TIER_ROWS = int(os.environ.get("ABLATION_TIER", "150"))
RECIPE = RECIPES_DIR / "securetag-embedded.yaml"
#: Times the steps of a recipe's warm-up that the triage rows alone have to give: with fewer, base and
#: adapters score alike. After 20 steps an adapter was at .77 on 24 rows, its base at .43.
MIN_WARMUPS = 4
ALL = "all rows"
_RESULTS = Path(__file__).parents[1] / "results" / "ablation"
_SCORES = {"triage_auc": "AUC of triage", "knowledge": "share of knowledge questions"}


def measure() -> Iterator[Figure]:
    """Train what isn't trained yet, seed after seed; then each variant's scores and what it loses."""
    part = _read_part()
    for tier, rows in part.knowledge.items():
        yield Figure(figure=f"knowledge rows of tier {tier}", value=len(rows), unit="rows")
    yield Figure(figure="triage rows", value=len(part.triage), unit="rows")
    yield Figure(figure="questions: triage", value=len(part.triage_test), unit="rows")
    yield Figure(figure="questions: knowledge", value=len(part.questions), unit="questions")
    recipe = load(RECIPE)
    steps = math.ceil(len(_rows_of(part, frozenset())) / recipe.batch)
    yield Figure(figure="steps of a training with all rows", value=steps, unit="steps")
    least = round(MIN_WARMUPS * recipe.warmup * recipe.batch)
    if len(part.triage) < least:
        raise SettingsError(
            f"{len(part.triage)} triage rows are little more than a training warms up with: no variant would "
            "differ from the base",
            hint=f"Set ABLATION_TRIAGE to {least} or more.",
        )
    ids = [row.id for row in [*_rows_of(part, frozenset()), *part.triage_test, *part.questions]]
    folder = _RESULTS / content_id([recipe.digest, *ids])[:12]
    scores: dict[str, list[Scores]] = {name: [] for name in _list_variants(part)}
    base = _score_once(folder / "base.json", part, None)
    for seed in range(SEEDS):
        for name, without in _list_variants(part).items():
            scores[name].append(_train_once(folder, part, name, without, seed))
            print(f"ablation: {name}, seed {seed}: {scores[name][-1]}", file=sys.stderr)
    for field, words in _SCORES.items():
        yield Figure(figure=f"{words}: the base", value=getattr(base, field), unit="")
        yield from _list_scores(field, words, scores)


def compare(variant: Sequence[float], whole: Sequence[float]) -> tuple[float, str]:
    """Return the mean difference of two variants by seed and its 95 % interval in words.

    The interval is Student's over the seeds: with three it is 2.5 standard deviations wide to either side.
    """
    from scipy.special import stdtrit

    differences = [score - reference for score, reference in zip(variant, whole, strict=True)]
    mean = statistics.fmean(differences)
    if len(differences) < 2:
        return mean, "one seed: no interval"
    factor = float(stdtrit(len(differences) - 1, 0.975)) / len(differences) ** 0.5
    half = factor * statistics.stdev(differences)
    return mean, f"{mean - half:+.3f} to {mean + half:+.3f}"


def _list_variants(part: Part) -> dict[str, frozenset[str]]:
    """Return name → tiers that are left out."""
    tiers = frozenset(part.knowledge)
    return {
        ALL: frozenset(),
        "without knowledge": tiers,
        **{f"without {tier}": frozenset({tier}) for tier in sorted(tiers)},
    }


def _read_part() -> Part:
    name = os.environ.get("ABLATION_RELEASE", "")
    if not name:
        raise SettingsError(
            "no release is named",
            hint="Set ABLATION_RELEASE to the folder of one of profile compact, built from sources of each "
            "tier, with some thousand rows of either kind.",
        )
    content = read_release(Path(name))
    tiers = {row.name: row.tier for row in catalog.load().values()}
    return choose_part(content.train, content.test, tiers, triage_rows=TRIAGE_ROWS, tier_rows=TIER_ROWS)


def _rows_of(part: Part, without: frozenset[str]) -> list[Example]:
    knowledge = [row for tier, rows in part.knowledge.items() if tier not in without for row in rows]
    return [*part.triage, *knowledge]


def _train_once(folder: Path, part: Part, name: str, without: frozenset[str], seed: int) -> Scores:
    """Train a variant and score it, unless that was done; a run that was stopped goes on."""
    label = f"{name.replace(' ', '-')}-{seed}"
    scores = folder / f"{label}.json"
    if scores.is_file():
        return msgspec.json.decode(scores.read_bytes(), type=Scores)
    data, run_dir = folder / f"{label}-rows", folder / f"{label}-run"
    data.mkdir(parents=True, exist_ok=True)
    lines = [msgspec.json.encode(row) + b"\n" for row in _rows_of(part, without)]
    (data / "train.jsonl").write_bytes(b"".join(lines))
    (data / "validation.jsonl").write_bytes(b"")
    command = [*training_command(load(RECIPE), RECIPE, data, run_dir), "--overrides", f'{{"seed": {seed}}}']
    subprocess.run(command, check=True, stdout=sys.stderr)
    result = _score_once(scores, part, run_dir / "adapter")
    # The unpacked base is half a gigabyte.
    for used in (data, run_dir):
        shutil.rmtree(used)
    return result


def _score_once(path: Path, part: Part, adapter: Path | None) -> Scores:
    if path.is_file():
        return msgspec.json.decode(path.read_bytes(), type=Scores)
    path.parent.mkdir(parents=True, exist_ok=True)
    scores = score_adapter(load(RECIPE), adapter, part.triage_test, part.questions)
    write_json(path, msgspec.to_builtins(scores))
    return scores


def _list_scores(field: str, words: str, scores: Mapping[str, Sequence[Scores]]) -> Iterator[Figure]:
    values = {name: [getattr(each, field) for each in seeds] for name, seeds in scores.items()}
    for name, by_seed in values.items():
        yield Figure(
            figure=f"{words}: {name}",
            value=round(statistics.fmean(by_seed), 4),
            unit="",
            peer=f"{min(by_seed):.3f} to {max(by_seed):.3f} over {len(by_seed)} seeds",
        )
        if name != ALL:
            mean, interval = compare(by_seed, values[ALL])
            yield Figure(
                figure=f"{words}: {name}, against {ALL}", value=round(mean, 4), unit="", peer=interval
            )
