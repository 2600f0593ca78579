"""Whether a running deployment works: its api, its database and the endpoint of its model."""
