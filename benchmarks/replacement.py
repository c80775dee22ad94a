"""`livery bench replacement`: reconstructs frames from references that are replaced when they no longer fit.

The evaluation follows StreamEdit. A new reference is the *true* frame, not an edited one, so this measures
fields and the choice of references, not edits. Every n-th frame of each clip is reconstructed by warping. If
the PSNR falls below a limit, the frame becomes a reference for later frames; its own score stays. Rows with
`bank` keep the last `MOST` references. They warp from the newest reference and from the one whose thumbnail
is most like the frame. They blend the two by how well each explains the live frame around a pixel, which a
live system sees too. Their limit is the highest of `--limits` that needs no more replacements than DIS with
the first limit.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import cv2
import numpy as np

from benchmarks.common import metadata, portraits_dir, print_table, read_clip, write_results
from benchmarks.matching.methods import Dis, Method, OfMatcher
from benchmarks.matching.metrics import psnr, ssim
from correspondence import Float, Image, Landmarks, Matcher, detect_landmarks, warp_image

MOST = 12  # references a bank keeps
THUMB = 32  # side of the small pictures that choose among them, pixels
SHARP = 1.5  # grey levels of residual between two warps at which one outweighs the other e times


@dataclass(frozen=True, eq=False)
class Held:
    """A reference: its picture, what the method prepared from it, and its thumbnail."""

    image: Image
    state: Any
    thumb: Float


@dataclass
class Score:
    """The results of one row."""

    psnr: list[float] = field(default_factory=list)
    ssim: list[float] = field(default_factory=list)
    replaced: int = 0

    def row(self) -> dict[str, float]:
        """Return means, and the number of replacements for 100 frames."""
        return {
            "PSNR": float(np.mean(self.psnr)),
            "SSIM": float(np.mean(self.ssim)),
            "replaced / 100": 100 * self.replaced / len(self.psnr),
        }


def thumb(image: Image) -> Float:
    """Make a thumbnail, float32 (THUMB, THUMB, 3)."""
    return cv2.resize(image, (THUMB, THUMB), interpolation=cv2.INTER_AREA).astype(np.float32)


def chosen(held: Sequence[Held], frame: Image, bank: bool) -> list[Held]:
    """Return the newest reference and, with a bank, the one most like the frame if it is another."""
    if not bank or len(held) == 1:
        return [held[-1]]
    small = thumb(frame)
    like = min(held, key=lambda h: float(np.abs(h.thumb - small).mean()))
    return [like] if like is held[-1] else [held[-1], like]


def blend(pictures: Sequence[Image], frame: Image) -> Image:
    """Blend one or two pictures by how well each explains the frame around a pixel."""
    if len(pictures) == 1:
        return pictures[0]
    side = 2 * max(1, round(min(frame.shape[:2]) / 128)) + 1
    residuals = [
        cv2.blur(cv2.absdiff(p, frame).astype(np.float32).mean(axis=2), (side, side)) for p in pictures
    ]
    share = 1 / (1 + np.exp(np.clip((residuals[0] - residuals[1]) / SHARP, -30, 30)))
    first, second = (np.ascontiguousarray(p) for p in pictures)
    return np.asarray(cv2.blendLinear(first, second, share, 1 - share), np.uint8)


def reconstruct(
    frames: Sequence[Image],
    landmarks: Sequence[Landmarks | None],
    method: Method,
    limit_db: float,
    bank: bool,
    score: Score,
) -> None:
    """Reconstruct one clip from its first frame on, and add the results to `score`."""

    def hold(index: int) -> Held:
        return Held(frames[index], method.prepare(frames[index], landmarks[index]), thumb(frames[index]))

    held = [hold(0)]
    for index in range(1, len(frames)):
        frame = frames[index]
        warped = [
            warp_image(h.image, method.match(frame, h.state, landmarks[index], None).field)
            for h in chosen(held, frame, bank)
        ]
        picture = blend(warped, frame)
        level = psnr(picture, frame)
        score.psnr.append(level)
        score.ssim.append(ssim(picture, frame))
        if level < limit_db:
            held = [*held[-MOST + 1 :], hold(index)] if bank else [hold(index)]
            score.replaced += 1


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the options of `livery bench replacement`."""
    parser.add_argument("--clips", nargs="*", help="names of val clips (default all)")
    parser.add_argument("--frames", type=int, default=240, help="of each clip at most (default %(default)s)")
    parser.add_argument("--stride", type=int, default=8, help="take every n-th (default %(default)s)")
    parser.add_argument("--sizes", type=int, nargs="*", default=[256, 512], help="sides (default 256 512)")
    parser.add_argument("--limits", type=float, nargs="*", default=[30, 31, 32], help="dB (default 30 31 32)")
    parser.add_argument("--matcher", default="classical", help="kind of matcher (default %(default)s)")


def run(args: argparse.Namespace) -> int:
    """Measure, print one table per size and write JSON. Returns 0."""
    paths = sorted((portraits_dir() / "val").glob("*.mp4"))
    paths = [p for p in paths if not args.clips or p.stem in args.clips]
    dis: Method = Dis("DIS medium", cv2.DISOPTICAL_FLOW_PRESET_MEDIUM)
    ours: Method = OfMatcher(args.matcher, Matcher.load(args.matcher))
    rows = [(dis, args.limits[0], False), (ours, args.limits[0], False)]
    rows += [(method, limit, True) for method in (dis, ours) for limit in args.limits]
    results: list[dict[str, Any]] = []
    for size in args.sizes:
        scores = [Score() for _ in rows]
        for path in paths:
            frames = read_clip(path, args.frames, size)[:: args.stride]
            landmarks = [detect_landmarks(f) for f in frames]
            for (method, limit, bank), score in zip(rows, scores, strict=True):
                reconstruct(frames, landmarks, method, limit, bank, score)
            print(f"{size}: {path.stem}: {[round(float(np.mean(s.psnr)), 2) for s in scores]}", flush=True)
        for (method, limit, bank), score in zip(rows, scores, strict=True):
            name = f"{method.name}, {'bank' if bank else 'replacement'}"
            results.append({"size": size, "row": name, "limit dB": limit, **score.row()})
    for size in args.sizes:
        print(f"{size} x {size}:")
        columns = ("limit dB", "PSNR", "SSIM", "replaced / 100")
        table = [[r["row"], *(r[c] for c in columns)] for r in fair(results, size)]
        print_table(["row", *columns], table)
    write_results("replacement", results, metadata(vars(args)))
    return 0


def fair(results: Sequence[dict[str, Any]], size: int) -> list[dict[str, Any]]:
    """Return the rows of one size.

    Each bank has the highest limit that replaces no more often than the first row.
    """
    own = [r for r in results if r["size"] == size]
    out = [r for r in own if not r["row"].endswith("bank")]
    for name in dict.fromkeys(r["row"] for r in own if r["row"].endswith("bank")):
        rows = [r for r in own if r["row"] == name]
        allowed = [r for r in rows if r["replaced / 100"] <= own[0]["replaced / 100"]]
        out.append(max(allowed, key=lambda r: float(r["limit dB"]), default=rows[0]))
    return out
