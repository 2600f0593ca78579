"""What every package needs once: atomic files, locks, hashes, the clock, child processes, discovery.

Modules here depend on the standard library, on small well-kept libraries and on `securetag.errors`,
and know nothing of Records, scans or models. Import the module that you need::

    from securetag.system.files import write_atomic
    from securetag.system.hashing import hash_file
"""
