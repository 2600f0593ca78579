"""What people say of findings, consented and scrubbed, as verdicts to learn from."""
