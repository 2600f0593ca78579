"""Composed triage cases: source × guard × sink × framework × shape, labelled by running them.

What is put together is a short Python function of a web application. What it is worth is not
decided here: `oracle` runs it in a sandbox against recording sinks and says whether some payload
changed the meaning of what reached the sink. `sample` chooses pairs that differ in the guard alone,
one of each label; `cases` keeps those that our scanner flags and renders them as training rows.
"""
