"""Readers of vulnerabilities and advisories: CVE, NVD, OSV, KEV, CSAF, and their merge."""
