"""A built release read by scanners of others: CredSweeper for credentials, Presidio for addresses.

Set BENCH_SCANNERS to a Python and BENCH_RELEASE to a release: `python -m benchmarks release.independent`. The
interpreter has `credsweeper` and `presidio-analyzer`, in an environment of its own, not beside the project.
"""

from __future__ import annotations

import json
import os
import subprocess
import tempfile
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from benchmarks.figure import Figure
from securetag.datasets.knowledge.personal_data import mask_personal_data
from securetag.errors import SettingsError

SCRIPT = Path(__file__).parents[2] / "tools" / "consumers" / "scan_release.py"
#: Rules of CredSweeper on a key that a vendor issued and that works as it stands; the others (Password,
#: Secret, Token, Auth, Key) also report the examples that a guide teaches with, which a person looks at.
_ISSUED = ("AWS", "Google", "Github", "GitLab", "Slack", "Stripe", "Azure", "PEM", "Telegram", "Twilio")


def measure() -> Iterator[Figure]:
    """Yield issued keys, addresses of persons, and what else is reported, by rule."""
    python, release = os.environ.get("BENCH_SCANNERS"), os.environ.get("BENCH_RELEASE")
    if not python or not release:
        raise SettingsError(
            "this area needs scanners and a release", hint="Set BENCH_SCANNERS and BENCH_RELEASE."
        )
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "scan.json"
        subprocess.run([python, str(SCRIPT), release, str(out)], check=True, stdout=subprocess.DEVNULL)
        report = json.loads(out.read_text("utf-8"))
    rules = Counter(rule for _, rule, *_ in report["credentials"])
    issued = sum(n for rule, n in rules.items() if rule.startswith(_ISSUED))
    yield Figure(figure="keys that a vendor issued", value=issued, unit="", bar="0", ok=not issued)
    persons = [address for address in report["addresses"] if mask_personal_data(address) != address]
    yield Figure(
        figure="e-mail addresses outside of reserved domains",
        value=len(persons),
        unit="",
        peer=f"of {len(report['addresses'])} addresses",
        bar="0",
        ok=not persons,
    )
    for rule, n in sorted(rules.items()):
        yield Figure(figure=f"reported by CredSweeper: {rule}", value=n, unit="")
