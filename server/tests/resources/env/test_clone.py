"""A new environment with the variables of another."""

import json

from tests.make.api import Api
from tests.make.calls import create_project, refused


async def _with_variables(api: Api) -> str:
    client = await api.owner()
    project = (await create_project(client, "shop"))["id"]
    for key, kind in (("COLOR", "plain"), ("PASSWORD", "secret")):
        body = {"projectId": project, "key": key, "value": f"the-{key}", "type": kind, "environments": ["production"]}
        await client.request("POST", "/env", json=body)
    return project


async def _values(api: Api, project: str, name: str) -> dict[str, str]:
    client = await api.owner()
    body = {"projectId": project, "environment": name, "format": "json", "reason": "a test"}
    return json.loads((await client.request("POST", "/env/export", json=body)).data["content"])


async def test_who_may_reveal_copies_values(api: Api) -> None:
    project = await _with_variables(api)
    client = await api.owner()
    path = f"/projects/{project}/environments"
    made = await client.request("POST", path, json={"name": "staging", "cloneFrom": "production"})
    assert made.warnings == []
    assert await _values(api, project, "staging") == {"COLOR": "the-COLOR", "PASSWORD": "the-PASSWORD"}


async def test_others_copy_the_names_of_secrets_only(api: Api) -> None:
    project = await _with_variables(api)
    client = await api.member("developer")
    path = f"/projects/{project}/environments"
    made = await client.request("POST", path, json={"name": "staging", "cloneFrom": "production"})
    assert [(warning.code, warning.path) for warning in made.warnings] == [("secret_not_copied", "env.PASSWORD")]
    assert await _values(api, project, "staging") == {"COLOR": "the-COLOR", "PASSWORD": ""}


async def test_what_is_not_there_cannot_be_cloned(api: Api) -> None:
    project = await _with_variables(api)
    client = await api.owner()
    path = f"/projects/{project}/environments"
    error = await refused(client.request("POST", path, json={"name": "staging", "cloneFrom": "nothing"}))
    assert (error.status, error.code) == (404, "not_found")
    names = [row["name"] for row in (await client.request("GET", path)).data]
    assert names == ["production"], "nothing is left of it"
