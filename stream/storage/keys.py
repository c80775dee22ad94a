"""Tokens of a session and the rights they give. Only hashes of the tokens are stored.

The owner's token is random. The others are derived from it and a nonce by HMAC-SHA-256 (RFC 2104), so they
can be shown to the owner at any time although they are not stored. A new nonce revokes a token. Tokens have
192 random bits, so a token cannot be found from its SHA-256 by search.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Literal, get_args

from stream.storage.errors import DamagedError

Right = Literal["own", "edit", "publish", "view"]
Shared = Literal["edit", "publish", "view"]  # rights that have a token of their own
SHARED: tuple[Shared, ...] = get_args(Shared)
GRANTS: dict[Right, frozenset[Right]] = {  # what a token of each right allows
    "own": frozenset(get_args(Right)),
    "edit": frozenset({"edit", "view"}),
    "publish": frozenset({"publish"}),
    "view": frozenset({"view"}),
}
TOKEN_BYTES = 24


@dataclass(frozen=True, slots=True)
class Keys:
    """Hashes of a session's tokens.

    Attributes:
        owner: SHA-256 of the owner's token, hexadecimal.
        nonces: the nonce from which each other token is derived.
        hashes: SHA-256 of each other token, hexadecimal.
        room: room name under which the session can be watched. None if it has only its id.
    """

    owner: str
    nonces: Mapping[Shared, str]
    hashes: Mapping[Shared, str]
    room: str | None = None

    @classmethod
    def issue(cls) -> tuple[Keys, str]:
        """Make new keys and the owner's token, which is not stored."""
        token = secrets.token_urlsafe(TOKEN_BYTES)
        keys = cls(_hash(token), {}, {})
        for right in SHARED:
            keys = keys.renewed(token, right)
        return keys, token

    def right(self, token: str) -> Right | None:
        """Return the right that a token gives. None if the token does not belong to the session."""
        given = _hash(token)
        found: Right | None = "own" if hmac.compare_digest(given, self.owner) else None
        for right in SHARED:
            if hmac.compare_digest(given, self.hashes[right]):
                found = found or right
        return found

    def allows(self, token: str, right: Right) -> bool:
        """Whether a token gives a right."""
        held = self.right(token)
        return held is not None and right in GRANTS[held]

    def token(self, owner_token: str, right: Shared) -> str:
        """Derive the token of a right from the owner's token."""
        return _derive(owner_token, right, self.nonces[right])

    def renewed(self, owner_token: str, right: Shared) -> Keys:
        """Return keys with another token for a right. The earlier token is revoked."""
        nonce = secrets.token_urlsafe(12)
        made = _hash(_derive(owner_token, right, nonce))
        return replace(self, nonces={**self.nonces, right: nonce}, hashes={**self.hashes, right: made})

    def to_json(self) -> dict[str, object]:
        """Return the keys as JSON values."""
        nonces, hashes = dict(self.nonces), dict(self.hashes)
        return {"owner": self.owner, "nonces": nonces, "hashes": hashes, "room": self.room}

    @classmethod
    def from_json(cls, value: object) -> Keys:
        """Read keys from the values that `to_json` made.

        Raises:
            DamagedError: the values are something else.
        """
        if not isinstance(value, dict):
            raise DamagedError("its tokens are damaged")
        try:
            nonces = {right: str(value["nonces"][right]) for right in SHARED}
            hashes = {right: str(value["hashes"][right]) for right in SHARED}
            room = value.get("room")  # missing in records of the first version
            return cls(str(value["owner"]), nonces, hashes, None if room is None else str(room))
        except (KeyError, TypeError) as exc:
            raise DamagedError("its tokens are damaged") from exc


def _hash(token: str) -> str:
    return hashlib.sha256(token.encode()).hexdigest()


def _derive(owner_token: str, right: Shared, nonce: str) -> str:
    made = hmac.digest(owner_token.encode(), f"{right}:{nonce}".encode(), "sha256")
    return base64.urlsafe_b64encode(made[:TOKEN_BYTES]).decode()
