"""Records, composed cases and analysts' verdicts → examples → an immutable release.

Pure and seeded: neither the database nor Dagster is known here, and the same inputs give the same
bytes. `build.build` is the way in; `compose` makes and executes triage cases; `release` reads and
verifies what was written.
"""
