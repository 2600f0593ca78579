"""Fetch the files of a source, verified: from a folder, a package, a mirror, the network or a site."""
