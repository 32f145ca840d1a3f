"""From openapi.json and behavior.json to the four SDKs: read, then emit. `python -m generator` runs it."""
