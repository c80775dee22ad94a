"""An edit worn by Livery over the frames of a clip, by this checkout or, in a process of its own, by another.

    PYTHON benchmarks/moment_parts/checkout.py ROOT FOLDER MATCHER MODE STEP_S

ROOT is the checkout whose code is run. FOLDER holds frames.npy, uint8 (T, H, W, 3), the reference first, and
edited.npy, the edited reference, uint8 (H, W, 3); also known.npy, float32 (T, 478, 3), if the landmarks are
known. It receives out.npy, the frames with the edit.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any


class Known:
    """Returns known landmarks one by one, as a tracker would.

    Args:
        points: landmarks of each frame, float32 (478, 3).
        size: (H, W) of the frames.
    """

    def __init__(self, points: Sequence[Any], size: tuple[int, int]) -> None:
        self._points, self._size = iter(points), size

    def __call__(self, image: Any, now_s: float) -> Any:
        """Return the landmarks of the next frame."""
        from correspondence import Landmarks

        return Landmarks(next(self._points), self._size)


def wear(
    frames: Sequence[Any], edited: Any, matcher: str, mode: str, step_s: float, keyframes: bool = False,
    known: Sequence[Any] | None = None,
) -> list[Any]:  # fmt: skip
    """Carry an edit over frames as a session does, with jobs done at once so that runs can be repeated.

    The user's own keyframe is matched beside a made one, as in a session that has the time, and in file mode.

    Args:
        frames: RGB uint8 (H, W, 3) each; the first is the reference.
        edited: the edited reference, RGB uint8 (H, W, 3).
        matcher: see `Matcher.load`.
        mode: mode of the edit, see `Edit`.
        step_s: time between two frames, seconds.
        keyframes: whether new references are made.
        known: landmarks of each frame, float32 (478, 3); None to find them.

    Returns:
        The frames with the edit.
    """
    from correspondence import Matcher
    from reference import Edit, Propagator, PropagatorConfig
    from reference.keyframes.keeper_config import KeeperConfig

    keeping = KeeperConfig(make=keyframes, background=False, max_match_s=10.0, pair_match_s=10.0)
    edit: Any = Edit(frames[0], edited, mode=mode)  # type: ignore[arg-type]
    tracker = None if known is None else Known(known, frames[0].shape[:2])
    config = PropagatorConfig(references=keeping)
    propagator = Propagator(edit, Matcher.load(matcher), tracker, config)
    try:
        return [propagator.step(frame, i * step_s).image for i, frame in enumerate(frames)]
    finally:
        propagator.close()


def wear_elsewhere(
    python: str, root: Path, frames: Sequence[Any], edited: Any, matcher: str, mode: str, step_s: float,
    known: Sequence[Any] | None = None,
) -> list[Any]:  # fmt: skip
    """Carry an edit as `wear` does, by another checkout's code.

    Args:
        python: interpreter with that checkout's packages.
        root: its folder.

    Raises:
        RuntimeError: its process failed; the last line that it printed is told.
    """
    import numpy as np

    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        np.save(folder / "frames.npy", np.stack(frames))
        np.save(folder / "edited.npy", edited)
        if known is not None:
            np.save(folder / "known.npy", np.stack(known))
        env = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
        command = [python, str(Path(__file__).resolve()), str(root), name, matcher, mode, str(step_s)]
        done = subprocess.run(command, cwd=root, env=env, capture_output=True, text=True, check=False)
        if done.returncode:
            last = done.stderr.strip().splitlines()[-1:] or ["it said nothing"]
            raise RuntimeError(f"the edit was not worn by {root}: {last[0]}")
        return list(np.load(folder / "out.npy"))


def main(root: str, folder: str, matcher: str, mode: str, step_s: str) -> None:
    """Wear an edit with the code of a checkout."""
    sys.path[0] = str(Path(root).resolve())
    import numpy as np

    import correspondence

    if not Path(correspondence.__file__).is_relative_to(sys.path[0]):
        raise SystemExit(f"{root} has no package correspondence")
    at = Path(folder)
    known = np.load(at / "known.npy") if (at / "known.npy").is_file() else None
    frames, edited = np.load(at / "frames.npy"), np.load(at / "edited.npy")
    made = wear(frames, edited, matcher, mode, float(step_s), known=known)
    np.save(at / "out.npy", np.stack(made))


if __name__ == "__main__":
    main(*sys.argv[1:])
