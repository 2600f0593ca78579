"""The HTTP api. `securetag.api.app.create_app` builds it; `python -m securetag.api` serves it."""
