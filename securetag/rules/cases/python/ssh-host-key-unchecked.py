def connect(client):
    # ruleid: securetag.python.ssh-host-key-unchecked
    client.set_missing_host_key_policy(paramiko.AutoAddPolicy())
    # ruleid: securetag.python.ssh-host-key-unchecked
    client.set_missing_host_key_policy(WarningPolicy)
    # ok: securetag.python.ssh-host-key-unchecked
    client.set_missing_host_key_policy(paramiko.RejectPolicy())
