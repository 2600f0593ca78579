"""Which gate a served model has passed, by the registry of who published it.

The server's word is not enough: a name, an id and a tag can be given to any model. What counts is the
digest under which the server shows the model, and that the registry has recorded it at publication.
"""

from __future__ import annotations

import logging

from securetag.calibration import Calibration
from securetag.errors import SecuretagError
from securetag.records import Gate
from securetag.serving.client import ModelInfo
from securetag.serving.registry import Registry
from securetag.settings import Settings

log = logging.getLogger(__name__)


class PublishedGates:
    """Gates and calibrations of the registry that the settings name, read anew for each question."""

    def __init__(self, settings: Settings) -> None:
        self._registry = Registry(settings.models_dir, file=settings.triage.registry)
        self._is_trusted = settings.model_location != "third_party"

    def find(self, model: ModelInfo) -> Gate:
        """Return the strictest gate that `model` has passed; `none` for one that was not published by us.

        What runs at a third party has none: its server could show any digest.
        """
        if not self._is_trusted or not model.digest:
            return "none"
        try:
            return self._registry.find_gate(model.digest, model.model_id)
        except (SecuretagError, OSError) as error:
            log.warning("no verdict carries a gate: %s", error)
            return "none"

    def find_calibration(self, model_id: str) -> Calibration | None:
        """Return how the scores of a model are read; None where nobody has measured it."""
        try:
            return self._registry.find_calibration(model_id)
        except (SecuretagError, OSError) as error:
            log.warning("no verdict is calibrated: %s", error)
            return None
