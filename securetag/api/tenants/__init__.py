"""Tenants, for operators."""
