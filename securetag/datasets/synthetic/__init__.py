"""Synthetic triage cases: source × guard × sink × framework × shape, labeled by running them.

Each case is a short Python function of a web application. `oracle` runs it in a sandbox with recording
sinks and reports whether a payload changed the meaning of what reached the sink. `sample` chooses
contrastive pairs: two functions that differ in the guard alone, one of each label. `cases` keeps the pairs
that our scanner flags and renders them as training rows.
"""
