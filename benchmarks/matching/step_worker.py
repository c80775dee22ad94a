"""Steps of one checkout, asked for line by line, so that two checkouts can take turns at each frame.

    PYTHON benchmarks/matching/step_worker.py ROOT FRAMES.npy EDITED.npy

ROOT is the checkout whose code is measured. FRAMES.npy holds uint8 (T, H, W, 3), the reference first, and
EDITED.npy the edited reference, uint8 (H, W, 3). For each line with a frame's number it prints a JSON object:
`step`, the seconds of the step, `cpu`, those of the processor, and `edited`, whether the frame was edited.
"""

from __future__ import annotations

import json
import os
import sys
import time
from contextlib import suppress
from pathlib import Path
from typing import Any


def main(root: str, frames_file: str, edited_file: str) -> None:
    """Answer each line of standard input."""
    answers = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)  # whatever a library prints is no answer
    sys.path[0] = str(Path(root).resolve())
    import numpy as np

    import correspondence

    if not Path(correspondence.__file__).is_relative_to(sys.path[0]):
        raise SystemExit(f"{root} has no package correspondence")
    from correspondence import Matcher
    from reference import Edit, Propagator

    with suppress(ImportError):  # a checkout of before it had this
        from correspondence.threads import one_thread_each

        one_thread_each()  # as its server does
    frames, edited = np.load(frames_file), np.load(edited_file)
    propagator = Propagator(Edit(frames[0], edited), Matcher.load("classical"))
    for count, line in enumerate(sys.stdin):
        start, busy = time.perf_counter(), time.process_time()
        result: Any = propagator.step(frames[int(line)], now_s=count / 30)
        took = {"step": time.perf_counter() - start, "cpu": time.process_time() - busy}
        answers.write(json.dumps({**took, "edited": result.reason is None}) + "\n")
    propagator.close()


if __name__ == "__main__":
    main(*sys.argv[1:])
