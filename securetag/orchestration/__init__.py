"""Jobs, sensors and the Dagster instance: when the assets run, and where their history lies."""
