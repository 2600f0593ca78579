"""What people say of findings: verdicts, bulk decisions, withdrawals, notes and who works on what."""
