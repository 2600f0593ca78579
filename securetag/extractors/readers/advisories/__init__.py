"""CVE, NVD, OSV, KEV and CSAF, and what they say together."""
