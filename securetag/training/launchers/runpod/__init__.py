"""Training on a rented pod of RunPod (docs/training.md).

A job's inputs and results travel through S3-compatible storage, by URLs that open nothing else; its progress
arrives in the pod's log. Three things delete the pod, each without the others: the launcher, the watchdog of
the pod itself, and `reap`, which Dagster and `securetag cloud reap` call.
"""
