"""What a program does with the generated client, as JSON."""

import json
import os

from client import AuthenticatedClient
from client.api.projects import projects_create, projects_get, projects_list
from client.models import ErrorAnswer, ProjectAnswer, ProjectInput, ProjectPage

with AuthenticatedClient(os.environ["API"], os.environ["TOKEN"], raise_on_unexpected_status=True) as client:
    made = projects_create.sync(client=client, body=ProjectInput(name="from-python"))
    assert isinstance(made, ProjectAnswer), made
    listed = projects_list.sync(client=client, limit=5)
    assert isinstance(listed, ProjectPage), listed
    refused = projects_get.sync("missing", client=client)
    assert isinstance(refused, ErrorAnswer), refused
    names = [project.name for project in listed.data]
    print(json.dumps({"id": made.data.id, "names": names, "error": [refused.error.code, refused.meta.request_id]}))
