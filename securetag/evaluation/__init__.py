"""Scores any callable predictor on held-out examples, compares two of them, and decides.

`suites` asks, `metrics` counts, `significance` bounds, `compare` pairs, `gate` decides, `plots`
draws. Nothing here knows how a predictor works, where a model is or what publishing means.
"""
