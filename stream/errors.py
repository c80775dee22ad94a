"""What a request can be answered with besides success.

ServerError                500   the base: says what happened and the way out
├── SignalingError         400   an offer or fragment that cannot be read
│   ├── MediaTypeError     415   another content type than the endpoint takes
│   └── OfferError         422   readable, but nothing this server can do
├── RequestError           400   a body or field that makes no sense
│   └── UploadError        422   a picture that cannot be taken
├── AuthError              401   no token, or a wrong one
├── ForbiddenError         403   a token without the right, or a page of another site
├── MisdirectedError       421   under a name that is not this server's
├── NotFoundError          404   no such session or connection
├── ConflictError          409   not in this state (no picture yet, no reference yet)
└── CapacityError          503   full; says when to try again
    └── TooManyError       429   too often from one address
"""

from __future__ import annotations

MOST_TEXT = 400  # characters of an error's text


class ServerError(Exception):
    """A request that is answered with an error.

    Args:
        text: what happened, with the value and the limit; the middle is left out of a longer one than
            `MOST_TEXT`, since values may come from outside.
        hint: what to do about it; empty where nothing can be done.
    """

    status = 500

    def __init__(self, text: str, hint: str = "") -> None:
        if len(text) > MOST_TEXT:
            text = f"{text[: MOST_TEXT - 60]} … {text[-50:]}"
        super().__init__(text)
        self.text = text
        self.hint = hint

    @property
    def headers(self) -> dict[str, str]:
        """HTTP headers that belong to the answer."""
        return {}


class SignalingError(ServerError):
    """An offer or trickle fragment that cannot be read."""

    status = 400


class MediaTypeError(SignalingError):
    """The body has another content type than the endpoint takes."""

    status = 415


class OfferError(SignalingError):
    """A well-formed offer or request that this server cannot fulfil."""

    status = 422


class RequestError(ServerError):
    """A body or field that makes no sense."""

    status = 400


class UploadError(RequestError):
    """A picture that cannot be taken: no picture, too large, or no relation to the reference.

    Args:
        text: what happened.
        hint: what to do about it.
        status: 408 too slow, 413 too large, 415 not a picture type, 422 anything else.
    """

    def __init__(self, text: str, hint: str = "", status: int = 422) -> None:
        super().__init__(text, hint)
        self.status = status


class AuthError(ServerError):
    """No token, or a wrong one."""

    status = 401

    @property
    def headers(self) -> dict[str, str]:
        """The challenge RFC 6750 asks for."""
        return {"WWW-Authenticate": "Bearer"}


class ForbiddenError(ServerError):
    """A token without the right that is needed, or a page of another site."""

    status = 403


class MisdirectedError(ServerError):
    """A request under a name that is not this server's."""

    status = 421


class NotFoundError(ServerError):
    """No such session, connection or picture."""

    status = 404


class ConflictError(ServerError):
    """The session is not in the state the request needs."""

    status = 409


class CapacityError(ServerError):
    """No room for another session.

    Args:
        text: what is full.
        hint: what to do about it.
        retry_after_s: when room is likely, seconds.
    """

    status = 503

    def __init__(self, text: str, hint: str = "", retry_after_s: int = 30) -> None:
        super().__init__(text, hint)
        self.retry_after_s = retry_after_s

    @property
    def headers(self) -> dict[str, str]:
        """When to try again."""
        return {"Retry-After": str(self.retry_after_s)}


class TooManyError(CapacityError):
    """Too many requests of one kind from one address."""

    status = 429


class StartError(RuntimeError):
    """The server cannot start; the message says why and the way out."""
