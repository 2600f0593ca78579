"""The services of an installation: start them (`up`, or one alone), and check what they need (`doctor`)."""

from __future__ import annotations

from securetag.cli.services.doctor import doctor
from securetag.cli.services.serve import api, dagster, worker
from securetag.cli.services.up import up

__all__ = ["api", "dagster", "doctor", "up", "worker"]
