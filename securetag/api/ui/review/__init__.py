"""What reviewers do on the page beside judging one finding: undo, bulk, blind mode, the queue, notes."""
