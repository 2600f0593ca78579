"""Code audits: an archive comes in, a task goes out."""
