"""Targets: the web applications that a tenant may scan, and the proof that they are the tenant's."""
