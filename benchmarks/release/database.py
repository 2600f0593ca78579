"""A database as a year of use leaves it: two dozen tenants, their projects, and what their people said.

The code is made up (a fixed seed), since no real tenant's may stand in a benchmark. Everything is
written through the queue and the tables that the services write, and read by the harvest's own role.
"""

from __future__ import annotations

import asyncio
import hashlib
import random
from datetime import UTC, datetime
from uuid import UUID

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncEngine
from uuid_utils.compat import uuid7

from securetag.db import models, queue
from securetag.db.engine import create_engine, tenant_transaction
from securetag.db.models import Consent, Feedback, Project, Tenant
from securetag.records import Decision, Finding, Verdict
from securetag.wire import queue as wire

TENANTS, PROJECTS, FINDINGS = 24, 3, 20
#: Of the tenants, those that never consented: nothing of theirs may enter.
SILENT = 4
#: Share of the second reviewer's answers that differ.
DISSENT = 0.05

_SINKS = {
    "sql": ("CWE-89", "{v} = {d}.execute('select {c} from {t} where {c} = ' + {v}).fetchone()"),
    "command": ("CWE-78", "{v} = os.popen('{t} --{c} ' + {v}).read()"),
    "path": ("CWE-22", "{v} = open('/srv/{t}/' + {v}, 'rb').read()"),
    "code": ("CWE-94", "{v} = eval('{t}.{c}[' + {v} + ']')"),
}
_GUARDS = (
    "if not re.fullmatch(r'[a-z]{{1,{n}}}', {v}): raise ValueError({v})",
    "{v} = str(int({v}) + {n})",
    "if {v} not in {{'{c}', '{t}'}}: return None",
)
_STEPS = (
    "log.info('{t} asked for %s', {v})",
    "counter['{c}'] += {n}",
    "{w} = cache.get('{t}/{n}', '')",
    "metrics.observe('{c}_{t}', {n})",
    "{w} = {v}.strip().lower()[:{n}]",
    "audit.append(('{c}', {v}))",
)
_WORDS = [
    "order",
    "parcel",
    "invoice",
    "tariff",
    "voyage",
    "ledger",
    "orchard",
    "signal",
    "harbour",
    "quarry",
    "lantern",
    "meadow",
    "copper",
    "anchor",
    "barley",
    "saddle",
    "timber",
    "walnut",
    "falcon",
    "garnet",
    "hammer",
    "island",
    "jacket",
    "kettle",
    "lizard",
    "marble",
    "needle",
    "oyster",
]


def _function(drawn: random.Random, number: int) -> tuple[str, str, str, bool, int]:
    """(code, scope, CWE, is it guarded, the flagged line counted from 1)."""
    cwe, sink = drawn.choice(list(_SINKS.values()))
    names = {
        "v": f"{drawn.choice(_WORDS)}_{drawn.randrange(90)}",
        "w": f"{drawn.choice(_WORDS)}_id",
        "d": drawn.choice(("db", "cursor", "session", "conn")),
        "n": str(drawn.randrange(2, 400)),
        "t": "_".join(drawn.sample(_WORDS, 2)),
        "c": drawn.choice(_WORDS),
    }
    guarded = drawn.random() < 0.5
    body = drawn.sample(_STEPS, drawn.randrange(2, 5))
    body += [drawn.choice(_GUARDS)] if guarded else []
    lines = [f"    {line.format(**names)}" for line in [*body, sink]]
    scope = f"{drawn.choice(_WORDS)}_{drawn.choice(_WORDS)}_{number}"
    code = "\n".join([f"def {scope}({names['v']}):", *lines, f"    return {names['v']}"]) + "\n"
    return code, scope, cwe, guarded, len(lines) + 1


def _finding(drawn: random.Random, number: int) -> tuple[wire.TriagedFinding, bool]:
    code, scope, cwe, guarded, line = _function(drawn, number)
    finding = Finding(
        tool="semgrep",
        rule_id=f"securetag.python.{cwe.lower()}",
        cwe=cwe,
        title="Untrusted text",
        message="Text from a request reaches an interpreter.",
        severity="high",
        confidence="high",
        language="python",
        path=f"app/{scope}.py",
        start_line=line,
        end_line=line,
        snippet=code,
        snippet_line=1,
        scope=scope,
        fingerprint="v1:" + hashlib.sha256(code.encode()).hexdigest(),
    )
    verdict = Verdict(decision=Decision.TRUE_POSITIVE, evidence=[(line, line)], model_id="m", alias="base")
    return wire.TriagedFinding(finding=finding, verdict=verdict), guarded


def fill(dsn: str) -> int:
    """Write it all as the services would; the number of verdicts that may be harvested."""
    return asyncio.run(_fill(dsn))


async def _fill(dsn: str) -> int:
    drawn = random.Random(0)
    engine = create_engine(dsn)
    allowed = 0
    try:
        for tenant in range(TENANTS):
            consents = tenant >= SILENT
            allowed += (await _tenant(engine, drawn, f"tenant {tenant}", consents=consents)) * consents
    finally:
        await engine.dispose()
    return allowed


async def _tenant(engine: AsyncEngine, drawn: random.Random, name: str, *, consents: bool) -> int:
    tenant = uuid7()
    async with tenant_transaction(engine, tenant) as session:
        session.add(Tenant(id=tenant, name=name))
        await session.flush()
        if consents:
            session.add(Consent(tenant_id=tenant, granted_by="owner"))
    return sum([await _project(engine, drawn, tenant, f"project {number}") for number in range(PROJECTS)])


async def _project(engine: AsyncEngine, drawn: random.Random, tenant: UUID, name: str) -> int:
    project = uuid7()
    async with tenant_transaction(engine, tenant) as session:
        session.add(Project(id=project, tenant_id=tenant, name=name))
        await session.flush()
        task = await queue.enqueue(session, tenant_id=tenant, project_id=project, kind="codeaudit")
    claim = await queue.claim(engine, "benchmark", ["codeaudit"])
    assert claim is not None
    made = [_finding(drawn, number) for number in range(FINDINGS)]
    result = wire.ResultRequest(
        task_id=task,
        outcome="completed",
        findings=[finding for finding, _ in made],
        tool_executions=[
            wire.ToolExecution(
                tool="semgrep",
                version="1.182.0",
                arguments=["semgrep", "scan"],
                exit_code=0,
                duration_s=1.0,
                started_at=datetime(2026, 11, 1, tzinfo=UTC),
                stdout="semgrep.stdout",
                metrics=wire.ToolMetrics(findings=FINDINGS),
            )
        ],
    )
    await queue.record_result(engine, claim.lease, result)
    guarded = {finding.finding.fingerprint: safe for finding, safe in made}
    async with tenant_transaction(engine, tenant) as session:
        for finding in (
            await session.scalars(select(models.Finding).where(models.Finding.last_task_id == task))
        ).all():
            safe = guarded[finding.fingerprint]
            for reviewer, says_safe in (("ana", safe), ("ben", safe ^ (drawn.random() < DISSENT))):
                session.add(
                    Feedback(
                        tenant_id=tenant,
                        finding_id=finding.id,
                        reviewer=reviewer,
                        source="person",
                        saw_model=reviewer == "ben",
                        verdict="false_positive" if says_safe else "true_positive",
                    )
                )
    return 2 * FINDINGS
