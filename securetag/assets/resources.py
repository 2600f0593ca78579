"""What assets and jobs are given instead of looking for it: the settings of this installation."""

from __future__ import annotations

import dagster as dg

from securetag.settings import Settings, get_settings


@dg.resource(description="The settings of this installation, read when a run begins.")
def settings_resource(_: dg.InitResourceContext) -> Settings:
    """Return the settings. Raises SettingsError where one can't be read."""
    return get_settings()
