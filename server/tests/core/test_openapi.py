"""The document is made of the same table that serves, and is valid OpenAPI 3.1."""

from typing import Any

import pytest
from openapi_spec_validator import OpenAPIV31SpecValidator

from cygnid.core.errors import NameTaken
from cygnid.core.filters import CreatedQuery
from cygnid.core.http import OPERATIONS, Body, Producer, events, operation, receive
from cygnid.core.openapi import document
from cygnid.core.openapi_profile import violations
from cygnid.core.schemas import In, Out, Page

_first = len(OPERATIONS)


class Pet(Out, frozen=True, kw_only=True):
    id: str
    nick: str | None


class PetCreate(In, frozen=True, kw_only=True):
    nick: str | None = None


class PetList(CreatedQuery, frozen=True, kw_only=True):
    status: list[str] = []
    least: int | None = None


@operation("GET", "/v1/pets", id="pets.list", needs="any")
async def list_pets(query: PetList) -> Page[Pet]:
    """List pets."""
    raise AssertionError


@operation("POST", "/v1/pets", id="pets.create", needs="any", status=201, errors=[NameTaken], answers=Pet)
async def create_pet(data: PetCreate) -> None:
    """Make a pet."""
    raise AssertionError


@operation("DELETE", "/v1/pets/{id}", id="pets.delete", needs="public", status=204)
async def delete_pet(id: str) -> None:  # noqa: A002
    """Remove a pet."""
    raise AssertionError


@events("/v1/pets/{id}/barks", id="barks.stream", needs="any", sends=Pet)
async def barks(id: str) -> Producer:  # noqa: A002
    """Follow what a pet says."""
    raise AssertionError


@receive("/v1/pets/{id}/photo", id="pets.putPhoto", needs="any", media=("image/png", "image/webp"))
async def put_photo(id: str, body: Body) -> Pet:  # noqa: A002
    """Take a photo."""
    raise AssertionError


MINE = OPERATIONS[_first:]
del OPERATIONS[_first:]


@pytest.fixture(scope="module")
def made() -> dict[str, Any]:
    return document(MINE, version="1.0")


def test_the_document_is_valid(made: dict[str, Any]):
    assert list(OpenAPIV31SpecValidator(made).iter_errors()) == []


def test_every_operation_has_its_id_and_errors(made: dict[str, Any]):
    create = made["paths"]["/v1/pets"]["post"]
    assert create["operationId"] == "pets.create"
    assert create["x-cygni-errors"]["409"] == ["idempotency_in_progress", "name_taken"]
    assert made["paths"]["/v1/pets/{id}"]["delete"]["x-cygni-errors"]["401"] == ["unauthorized"], "of a wrong token"


def test_what_was_made_leads_to_what_can_be_asked_of_it(made: dict[str, Any]):
    links = made["paths"]["/v1/pets"]["post"]["responses"]["201"]["links"]
    assert links["pets.delete"] == {"operationId": "pets.delete", "parameters": {"id": "$response.body#/data/id"}}


def test_envelopes_are_named_and_outputs_required(made: dict[str, Any]):
    schemas = made["components"]["schemas"]
    assert schemas["PetPage"]["properties"]["data"]["items"] == {"$ref": "#/components/schemas/Pet"}
    assert schemas["Pet"]["required"] == ["id", "nick"]
    assert schemas["PetCreate"]["additionalProperties"] is False
    assert "requestId" in schemas["MetaOut"]["required"]


def test_parameters_come_from_the_query(made: dict[str, Any]):
    named = {item["name"]: item for item in made["paths"]["/v1/pets"]["get"]["parameters"]}
    assert named["least"]["schema"] == {"type": "integer"}
    assert named["status"]["schema"]["type"] == "array"
    assert named["createdAt[gte]"]["schema"] == {"type": "string", "format": "date-time"}


def test_streams_and_bodies_of_bytes_say_what_they_are(made: dict[str, Any]):
    stream = made["paths"]["/v1/pets/{id}/barks"]["get"]
    assert stream["x-cygni-stream"] == "sse"
    assert list(stream["responses"]["200"]["content"]) == ["text/event-stream"]
    assert "304" not in stream["responses"]
    put = made["paths"]["/v1/pets/{id}/photo"]["put"]
    assert (put["x-cygni-body"], list(put["requestBody"]["content"])) == ("binary", ["image/png", "image/webp"])
    assert {item["name"] for item in put["parameters"]} == {"id", "Content-Range"}


def test_nullable_is_said_in_one_way(made: dict[str, Any]):
    assert made["components"]["schemas"]["Pet"]["properties"]["nick"] == {"type": ["string", "null"]}


def test_the_document_keeps_to_the_profile(made: dict[str, Any]):
    assert violations(made) == []


@pytest.mark.parametrize(
    ("schema", "word"),
    [
        ({"allOf": [{"$ref": "#/components/schemas/Pet"}]}, "allOf"),
        ({"$ref": "#/components/schemas/Cat"}, "leads nowhere"),
        ({"type": "object", "properties": {"x": {"type": "string"}}}, "named schema"),
        ({"anyOf": [{"type": "string"}, {"type": "integer"}]}, "discriminator"),
        ({"anyOf": [{"type": "string"}, {"type": "null"}]}, "nullable"),
        ({}, "no type"),
    ],
)
def test_what_the_profile_does_not_allow_is_found(made: dict[str, Any], schema: dict[str, Any], word: str):
    pet = {**made["components"]["schemas"]["Pet"], "properties": {"x": schema}}
    bad = {**made, "components": {"schemas": {**made["components"]["schemas"], "Pet": pet}}}
    assert [line for line in violations(bad) if word in line]


def test_an_operation_out_of_the_profile_is_found(made: dict[str, Any]):
    get = made["paths"]["/v1/pets"]["get"]
    bad = {**get, "operationId": "list", "responses": {**get["responses"], "201": get["responses"]["200"]}}
    found = violations({**made, "paths": {"/v1/pets": {"get": bad, "head": bad}}})
    assert len(found) == 3
