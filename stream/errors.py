"""The errors that a request can be answered with.

ServerError                500   the base class; says what happened and what to do
├── SignalingError         400   an offer or fragment that cannot be read
│   ├── MediaTypeError     415   a content type that the endpoint does not accept
│   ├── PreconditionError  412   a condition of the request's headers does not hold
│   └── OfferError         422   well-formed, but not possible on this server
├── RequestError           400   a body or field that makes no sense
│   └── UploadError        422   a picture that cannot be used
├── AuthError              401   no token, or a wrong one
├── ForbiddenError         403   a token without the right, or another site's page
├── MisdirectedError       421   a Host that is not this server
├── NotFoundError          404   no such session or connection
├── ConflictError          409   not possible in this state (no reference yet, …)
└── CapacityError          503   full; says when to try again
    └── TooManyError       429   too many requests from one address
"""

from __future__ import annotations

MOST_TEXT = 400  # most characters of an error's text


class ServerError(Exception):
    """A request is answered with an error.

    Args:
        text: what happened, with the value and the limit. Its middle is left out if it has more than
            `MOST_TEXT` characters, because values may come from outside.
        hint: what to do about it. Empty if nothing can be done.
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
        """HTTP headers of the answer."""
        return {}


class SignalingError(ServerError):
    """An offer or trickle fragment cannot be read."""

    status = 400


class MediaTypeError(SignalingError):
    """The body has a content type that the endpoint does not accept."""

    status = 415


class PreconditionError(SignalingError):
    """A condition that the request's headers name does not hold."""

    status = 412


class OfferError(SignalingError):
    """An offer or request is well-formed, but this server cannot fulfil it."""

    status = 422


class RequestError(ServerError):
    """A body or field makes no sense."""

    status = 400


class UploadError(RequestError):
    """A picture cannot be used: it is no picture, too large, or unrelated to the reference.

    Args:
        text: what happened.
        hint: what to do about it.
        status: 408 too slow, 413 too large, 415 not a picture type, 428 to be confirmed, 422 anything else.
    """

    def __init__(self, text: str, hint: str = "", status: int = 422) -> None:
        super().__init__(text, hint)
        self.status = status


class AuthError(ServerError):
    """The token is missing or wrong."""

    status = 401

    @property
    def headers(self) -> dict[str, str]:
        """The challenge that RFC 6750 requires."""
        return {"WWW-Authenticate": "Bearer"}


class ForbiddenError(ServerError):
    """The token lacks the right that is needed, or the request comes from another site's page."""

    status = 403


class MisdirectedError(ServerError):
    """The request names another host than this server."""

    status = 421


class NotFoundError(ServerError):
    """There is no such session, connection or picture."""

    status = 404


class ConflictError(ServerError):
    """The session is not in the state that the request needs."""

    status = 409


class CapacityError(ServerError):
    """Something is full.

    Args:
        text: what is full.
        hint: what to do about it.
        retry_after_s: time after which to try again, seconds.
    """

    status = 503

    def __init__(self, text: str, hint: str = "", retry_after_s: int = 30) -> None:
        super().__init__(text, hint)
        self.retry_after_s = retry_after_s

    @property
    def headers(self) -> dict[str, str]:
        """The time after which to try again."""
        return {"Retry-After": str(self.retry_after_s)}


class TooManyError(CapacityError):
    """Too many requests of one kind came from one address."""

    status = 429


class StartError(RuntimeError):
    """The server cannot start. The message says why and what to do."""
