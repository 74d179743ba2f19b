"""What every route needs, kept in the application's state."""

from __future__ import annotations

from dataclasses import dataclass

from fastapi import Request

from picolab.study.service import Service


@dataclass(frozen=True)
class Context:
    """A study being served. `secure` marks cookies for HTTPS only."""

    service: Service
    admin_token: str
    secure: bool

    @property
    def admin_cookie(self) -> str:
        """What the admin's browser keeps instead of the token."""
        return self.service.keyed("admin", self.admin_token)


def of(request: Request) -> Context:
    """The context of a request's application."""
    context: Context = request.app.state.study
    return context


UNCACHED = {"cache-control": "no-store"}
