"""Figures that carry a bar: CPU-seconds, ratios against peers in the same run, memory."""
