"""Whether a tenant's code may be shown to this worker's model.

The tenant says how far its code may go, the worker's settings say where the model is. Nothing is rendered
or sent before both are compared.
"""

from __future__ import annotations

from typing import get_args

from securetag.records import ModelLocation

#: Nearest first.
_DISTANCES: tuple[ModelLocation, ...] = get_args(ModelLocation)


def describe_refusal(location: ModelLocation, policy: object, questions: int) -> str:
    """Return why a model at `location` isn't asked `questions` questions; empty where it may be.

    A policy that isn't known, such as that of an older api, is the strictest.
    """
    allowed = _DISTANCES.index(policy) if policy in _DISTANCES else 0
    if not questions or _DISTANCES.index(location) <= allowed:
        return ""
    return (
        f"no model was asked about {questions} findings: the worker's model is at `{location}`, and this "
        f"tenant's code may go no farther than `{_DISTANCES[allowed]}`. An admin can allow it: `securetag "
        f"tenant policy NAME {location}`, or PATCH /tenants/ID. If the model is nearer than that, set "
        "SECURETAG_TRIAGE__LOCATION for the worker."
    )
