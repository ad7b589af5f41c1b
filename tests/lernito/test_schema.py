"""The endpoint's own OpenAPI document, and schemathesis against the endpoint."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import requests
from hypothesis import HealthCheck, given, settings

from openedx_webhooks.lernito import schema
from tests.lernito.conftest import COURSES, EMAIL, PATH, make_courses, make_user, signature

schemathesis = pytest.importorskip("schemathesis")
pytest.importorskip("drf_spectacular")


def test_every_answer_is_described() -> None:
    [path] = schema.openapi()["paths"]
    assert path == PATH
    operation = schema.openapi()["paths"][path]["post"]
    assert set(operation["responses"]) == {"200", "400", "401", "404", "405", "413", "415", "429", "500"}
    assert {p["name"] for p in operation["parameters"]} == {
        "X-Lernito-Signature",
        "webhook-id",
        "webhook-timestamp",
        "webhook-signature",
    }
    order = schema.openapi()["components"]["schemas"]["LernitoOrder"]
    assert order["required"] == ["courseIds", "email"]
    assert "mode" in order["properties"]


class Sign(requests.auth.AuthBase):
    """Signs the very bytes that are about to be sent."""

    def __call__(self, request: Any) -> Any:
        body = request.body or b""
        request.headers["X-Lernito-Signature"] = signature(body.encode() if isinstance(body, str) else body)
        return request


def standard_headers_left_out(case: Any) -> None:
    """Where they are present they decide, and these are made up."""
    for name in ("webhook-id", "webhook-timestamp", "webhook-signature", "X-Lernito-Signature"):
        case.headers.pop(name, None)


@pytest.mark.django_db(transaction=True)
def test_schemathesis(live_server: Any, settings: Any) -> None:
    settings.OPENEDX_WEBHOOKS_LERNITO_THROTTLE_RATE = None
    make_courses()
    make_user()
    document = json.loads(json.dumps(schema.openapi(), default=str))
    operation = schemathesis.openapi.from_dict(document)[PATH]["POST"]
    names = ("not_a_server_error", "status_code_conformance", "response_schema_conformance", "content_type_conformance")
    checks = [getattr(schemathesis.checks, name) for name in names]
    run(operation, live_server.url, checks)


def run(operation: Any, url: str, checks: list[Any]) -> None:
    seen = set()

    @settings(max_examples=50, deadline=None, suppress_health_check=list(HealthCheck))
    @given(case=operation.as_strategy(), forged=operation.as_strategy())
    def examine(case: Any, forged: Any) -> None:
        standard_headers_left_out(case)
        answer = case.call(base_url=url, auth=Sign())
        case.validate_response(answer, checks=checks)
        seen.add(answer.status_code)
        refused = forged.call(base_url=url)
        forged.validate_response(refused, checks=checks)
        assert refused.status_code == 401

    examine()
    assert 400 in seen
    accepted = operation.Case(body={"email": EMAIL, "courseIds": list(COURSES)}, media_type="application/json")
    answer = accepted.call(base_url=url, auth=Sign())
    accepted.validate_response(answer, checks=checks)
    assert answer.status_code == 200


def test_everything_works_where_drf_spectacular_is_missing(tmp_path: Path) -> None:
    (tmp_path / "drf_spectacular.py").write_text("raise ImportError('not installed')\n")
    program = (
        "import sys; sys.path[:0] = [sys.argv[1], '.', 'tests/lms']\n"
        "import django; django.setup()\n"
        "from openedx_webhooks.lernito import schema, urls, views\n"
        "assert len(urls.urlpatterns) == 3 and not hasattr(views.OrderView.post, 'kwargs')\n"
    )
    root = Path(__file__).parents[2]
    subprocess.run(
        [sys.executable, "-c", program, str(tmp_path)],
        check=True,
        cwd=root,
        env={"DJANGO_SETTINGS_MODULE": "tests.lms.settings", "PATH": ""},
        timeout=60,
    )


def test_an_order_conforms_to_its_schema(db: None) -> None:
    jsonschema = pytest.importorskip("jsonschema")
    document = json.loads(json.dumps(schema.openapi(), default=str))
    validator = jsonschema.Draft202012Validator({"$ref": "#/components/schemas/LernitoOrder", **document})
    validator.validate({"email": EMAIL, "courseIds": list(COURSES), "mode": "audit"})
    assert list(validator.iter_errors({"email": EMAIL}))
