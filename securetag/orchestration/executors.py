"""Where the steps of a run run."""

from __future__ import annotations

import dagster as dg

from securetag.settings import Settings
from securetag.system.extras import require_packages


def choose_executor(settings: Settings) -> dg.ExecutorDefinition:
    """Return the executor of the setting `dagster_executor`.

    `kubernetes` makes a Job of each step, so that every source is extracted in a pod of its own. Raises
    ModuleNotFoundError without the extra `kubernetes`.
    """
    if settings.dagster_executor == "kubernetes":
        require_packages(["dagster_k8s"])
        from dagster_k8s import k8s_job_executor

        executor: dg.ExecutorDefinition = k8s_job_executor
        return executor
    # One machine, two cores: steps of a run share them anyway, and a process a step costs 3 s each.
    return dg.in_process_executor
