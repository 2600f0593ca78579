"""A release on disk: written whole, sealed, described, traced, compared and checked."""
