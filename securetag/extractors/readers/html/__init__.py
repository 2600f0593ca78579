"""HTML → main content → sections."""
