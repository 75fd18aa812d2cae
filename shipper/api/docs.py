"""The API's own page: what can be asked and how, made from its OpenAPI description, with nothing from outside."""

from typing import Any

from fastapi import FastAPI
from starlette.requests import Request
from starlette.responses import Response

from shipper.api.html import render

_EXAMPLES = {
    "/api/v1/records": "/api/v1/records?text=timed+out&min_level=error&start=1h",
    "/api/v1/requests/{id}": "/api/v1/requests/6f1c2a9e",
    "/api/v1/ledger": "/api/v1/ledger?host=web-3",
    "/api/v1/dead-letters": "/api/v1/dead-letters?limit=10",
}


def add_docs(web: FastAPI) -> None:
    """Serve the description of `web` for people at /docs."""

    async def docs(request: Request) -> Response:
        described = web.openapi()
        base = f"{request.url.scheme}://{request.url.netloc}"
        return render("docs.html", operations=operations(described), base=base, info=described["info"])

    web.add_route("/docs", docs, include_in_schema=False)


def operations(described: dict[str, Any]) -> list[dict[str, Any]]:
    """Return every operation of an OpenAPI description, ready to be listed."""
    schemas = described.get("components", {}).get("schemas", {})
    found = []
    for path, methods in described["paths"].items():
        for method, operation in methods.items():
            parameters = [_parameter(parameter) for parameter in operation.get("parameters", [])]
            statuses = [_status(status, told, schemas) for status, told in sorted(operation["responses"].items())]
            found.append(
                {
                    "method": method.upper(),
                    "path": path,
                    "about": operation.get("description", ""),
                    "parameters": parameters,
                    "answers": [status for status in statuses if status["status"] != "422"],
                    "example": _EXAMPLES.get(path, path),
                }
            )
    return found


def _parameter(parameter: dict[str, Any]) -> dict[str, Any]:
    schema = parameter["schema"]
    default = schema.get("default")
    return {
        "name": parameter["name"],
        "kind": kind(schema).removesuffix(" or null"),  # a parameter is left out, never null
        "about": parameter.get("description") or schema.get("description", ""),
        "required": parameter.get("required", False),
        "default": "" if default in (None, []) else str(default),
    }


def _status(status: str, told: dict[str, Any], schemas: dict[str, Any]) -> dict[str, Any]:
    schema = told.get("content", {}).get("application/json", {}).get("schema", {})
    found = schemas.get(_reference(schema), {})
    about = found.get("description") if status == "200" else None
    return {"status": status, "about": about or told.get("description", ""), "fields": _fields(schema, schemas)}


def _reference(schema: dict[str, Any]) -> str:
    """Name of the model that a value, or each value of a list, is of; "" when of none."""
    return str(schema.get("$ref") or schema.get("items", {}).get("$ref", "")).rpartition("/")[2]


def _fields(schema: dict[str, Any], schemas: dict[str, Any], path: str = "") -> list[tuple[str, str, str]]:
    """Fields of an answer as (name, type, meaning), those of values inside it below them: `holes[].first`."""
    found = []
    for name, field in schemas.get(_reference(schema), {}).get("properties", {}).items():
        found.append((path + name, kind(field), field.get("description", "")))
        inner = f"{path}{name}[]." if "items" in field else f"{path}{name}."
        found += _fields(field, schemas, inner) if _reference(field) else []
    return found


def kind(schema: dict[str, Any]) -> str:
    """Return the type of a value in a few words: "text, at most 256", "1 to 1000", "newest | oldest"."""
    if "anyOf" in schema:
        kinds = [kind(one) for one in schema["anyOf"] if one.get("type") != "null"]
        return " or ".join(kinds if len(kinds) == len(schema["anyOf"]) else [*kinds, "null"])
    if "enum" in schema:
        return " | ".join(str(one) for one in schema["enum"])
    if "$ref" in schema:
        return "object"
    if schema.get("type") == "array":
        return f"list of {kind(schema.get('items', {})).partition(',')[0]}"
    if schema.get("type") == "integer" and "maximum" in schema:
        return f"{schema['minimum']} to {schema['maximum']}"
    values = schema.get("additionalProperties")
    if isinstance(values, dict) and values:
        return f"{kind(values)} by name"
    named = {"string": "text", "integer": "number", "number": "number", "boolean": "true or false"}
    word = named.get(schema.get("type", ""), "object")
    return f"{word}, at most {schema['maxLength']}" if "maxLength" in schema else word
