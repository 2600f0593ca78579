"""Records, synthetic cases and people's verdicts → Examples → an immutable release.

Everything here is pure and seeded: the same inputs and parameters give the same bytes. Begin with
`build.build`, which makes the rows of `knowledge`, `feedback` and `synthetic`, runs the steps of
`build.list_steps` and writes the release.
"""
