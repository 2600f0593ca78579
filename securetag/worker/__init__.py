"""The worker: claims tasks from the api over HTTP, runs scanners and the model on them, reports once."""
