"""Credentials in any file of a project, and the masking of their values in everything that leaves a scan."""

from __future__ import annotations

from securetag.scanning.secrets.mask import mask, mask_finding

__all__ = ["mask", "mask_finding"]
