"""The state machine of a task, as a table.

The database holds the same table in a trigger (`task_transition`), so no writer can get round it; a
test tries every pair against both.
"""

from __future__ import annotations

from enum import StrEnum


class State(StrEnum):
    """Where a task stands."""

    QUEUED = "queued"
    RUNNING = "running"
    RETRYING = "retrying"
    COMPLETED = "completed"
    FAILED = "failed"
    TIMEOUT = "timeout"
    DEAD_LETTER = "dead_letter"
    CANCELLED = "cancelled"


#: What may follow. `running → running` is no transition: a heartbeat leaves the state alone.
TRANSITIONS: dict[State, frozenset[State]] = {
    State.QUEUED: frozenset({State.RUNNING, State.CANCELLED}),
    State.RUNNING: frozenset(
        {
            State.COMPLETED,
            State.RETRYING,
            State.DEAD_LETTER,
            State.FAILED,
            State.TIMEOUT,
            State.CANCELLED,
        }
    ),
    State.RETRYING: frozenset({State.RUNNING, State.CANCELLED}),
    State.COMPLETED: frozenset(),
    State.FAILED: frozenset(),
    State.TIMEOUT: frozenset(),
    State.DEAD_LETTER: frozenset(),
    State.CANCELLED: frozenset(),
}

#: States that nothing follows.
TERMINAL: frozenset[State] = frozenset(state for state, after in TRANSITIONS.items() if not after)
#: States from which a worker may claim.
CLAIMABLE: frozenset[State] = frozenset({State.QUEUED, State.RETRYING})
