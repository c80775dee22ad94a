"""A busy neighbour: a process that keeps one core busy for a share of the time."""

from __future__ import annotations

import contextlib
import subprocess
import sys
from collections.abc import Iterator

WORK = """
import sys, time
share, period_s = float(sys.argv[1]), 0.02
next_s = time.monotonic()
while True:
    busy_s = time.process_time() + share * period_s
    while time.process_time() < busy_s:
        pass
    next_s = max(next_s + period_s, time.monotonic())
    time.sleep(max(next_s - time.monotonic(), 0.0))
"""


@contextlib.contextmanager
def neighbour(share: float) -> Iterator[None]:
    """Keep one core busy during the block.

    Args:
        share: share of the core's time, (0, 1]. It is spent in pieces of up to 20 ms.

    Raises:
        ValueError: the share is out of range.
    """
    if not 0 < share <= 1:
        raise ValueError(f"a neighbour's share must lie in (0, 1], got {share:g}")
    with subprocess.Popen([sys.executable, "-c", WORK, str(share)]) as child:
        try:
            yield
        finally:
            child.kill()
