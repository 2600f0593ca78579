"""Upstream publications → Records with provenance: catalog, fetch, one reader a format, extract."""
