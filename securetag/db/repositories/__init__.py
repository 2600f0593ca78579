"""All SQL of the api: one module a noun, functions over a session that `tenant_transaction` opened.

Row-level security limits every query to the session's tenant, so none repeats it in a WHERE. What
isn't found under the tenant raises NotFoundError, whether it is absent or somebody else's.
"""
