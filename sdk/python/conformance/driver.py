"""Carries out one scenario with the Python SDK: calls on stdin, what came of them on stdout. See sdk/conformance."""

from __future__ import annotations

import itertools
import json
import keyword
import re
import sys
from typing import Any

from cygni import APIStatusError, CygniClient, CygniError, Model, Response, UnknownEvent
from cygni._runtime.helpers import WebhooksHelpers


def snake(wire: str) -> str:
    name = re.sub(r"\W+", "_", re.sub(r"(?<=[a-z0-9])([A-Z])", r"_\1", wire)).strip("_").lower()
    return f"{name}_" if keyword.iskeyword(name) else name


def snaked(values: dict[str, Any]) -> dict[str, Any]:
    return {snake(name): value for name, value in values.items()}


def last(response: Response | None) -> dict[str, Any] | None:
    if response is None:
        return None
    limit = response.rate_limit
    return {
        "status": response.status,
        "requestId": response.request_id,
        "rateLimit": None
        if limit is None
        else {
            "limit": limit.limit,
            "remaining": limit.remaining,
            "reset": limit.reset,
            "used": limit.used,
            "resource": limit.resource,
        },
    }


def plain(value: Any) -> Any:
    return value.to_dict() if isinstance(value, Model) else value


def said(error: CygniError) -> dict[str, Any]:
    found: dict[str, Any] = {"class": type(error).__name__, "message": str(error)}
    if isinstance(error, APIStatusError):
        found |= {
            "message": error.message,
            "status": error.status,
            "code": error.code,
            "hint": error.hint,
            "details": error.details,
            "requestId": error.request_id,
            "retryAfter": error.retry_after,
            "errors": error.errors,
            "last": last(error.last_response),
        }
    deployment = getattr(error, "deployment", None)
    return found | ({"deployment": plain(deployment)} if deployment is not None else {})


def carry_out(client: CygniClient | None, asked: dict[str, Any]) -> dict[str, Any]:
    result: dict[str, Any] = {}
    try:
        take(client, asked, result)
    except CygniError as error:
        result["error"] = said(error)
    except ValueError as error:  # an argument that cannot be sent
        result["error"] = {"class": "ValueError", "message": str(error)}
    return result


def take(client: CygniClient | None, asked: dict[str, Any], result: dict[str, Any]) -> None:
    noun, _, verb = asked["call"].partition(".")
    args, ids, options = asked.get("args", {}), asked.get("ids", []), snaked(asked.get("options", {}))
    if noun == "webhooks" and verb in ("verify", "unwrap"):
        given = snaked({name: value for name, value in args.items() if name not in ("body", "headers", "secret")})
        event = getattr(WebhooksHelpers, verb)(args["body"], args["headers"], args["secret"], **given)
        result["value"] = True if verb == "verify" else plain(event)
        result["kind"] = "unknown" if isinstance(event, UnknownEvent) else "known"
        return
    assert client is not None
    if noun == "request":
        sent = {"query": args.get("query"), "json": args.get("body"), "headers": args.get("headers")}
        response = client.request(args["method"], args["path"], **sent, **options)
        result |= {"value": response.data, "last": last(response)}
        return
    if asked["call"] == "uploads.fromDirectory":
        result["value"] = plain(client.uploads.from_directory(args["path"]))
        return
    method = getattr(getattr(client.raw if asked.get("take") == "raw" else client, snake(noun)), snake(verb))
    if asked["call"] == "deployments.wait":
        result["value"] = plain(method(*ids, **snaked(args)))
        return
    given = snaked(args)
    if "last_event_id" in options:
        given["last_event_id"] = options.pop("last_event_id")
    if options:
        given["options"] = options
    match asked.get("take", "value"):
        case "value":
            value = method(*ids, **given)
            result["value"] = plain(value)
            if isinstance(value, Model):
                result["last"] = last(value.last_response)
        case "page":
            page = method(*ids, **given)
            result |= {"items": [plain(item) for item in page.items], "last": last(page.last_response)}
            result["pagination"] = page.last_response.meta["pagination"]
        case "items":
            found = result.setdefault("items", [])
            for item in itertools.islice(method(*ids, **given), asked.get("first")):
                found.append(plain(item))
        case "pages":
            result["pages"] = [[plain(item) for item in page.items] for page in method(*ids, **given).pages()]
        case "stream":
            read_stream(method(*ids, **given), result)
        case "bytes":
            result["text"] = ""
            for piece in method(*ids, **given):
                result["text"] += piece.decode()
        case "raw":
            raw = method(*ids, **given)
            headers = {name.lower(): value for name, value in raw.headers.items()}
            result |= {"status": raw.status, "headers": headers, "text": raw.content.decode()}
            result |= {"requestId": raw.request_id, "value": plain(raw.parse())}
        case other:
            raise NotImplementedError(other)


def read_stream(stream: Any, result: dict[str, Any]) -> None:
    result["events"] = []
    with stream:
        try:
            for event in stream:
                result["events"].append({"event": event.event, "id": event.id, "data": plain(event.data)})
        finally:
            result["lastEventId"] = stream.last_event_id
            end = stream.end
            result["end"] = end and {"reason": end.reason, "status": end.status, "exitCode": end.exit_code}


def main() -> None:
    scenario = json.load(sys.stdin)
    client = None
    if "client" in scenario:
        try:
            client = CygniClient(**snaked(scenario["client"]))
        except CygniError as error:
            json.dump({"client": {"error": said(error)}}, sys.stdout)
            return
    json.dump({"calls": [carry_out(client, asked) for asked in scenario["calls"]]}, sys.stdout)


main()
