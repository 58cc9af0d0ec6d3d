"""Who asks: taken from the HTTP request that is being answered, and from nothing that a visitor types."""

import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from ipaddress import ip_address
from typing import Any

from demo.settings import Settings

#: How a script names the administrator's token.
TOKEN_HEADER = "x-spooflens-admin"


@dataclass(frozen=True)
class Visitor:
    """address: of the visitor's machine. session: Gradio's name for this visit. user: Hugging Face user name,
    None when nobody signed in. token: what a script sent as the administrator's token.
    """

    address: str
    session: str
    user: str | None = None
    token: str = field(default="", repr=False)


def present_visitor(settings: Settings) -> Visitor | None:
    """The visitor whose request is being answered in this thread; None when there is no request."""
    from gradio.context import LocalContext  # here, so that services need no Gradio

    asked = LocalContext.request.get(None)
    request = getattr(asked, "request", None)
    if asked is None or request is None:
        return None
    return Visitor(
        address=address_of(request.headers, request.client.host if request.client else "", settings),
        session=asked.session_hash or "",
        user=_signed_in(request.scope.get("session") or {}) if settings.sign_in else None,
        token=request.headers.get(TOKEN_HEADER, ""),
    )


def address_of(headers: Mapping[str, str], peer: str, settings: Settings) -> str:
    """Where a request comes from. Behind a proxy: the last address in X-Forwarded-For that is no private one,
    because a visitor can write whatever they like in front of what the proxies add.
    """
    if not settings.behind_proxy:
        return peer
    hops = [hop.strip() for hop in headers.get("x-forwarded-for", "").split(",") if hop.strip()]
    return next((hop for hop in reversed(hops) if _is_public(hop)), hops[-1] if hops else peer)


def _is_public(address: str) -> bool:
    try:
        return ip_address(address).is_global
    except ValueError:
        return False


def _signed_in(session: Mapping[str, Any]) -> str | None:
    """The user name in Gradio's session cookie, whose signature was checked before it came here."""
    found = session.get("oauth_info") or {}
    expires = found.get("expires_at")
    if expires is not None and expires < time.time():
        return None
    return (found.get("userinfo") or {}).get("preferred_username") or None
