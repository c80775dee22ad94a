"""Settings of a cluster."""

from __future__ import annotations

import re
from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class ClusterConfig:
    """How many media hosts there are, and where.

    Attributes:
        address: address of a running Ray cluster, HOST:PORT or "auto". None starts Ray on this machine.
        hosts: number of media hosts. None for one on each node.
        host_cpus: processors that a host may use and that Ray reserves for it. None for those of the
            smallest node, but for those that fill workers need.
        fill_hosts: number of fill workers that all media hosts share. 0: each host fills by itself.

    Raises:
        ValueError: a value is out of range.
    """

    address: str | None = None
    hosts: int | None = None
    host_cpus: int | None = None
    fill_hosts: int = 0

    def __post_init__(self) -> None:
        if self.hosts is not None and not 1 <= self.hosts <= 1000:
            raise ValueError(f"hosts must lie in [1, 1000], got {self.hosts}")
        if not 0 <= self.fill_hosts <= 1000:
            raise ValueError(f"fill_hosts must lie in [0, 1000], got {self.fill_hosts}")
        if self.address not in (None, "auto") and self.place is None:
            raise ValueError(f"--cluster takes HOST:PORT of a Ray cluster, or auto, got {self.address!r}")
        if self.host_cpus is not None and not 1 <= self.host_cpus <= 1024:
            raise ValueError(f"host_cpus must lie in [1, 1024], got {self.host_cpus}")

    @property
    def place(self) -> tuple[str, int] | None:
        """Host and port of `address`. None if it names no such."""
        found = re.fullmatch(r"\[?([A-Za-z0-9.:_-]+?)\]?:([0-9]{1,5})", self.address or "")
        return None if found is None else (found[1], int(found[2]))
