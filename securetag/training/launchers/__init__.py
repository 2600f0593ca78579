"""Where a run takes place: a subprocess of this machine, for now."""
