"""Who may do what with a session: tokens, of which only hashes are kept.

The owner's token is random. The others are derived from it and a nonce by HMAC-SHA-256 (RFC 2104), so the
owner can be told them at any time although no token is kept. A new nonce makes a token void. A token has 192
random bits, so a plain SHA-256 of it cannot be searched.
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
    """The hashes of a session's tokens.

    Attributes:
        owner: SHA-256 of the owner's token, hexadecimal.
        nonces: what each other token is derived with.
        hashes: SHA-256 of each other token, hexadecimal.
        room: name of the address under which it is watched, None for its id only.
    """

    owner: str
    nonces: Mapping[Shared, str]
    hashes: Mapping[Shared, str]
    room: str | None = None

    @classmethod
    def issue(cls) -> tuple[Keys, str]:
        """New keys, and the owner's token, which is not kept."""
        token = secrets.token_urlsafe(TOKEN_BYTES)
        keys = cls(_hash(token), {}, {})
        for right in SHARED:
            keys = keys.renewed(token, right)
        return keys, token

    def right(self, token: str) -> Right | None:
        """The right that a token gives; None for a token that does not belong to the session."""
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
        """The token of a right, derived from the owner's."""
        return _derive(owner_token, right, self.nonces[right])

    def renewed(self, owner_token: str, right: Shared) -> Keys:
        """With another token for a right; the old one is void."""
        nonce = secrets.token_urlsafe(12)
        made = _hash(_derive(owner_token, right, nonce))
        return replace(self, nonces={**self.nonces, right: nonce}, hashes={**self.hashes, right: made})

    def to_json(self) -> dict[str, object]:
        """As JSON values."""
        nonces, hashes = dict(self.nonces), dict(self.hashes)
        return {"owner": self.owner, "nonces": nonces, "hashes": hashes, "room": self.room}

    @classmethod
    def from_json(cls, value: object) -> Keys:
        """From `to_json`.

        Raises:
            DamagedError: it is something else.
        """
        if not isinstance(value, dict):
            raise DamagedError("its tokens are damaged")
        try:
            nonces = {right: str(value["nonces"][right]) for right in SHARED}
            hashes = {right: str(value["hashes"][right]) for right in SHARED}
            room = value.get("room")  # there was none in the first version
            return cls(str(value["owner"]), nonces, hashes, None if room is None else str(room))
        except (KeyError, TypeError) as exc:
            raise DamagedError("its tokens are damaged") from exc


def _hash(token: str) -> str:
    return hashlib.sha256(token.encode()).hexdigest()


def _derive(owner_token: str, right: Shared, nonce: str) -> str:
    made = hmac.digest(owner_token.encode(), f"{right}:{nonce}".encode(), "sha256")
    return base64.urlsafe_b64encode(made[:TOKEN_BYTES]).decode()
