"""Readers of NIST's OSCAL in JSON, YAML and XML: one model, three decoders."""
