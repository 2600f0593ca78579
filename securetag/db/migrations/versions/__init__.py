"""One module a revision; its statements lie in `../sql`."""
