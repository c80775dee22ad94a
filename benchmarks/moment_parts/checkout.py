"""An edit worn by Livery over the frames of a clip, by this checkout or, in a process of its own, by another.

    PYTHON benchmarks/moment_parts/checkout.py ROOT FRAMES.npy EDITED.npy OUT.npy MATCHER MODE STEP_S

ROOT is the checkout whose code is run. FRAMES.npy holds uint8 (T, H, W, 3), the reference first, and
EDITED.npy the edited reference, uint8 (H, W, 3). OUT.npy receives the frames with the edit.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any


def wear(
    frames: Sequence[Any], edited: Any, matcher: str, mode: str, step_s: float, keyframes: bool = False
) -> list[Any]:
    """Carry an edit over frames as a session does, with jobs done at once so that runs can be repeated.

    Args:
        frames: RGB uint8 (H, W, 3) each; the first is the reference.
        edited: the edited reference, RGB uint8 (H, W, 3).
        matcher: see `Matcher.load`.
        mode: mode of the edit, see `Edit`.
        step_s: time between two frames, seconds.
        keyframes: whether new references are made.

    Returns:
        The frames with the edit.
    """
    from correspondence import Matcher
    from reference import Edit, Propagator, PropagatorConfig
    from reference.keyframes.keeper_config import KeeperConfig

    keeping = KeeperConfig(make=keyframes, background=False, max_match_s=10.0)
    edit: Any = Edit(frames[0], edited, mode=mode)  # type: ignore[arg-type]
    propagator = Propagator(edit, Matcher.load(matcher), config=PropagatorConfig(references=keeping))
    try:
        return [propagator.step(frame, i * step_s).image for i, frame in enumerate(frames)]
    finally:
        propagator.close()


def wear_elsewhere(
    python: str, root: Path, frames: Sequence[Any], edited: Any, matcher: str, mode: str, step_s: float
) -> list[Any]:
    """Carry an edit as `wear` does, by another checkout's code.

    Args:
        python: interpreter with that checkout's packages.
        root: its folder.

    Raises:
        RuntimeError: its process failed; the last line that it printed is told.
    """
    import numpy as np

    with tempfile.TemporaryDirectory() as folder:
        files = [Path(folder) / name for name in ("frames.npy", "edited.npy", "out.npy")]
        np.save(files[0], np.stack(frames))
        np.save(files[1], edited)
        env = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
        command = [python, str(Path(__file__).resolve()), str(root), *map(str, files)]
        done = subprocess.run(
            [*command, matcher, mode, str(step_s)],
            cwd=root,
            env=env,
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode:
            last = done.stderr.strip().splitlines()[-1:] or ["it said nothing"]
            raise RuntimeError(f"the edit was not worn by {root}: {last[0]}")
        return list(np.load(files[2]))


def main(root: str, frames: str, edited: str, out: str, matcher: str, mode: str, step_s: str) -> None:
    """Wear an edit with the code of a checkout."""
    sys.path[0] = str(Path(root).resolve())
    import numpy as np

    import correspondence

    if not Path(correspondence.__file__).is_relative_to(sys.path[0]):
        raise SystemExit(f"{root} has no package correspondence")
    np.save(out, np.stack(wear(np.load(frames), np.load(edited), matcher, mode, float(step_s))))


if __name__ == "__main__":
    main(*sys.argv[1:])
