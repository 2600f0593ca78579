"""A sensor that watches the scanning service's tool executions."""

from __future__ import annotations

from uuid import UUID

import dagster as dg

from securetag.errors import DatabaseUnavailableError, SettingsError
from securetag.settings import get_settings


@dg.sensor(job_name="refresh", minimum_interval_seconds=60, default_status=dg.DefaultSensorStatus.STOPPED)
def new_tool_executions(context: dg.SensorEvaluationContext) -> dg.SensorResult | dg.SkipReason:
    """Starts a harvest and a release when consenting tenants' scans have run since the last time."""
    from securetag.db.harvest import list_new_tool_executions as look

    try:
        executions, last = look(get_settings(), UUID(context.cursor) if context.cursor else None)
    except (DatabaseUnavailableError, SettingsError) as error:
        return dg.SkipReason(f"{error}. {error.hint}")
    if not executions:
        return dg.SkipReason("no new tool execution of a consenting tenant")
    request = dg.RunRequest(run_key=str(last), tags={"tool_executions": str(executions)})
    return dg.SensorResult(run_requests=[request], cursor=str(last))
