"""What a finding is known by: its code described without names of files, lines or local variables."""
