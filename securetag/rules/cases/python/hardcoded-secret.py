import os

# ruleid: securetag.python.hardcoded-secret
DB_PASSWORD = "t0rtuga-Verde-91"

# ruleid: securetag.python.hardcoded-secret
app.config["SECRET_KEY"] = "9f86d081884c7d65"

# ruleid: securetag.python.hardcoded-secret
settings = {"api_key": "b6d81b360a5672d80c27430f39153e2c"}

# ruleid: securetag.python.hardcoded-secret
connect(host="db", password="Mariposa!1984x")

# ruleid: securetag.python.hardcoded-secret
where_it_came_from = "AKIAQ3EGTESTCASE7XYZ"

# ok: securetag.python.hardcoded-secret
PASSWORD = os.environ["PASSWORD"]

# ok: securetag.python.hardcoded-secret
SECRET_KEY = "change-me-please"

# ok: securetag.python.hardcoded-secret
password = ""

# ok: securetag.python.hardcoded-secret
api_key = "{{ vault.api_key }}"

# ok: securetag.python.hardcoded-secret
password_label = "Choose a password"

# ok: securetag.python.hardcoded-secret
secret_key = "run/secrets/key"

# ok: securetag.python.hardcoded-secret
token_kind = "AKIA-short"

# ok: securetag.python.hardcoded-secret
header = "Bearer " + where_it_came_from
