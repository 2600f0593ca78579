import tempfile

# ruleid: securetag.python.insecure-temporary-file
name = tempfile.mktemp(".csv")

# ok: securetag.python.insecure-temporary-file
handle, name = tempfile.mkstemp(".csv")
