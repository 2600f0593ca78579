"""Write tests/datasets/synthetic/labels.json: what the oracle says of a fixed sample of functions.

    python tools/label_table.py           write the table
    python tools/label_table.py --check   exit 1 when a label changed or the table is out of date

Every synthetic row carries `ORACLE_VERSION`, which has to rise when a label changes: the table notices.
For each guard it has the number of true positives, false positives and functions without a label, and
a digest of all of them, over each class of sink and each mode that the guard can be written in. The
tool refuses to write a changed label under the same version. Takes about ten CPU-seconds.
"""

from __future__ import annotations

import hashlib
import json
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from securetag.datasets.synthetic import oracle
from securetag.datasets.synthetic.frameworks import FRAMEWORKS
from securetag.datasets.synthetic.guards import GUARDS, Guard
from securetag.datasets.synthetic.routes import list_frameworks
from securetag.datasets.synthetic.sample import trial_of
from securetag.datasets.synthetic.shapes import MODES, SHAPES, Plan, list_modes, write_function
from securetag.datasets.synthetic.sinks import CLASSES, SINKS

TABLE = Path(__file__).resolve().parent.parent / "tests" / "datasets" / "synthetic" / "labels.json"
#: The guard that follows in mode `combined`.
SECOND = next(guard for guard in GUARDS if guard.name == "fullmatch-alnum")


class Table(NamedTuple):
    """Labels of the sample under one version of the oracle."""

    oracle: str
    #: Name of a guard → true positives, false positives, unlabeled, digest.
    labels: dict[str, str]


def plans(guard: Guard) -> Iterator[tuple[Plan, str]]:
    """Yield a plan for each class and mode; names choose its sink, framework and shape, never chance."""
    frameworks = [
        framework
        for framework in FRAMEWORKS
        if guard.family != "route" or framework.name in list_frameworks(guard.name)
    ]
    for cwe in guard.classes or CLASSES:
        sinks = [sink for sink in SINKS if sink.cwe == cwe]
        for mode in ("sound", "combined", *MODES[guard.kind]):
            number = int(hashlib.sha256(f"{guard.name}/{cwe}/{mode}".encode()).hexdigest()[:8], 16)
            framework = frameworks[number % len(frameworks)]
            plan = Plan(
                framework=framework,
                source=sorted(framework.sources)[0],
                sink=sinks[number // 7 % len(sinks)],
                guard=guard,
                shape=SHAPES[number // 49 % len(SHAPES)],
                function="show",
                variable="name",
                result="clean",
                other="page",
                has_other=True,
                refusal=framework.refusals[0],
                spelling="fstring" if guard.family == "route" else "concat",
                weak=number // 343,
                second=SECOND,
                has_log=True,
            )
            if mode in {"sound", "combined", *list_modes(plan)}:
                yield plan, mode


def measure() -> Table:
    """Run the sample and return its table."""
    cases = [(guard.name, plan, mode) for guard in GUARDS for plan, mode in plans(guard)]
    outcomes = oracle.run_trials([trial_of(plan, write_function(plan, mode)) for _, plan, mode in cases])
    texts: dict[str, list[str]] = {}
    counts: dict[str, Counter[str | None]] = {}
    for (guard, plan, mode), outcome in zip(cases, outcomes, strict=True):
        label = oracle.label_of(outcome)
        texts.setdefault(guard, []).append(f"{plan.sink.name}/{plan.shape}/{mode}: {label}\n")
        counts.setdefault(guard, Counter())[label] += 1
    return Table(
        oracle=oracle.ORACLE_VERSION,
        labels={
            guard: " ".join(
                [
                    *(str(counts[guard][label]) for label in ("true_positive", "false_positive", None)),
                    hashlib.sha256("".join(lines).encode()).hexdigest()[:12],
                ]
            )
            for guard, lines in sorted(texts.items())
        },
    )


def changed_guards(stored: Table, measured: Table) -> list[str]:
    """Return the guards of both tables whose labels differ."""
    both = stored.labels.keys() & measured.labels.keys()
    return sorted(guard for guard in both if stored.labels[guard] != measured.labels[guard])


def problems(stored: Table, measured: Table) -> list[str]:
    """Return why `stored` can't stand for `measured`; empty when it can."""
    changed = changed_guards(stored, measured)
    if changed and stored.oracle == measured.oracle:
        return [
            f"labels changed under {stored.oracle} (guards {', '.join(changed)}): raise ORACLE_VERSION in "
            "securetag/datasets/synthetic/oracle.py, then run tools/label_table.py"
        ]
    if stored != measured:
        return ["the table is out of date: run tools/label_table.py"]
    return []


def read() -> Table:
    """Return the stored table."""
    return Table(**json.loads(TABLE.read_text(encoding="utf-8")))


def main(argv: list[str]) -> int:
    """Write the table, or check it."""
    measured = measure()
    if TABLE.exists():
        stored = read()
        changed = changed_guards(stored, measured) if stored.oracle == measured.oracle else []
        faults = problems(stored, measured)
        if faults and (changed or "--check" in argv):
            print("\n".join(faults), file=sys.stderr)
            return 1
    if "--check" not in argv:
        TABLE.write_text(json.dumps(measured._asdict(), indent=1) + "\n", encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
