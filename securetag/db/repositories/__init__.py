"""Queries that more than the api asks: functions over a session that `tenant_transaction` opened.

Those of a single noun of the api are in its folder, `securetag/api/<noun>/repository.py`.

Row-level security limits every query to the session's tenant, so none repeats it in a WHERE. What
isn't found under the tenant raises NotFoundError, whether it is absent or somebody else's.
"""
