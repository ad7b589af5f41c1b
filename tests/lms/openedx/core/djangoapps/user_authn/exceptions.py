"""Errors of logging in."""

from typing import Any


class AuthFailedError(Exception):
    """A login that is refused; the view answers 400 with ``get_response()``."""

    def __init__(
        self,
        value: str | None = None,
        redirect: str | None = None,
        redirect_url: str | None = None,
        error_code: str | None = None,
        context: dict[str, Any] | None = None,
    ) -> None:
        super().__init__(value)
        self.answer = {
            "value": value,
            "redirect": redirect,
            "redirect_url": redirect_url,
            "error_code": error_code,
            "context": context,
        }

    def get_response(self) -> dict[str, Any]:
        """Return the JSON object to answer with: what has a value, and ``success`` false."""
        return {"success": False, **{key: value for key, value in self.answer.items() if value}}
