"""The stages of the loop, composed from the floor below without Dagster.

`extract`, `harvest`, `build_release`, `train`, `evaluate`, `publish`: each reads what the one before
wrote, writes its own files, and returns a summary small enough to print. Assets and the command line
are thin over them.
"""
