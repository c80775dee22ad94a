"""The long run: `python -m tests.fuzz.run [--cases N] [--seed S] [TARGET ...]`, a row for each target.

Every target runs in a process of its own, so that its peak of memory is its own. A crash is printed once for
each place in the code, with the case that raised it.
"""

from __future__ import annotations

import argparse
import json
import logging
import multiprocessing
import resource
import sys
import time
import traceback
from random import Random
from typing import Any


def fuzz(name: str, cases: int, first_seed: int) -> dict[str, Any]:
    """Run one target.

    Returns:
        cases run, crashes (places in the code), hangs, slowest_s, seconds, peak_mb over the start.
    """
    from tests.fuzz.targets import TARGETS

    logging.disable(logging.CRITICAL)
    target = TARGETS[name]
    make = target.cases()
    began_mb, began_s = peak_mb(), time.monotonic()
    found: dict[str, str] = {}
    count = hangs = 0
    slowest_s = 0.0

    def attempt(data: bytes) -> None:
        nonlocal count, hangs, slowest_s
        count += 1
        before_s = time.process_time()
        try:
            target.run(data)
        except BaseException as exc:
            place = traceback.extract_tb(exc.__traceback__)[-1]
            key = f"{type(exc).__name__} at {place.filename.rpartition('/')[2]}:{place.lineno}"
            if key not in found:
                found[key] = f"{exc!r}"[:300] + f" with {data[:400]!r}"
            if isinstance(exc, KeyboardInterrupt):
                raise
        took_s = time.process_time() - before_s
        slowest_s = max(slowest_s, took_s)
        if took_s > target.slow_s:
            hangs += 1
            found.setdefault(f"hang of {took_s:.1f} s", repr(data[:400]))

    random = Random(first_seed)
    while count < cases:
        attempt(make(random))
    target.close()
    crashes = [key for key in found if not key.startswith("hang")]
    return {
        "target": name, "cases": count, "crashes": len(crashes), "hangs": hangs, "found": found,
        "slowest_s": round(slowest_s, 2), "seconds": round(time.monotonic() - began_s),
        "peak_mb": round(peak_mb() - began_mb),
    }  # fmt: skip


def peak_mb() -> float:
    """Largest resident memory of this process so far, megabytes."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (1024 if sys.platform == "linux" else 1024**2)


def main() -> int:
    """Run the targets that are named, or all."""
    from tests.fuzz.targets import TARGETS

    options = argparse.ArgumentParser(
        prog="python -m tests.fuzz.run", description=(__doc__ or "").partition(":")[0]
    )
    options.add_argument("target", nargs="*", help=f"of {', '.join(TARGETS)}; default: all")
    options.add_argument("--cases", type=int, default=10_000, help="of each target (default 10,000)")
    options.add_argument("--seed", type=int, default=1, help="another one makes other cases")
    chosen = options.parse_args()
    context, failed = multiprocessing.get_context("spawn"), False
    print("| target | cases | crashes | hangs | slowest, s | seconds | memory, MB |")
    print("|---|---|---|---|---|---|---|", flush=True)
    for name in chosen.target or TARGETS:
        with context.Pool(1) as pool:
            got = pool.apply(fuzz, (name, chosen.cases, chosen.seed))
        figures = ("target", "cases", "crashes", "hangs", "slowest_s", "seconds", "peak_mb")
        print("| " + " | ".join(str(got[figure]) for figure in figures) + " |", flush=True)
        for key, text in got["found"].items():
            print(json.dumps({key: text}), file=sys.stderr, flush=True)
        failed = failed or bool(got["found"])
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
