"""Extract Records with provenance from publications: catalog, fetching, one reader a format, extraction."""
