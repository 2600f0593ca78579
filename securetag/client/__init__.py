"""Clients of our own HTTP api: `api` for people's programs, `queue` for workers, both through `http`."""
