"""What the front asks of a media host in another process."""

from __future__ import annotations

from typing import Protocol

from stream.cluster.placement import Report


class HostLostError(Exception):
    """Ray cannot reach a host's process: it has died, or its node has."""


class Remote(Protocol):
    """A media host in another process. Every method raises HostLostError if the process cannot be reached."""

    name: str

    async def report(self) -> Report:
        """Tell how it is. The first call starts its server."""
        ...

    async def adopt(self, folder: str) -> None:
        """Take over a stored session. Raises StorageError."""
        ...

    async def give(self, session: str) -> str:
        """Close a session and give its folder away. Raises ServerError if it is not on disk."""
        ...

    async def in_room(self, room: str) -> str | None:
        """Id of its session with this room name."""
        ...

    async def close(self) -> None:
        """Close its sessions; what is stored stays."""
        ...

    async def restart(self, *, gently: bool) -> None:
        """End its process, so that Ray starts another. `gently` closes its sessions before."""
        ...
