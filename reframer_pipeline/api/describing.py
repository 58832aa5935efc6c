"""How the API describes itself: OpenAPI 3.1.

What belongs here: what is so for every operation: its name, and that it may answer with a problem. What does not: what each takes and
gives, which its route says.
"""

from __future__ import annotations

from typing import Any

from fastapi import FastAPI
from fastapi.routing import APIRoute

from reframer_pipeline.api.problems import MEDIA_TYPE, Problem


def operation_id(route: APIRoute) -> str:
    """`jobs_create`: what generators of clients name a function by."""
    return f"{route.tags[0]}_{route.name}".strip("_")


def install(app: FastAPI) -> None:
    """Let the description say of every operation that it may answer with a problem."""
    plain = app.openapi

    def openapi() -> dict[str, Any]:
        if app.openapi_schema is None:
            described, problem = plain(), {"$ref": "#/components/responses/Problem"}
            for operation in (one for path in described["paths"].values() for one in path.values()):
                operation["responses"].pop("422", None)  # FastAPI's own form, which nobody is answered in
                operation["responses"]["default"] = problem
            components = described.setdefault("components", {})
            schemas = components.setdefault("schemas", {})
            for name in ("HTTPValidationError", "ValidationError"):
                schemas.pop(name, None)
            schemas["Problem"] = Problem.model_json_schema(ref_template="#/components/schemas/{model}")
            content = {MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/Problem"}}}
            components["responses"] = {"Problem": {"description": "Why the request failed.", "content": content}}
        return app.openapi_schema or {}

    app.openapi = openapi  # type: ignore[method-assign]
