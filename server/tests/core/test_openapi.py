"""The document is made of the same table that serves, and is valid OpenAPI 3.1."""

from typing import Any

import pytest
from openapi_spec_validator import OpenAPIV31SpecValidator

from cygnid.core.errors import NameTaken
from cygnid.core.http import OPERATIONS, operation
from cygnid.core.openapi import document
from cygnid.core.schemas import In, Out, Page

_first = len(OPERATIONS)


class Pet(Out, frozen=True, kw_only=True):
    id: str
    nick: str | None


class PetCreate(In, frozen=True, kw_only=True):
    nick: str | None = None


class PetList(In, frozen=True, kw_only=True):
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
    assert "401" not in made["paths"]["/v1/pets/{id}"]["delete"]["responses"]


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
