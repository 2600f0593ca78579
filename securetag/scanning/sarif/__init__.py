"""SARIF 2.1.0: what other tools report comes in, what we report goes out."""
