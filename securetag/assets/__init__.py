"""The loop as Dagster assets: thin over `securetag.pipeline`, with what a person wants to see."""
