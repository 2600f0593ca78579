"""What MITRE publishes beside CVE."""
