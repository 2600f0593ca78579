"""The page where analysts review findings, rendered by the api; reading it needs no JavaScript."""
