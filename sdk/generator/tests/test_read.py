"""The document as the IR, and what is refused."""

import copy
import json

import pytest

from generator import emit, names
from generator.ir import Const, ListOf, MapOf, Nullable, Ref, Scalar
from generator.read import api
from generator.schemas import ProfileError

BEHAVIOR = json.loads((emit.SDK / "behavior.json").read_text())
META = {"type": "object", "properties": {"requestId": {"type": "string"}}, "required": ["requestId"]}
THING = {
    "type": "object",
    "properties": {
        "id": {"type": "string"},
        "status": {"type": "string", "enum": ["off", "on"]},
        "labels": {"type": "object", "additionalProperties": {"type": "string"}},
        "details": {"type": "object"},
        "at": {"type": ["string", "null"], "format": "date-time"},
        "owner": {"anyOf": [{"$ref": "#/components/schemas/User"}, {"$ref": "#/components/schemas/Team"}],
                  "discriminator": {"propertyName": "type", "mapping": {"user": "#/components/schemas/User",
                                                                        "team": "#/components/schemas/Team"}}},
        "parts": {"type": "array", "items": {"$ref": "#/components/schemas/User"}},
    },
    "required": ["id"],
}  # fmt: skip


def one_of_many(kind: str) -> dict:
    return {"type": "object", "properties": {"type": {"type": "string", "enum": [kind]}}, "required": ["type"]}


def document() -> dict:
    ref = {"$ref": "#/components/schemas/Thing"}
    envelope = {"type": "object", "properties": {"data": ref, "meta": {"$ref": "#/components/schemas/MetaOut"}}}
    answer = {"200": {"content": {"application/json": {"schema": {"$ref": "#/components/schemas/ThingAnswer"}}}}}
    query = {"name": "createdAt[gte]", "in": "query", "schema": {"type": "string", "format": "date-time"}}
    path = {"name": "id", "in": "path", "required": True, "schema": {"type": "string"}}
    operation = {"operationId": "things.get", "summary": "One.", "parameters": [path, query], "responses": answer,
                 "x-cygni-errors": {"404": ["not_found"]}}  # fmt: skip
    schemas = {"Thing": THING, "ThingAnswer": envelope, "MetaOut": META, "User": one_of_many("user")}
    return copy.deepcopy({
        "info": {"title": "T", "version": "1"},
        "paths": {"/v1/nice-things/{id}": {"get": operation}},
        "components": {"schemas": schemas | {"Team": one_of_many("team")}},
    })  # fmt: skip


def test_an_operation_and_its_types() -> None:
    found = api(document(), BEHAVIOR)
    (method,) = found.methods
    assert (method.noun, method.verb, method.http_method) == ("things", "get", "GET")
    assert [(param.name, param.wire) for param in method.path_params] == [("niceThingId", "id")]
    assert [(param.name, param.wire, param.type) for param in method.query] == [
        ("createdAtGte", "createdAt[gte]", Scalar("time"))
    ]
    assert (method.answer.kind, method.answer.model) == ("model", "Thing")
    assert [(error.status, error.codes) for error in method.errors] == [(404, ("not_found",))]
    fields = {field.name: field.type for field in found.models["Thing"].fields}
    assert fields == {
        "id": Scalar("string"),
        "status": Ref("ThingStatus"),
        "labels": MapOf(Scalar("string")),
        "details": MapOf(Scalar("any")),
        "at": Nullable(Scalar("time")),
        "owner": Ref("ThingOwner"),
        "parts": ListOf(Ref("User")),
    }
    assert found.enums["ThingStatus"].values == ("off", "on")
    assert found.unions["ThingOwner"].members == {"user": "User", "team": "Team"}
    assert found.models["User"].fields[0].type == Const("user")
    assert "ThingAnswer" not in found.models


def test_an_enum_makes_way_for_a_schema_of_its_name() -> None:
    changed = document()
    changed["components"]["schemas"]["ThingStatus"] = THING
    assert "ThingStatusValue" in api(changed, BEHAVIOR).enums


@pytest.mark.parametrize(
    ("place", "value", "told"),
    [
        (("operationId",), "things", "GET /v1/nice-things/{id}: operationId must be noun.verb"),
        (("responses",), {"200": {}, "201": {}}, "must have one success answer"),
        (("requestBody",), {"content": {"text/csv": {}}}, "needs x-cygni-body"),
        (("requestBody",), {"content": {"application/json": {"schema": {"type": "object"}}}}, "a named schema"),
        (("parameters", 1, "schema"), {"allOf": []}, "allOf and oneOf are not in the profile"),
        (("parameters", 1, "schema"), {"type": ["string", "integer"]}, "a type is one, or one and null"),
        (("parameters", 1, "schema"), {"type": "object", "properties": {}}, "must be a named schema"),
        (("parameters", 1, "schema"), {"anyOf": [{"type": "string"}, {"type": "integer"}]}, "a discriminator"),
        (("parameters", 1, "schema"), {"$ref": "#/components/schemas/Gone"}, "Gone: no schema has this name"),
        (("x-cygni-page",), "page", "a page's data must be an array"),
    ],
)
def test_what_the_profile_leaves_out_is_refused(place, value, told) -> None:
    changed = document()
    target = changed["paths"]["/v1/nice-things/{id}"]["get"]
    for key in place[:-1]:
        target = target[key]
    target[place[-1]] = value
    with pytest.raises(ProfileError) as refused:
        api(changed, BEHAVIOR)
    assert told in str(refused.value)


@pytest.mark.parametrize(
    ("wire", "snake", "pascal"),
    [
        ("createdAt[gte]", "created_at_gte", "CreatedAtGte"),
        ("status[ne]", "status_ne", "StatusNe"),
        ("last4", "last4", "Last4"),
        ("sha256", "sha256", "Sha256"),
        ("audit-logs", "audit_logs", "AuditLogs"),
        ("gitURLParts", "git_url_parts", "GitUrlParts"),
    ],
)
def test_spellings(wire: str, snake: str, pascal: str) -> None:
    assert (names.snake(wire), names.pascal(wire)) == (snake, pascal)


@pytest.mark.parametrize(
    ("many", "one"),
    [("projects", "project"), ("processes", "process"), ("deliveries", "delivery"), ("databases", "database")],
)
def test_singulars(many: str, one: str) -> None:
    assert names.singular(many) == one
