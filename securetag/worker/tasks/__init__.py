"""What a worker can do, one module a kind of task: from an Attempt to the result to send."""
