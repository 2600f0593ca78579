"""Records, composed cases and analysts' verdicts → examples → an immutable release.

Pure and seeded: neither the database nor Dagster is known here, and the same inputs give the same
bytes. `build.build` is the way in, and tells the order: rows come from `synthesis`, `compose` and
`harvested`, pass `filters`, `likeness` and `mix`, get their side from `split`, and are written by
`releases`. `export` and `reviews` take them out again.
"""
