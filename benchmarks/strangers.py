"""`livery bench strangers`: pictures and clips as strangers bring them.

With --cases, every folder of cases is run (see `case_folders.run`). Otherwise faint, small and large edits
on four portraits are saved in random ways (crop x scale x format x quality x editor's noise). Each is aligned
and compared with the same edit saved as a clean PNG: the overlap of the masks with a tolerance of 2 pixels,
the share of the true change that is found, and the error of the colour.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from benchmarks.case_folders.run import Verdict, run_cases
from benchmarks.common import metadata, percentiles, portraits_dir, print_table, read_clip, write_results
from benchmarks.matching.savings import FAINT, LARGE, SMALL, Saving, draw_saving
from correspondence import Bool, Image, Landmarks, detect_landmarks
from reference import Edit, EditError, Placement, align_edited

PORTRAITS = ("lp_d6", "liax_7", "sadtalker_wda_em", "faceblit_target2")
IOU, RECALL, COLOUR, REFUSED, GOOD = 0.8, 0.95, 3.0, 0.02, 0.99
TOLERANCE_PX = 2
HELD = 0.5  # an edit of which the file holds less is lost


@dataclass(frozen=True, slots=True)
class Row:
    """One saved picture, and how well its edit was found.

    Attributes:
        number: second part of the seed.
        size: "faint", "small" or "large".
        what: the steps of saving, in words.
        iou: overlap of the masks, [0, 1], with a tolerance of 2 px.
        recall: share of the true change that lies in the mask, [0, 1].
        colour: mean difference of the found change from the true one, levels; the largest of the channels.
        share: share of the picture that counts as edited, [0, 1].
        off_px: largest distance of a corner from its true place, pixels of the saved picture.
        held: the part of the edit that the file holds, [0, 1]: what the edit changed in it, projected on the
            true change, by an oracle that knows its place and the same picture saved without the edit.
        own_colour: as `colour`, but of the file itself, read by this oracle, levels.
        stray: share of the picture that counts as edited if it is saved without the edit, [0, 1].
        refused: why it was refused. None if it was not.
        seconds: time to align it and to find its mask.
    """

    number: int
    size: str
    what: str
    iou: float = 0.0
    recall: float = 0.0
    colour: float = 255.0
    share: float = 0.0
    off_px: float = 0.0
    held: float = 1.0
    own_colour: float = 0.0
    stray: float = 0.0
    refused: str | None = None
    seconds: float = 0.0

    @property
    def good(self) -> bool:
        """Whether all three goals are met."""
        return self.refused is None and self.iou >= IOU and self.recall >= RECALL and self.colour <= COLOUR

    @property
    def lost(self) -> bool:
        """Whether the file itself misses the goals: the oracle cannot read the edit from it."""
        return self.held < HELD or self.own_colour > COLOUR


def judge(number: int, reference: Image, saving: Saving, *, unedited: bool = False) -> Row:
    """Align one saving and compare it with the clean edit. With `unedited`, its twin without edit too."""
    begun = time.perf_counter()
    try:
        found = align_edited(reference, saving.saved)
        edit = Edit(reference, found.image)
        mask = edit.mask
    except EditError as error:
        return Row(number, saving.size, saving.what, refused=str(error))
    seconds = time.perf_counter() - begun
    blank = Edit(reference, align_edited(reference, saving.blank).image).mask if unedited else mask[:0]
    shown = _shown(reference, saving)
    truth = (Edit(reference, saving.clean).mask > 0.5) & shown
    changed = (cv2.absdiff(reference, saving.clean).max(axis=2) > 1) & shown
    seen = mask > 0.5
    held, own_colour = _oracle(reference, saving, changed)
    return Row(
        number,
        saving.size,
        saving.what,
        iou=_overlap(truth, seen & _grown(shown)),
        recall=float(seen[changed].mean()) if changed.any() else 1.0,
        colour=_colour_error(found.image, saving.clean, changed),
        share=float((mask > 0).mean()),
        off_px=_off(found.placement, saving),
        held=held,
        own_colour=own_colour,
        stray=float((blank > 0).mean()) if blank.size else 0.0,
        seconds=seconds,
    )


def _shown(reference: Image, saving: Saving) -> Bool:
    """Where the saved picture shows the reference, bool (H, W). Its rim of 3 px is not judged."""
    h, w = reference.shape[:2]
    inside = np.zeros(saving.saved.shape[:2], np.uint8)
    inside[3:-3, 3:-3] = 1
    back = cv2.warpAffine(inside, saving.place, (w, h), flags=cv2.INTER_NEAREST | cv2.WARP_INVERSE_MAP)
    return np.asarray(back > 0, np.bool_)


def _oracle(reference: Image, saving: Saving, changed: Bool) -> tuple[float, float]:
    """The part of an edit that a file holds, and the error of its colour there, see `Row`."""
    h, w = reference.shape[:2]
    change = saving.saved.astype(np.float32) - saving.blank
    back = cv2.warpAffine(change, saving.place, (w, h), flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP)
    true = (saving.clean.astype(np.float32) - reference) * changed[..., None]
    held = float((back * true).sum() / max(1.0, float((true * true).sum())))
    read = np.clip(np.rint(reference + back), 0, 255).astype(np.uint8)
    return held, _colour_error(read, saving.clean, changed)


def _off(found: Placement, saving: Saving) -> float:
    """Largest distance of a corner from its true place, pixels of the saved picture."""
    h, w = saving.clean.shape[:2]
    corners = np.array([[0, 0, 1], [w - 1, 0, 1], [0, h - 1, 1], [w - 1, h - 1, 1]], np.float64).T
    return float(np.abs((found.transform - saving.place) @ corners).max())


def _grown(area: Bool) -> Bool:
    side = 2 * TOLERANCE_PX + 1
    kernel = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (side, side))
    return np.asarray(cv2.dilate(area.astype(np.uint8), kernel) > 0, np.bool_)


def _overlap(truth: Bool, seen: Bool) -> float:
    """Intersection over union. Pixels within 2 px of the other area count as agreeing."""
    if not truth.any():
        return float(not seen.any())
    missed, stray = truth & ~_grown(seen), seen & ~_grown(truth)
    met = (truth & ~missed).sum()
    return float(met / (met + missed.sum() + stray.sum()))


def _colour_error(image: Image, clean: Image, changed: Bool) -> float:
    """Mean difference over the inner part of the change, levels; the largest of the channels.

    Formats that store colour at half size mix it over two pixels at an edge. These pixels are left out if
    others remain.
    """
    area = changed
    for side in (5, 3):
        inner = cv2.erode(changed.astype(np.uint8), np.ones((side, side), np.uint8)) > 0
        if inner.sum() >= 12:
            area = inner
            break
    if not area.any():
        return 0.0
    return float(np.abs(image[area].astype(np.float32).mean(axis=0) - clean[area].mean(axis=0)).max())


def portraits(folder: Path, names: Sequence[str]) -> list[tuple[Image, Landmarks]]:
    """Read the first frames of clips, or pictures, with the landmarks of their faces.

    Raises:
        ValueError: one cannot be read or shows no face.
    """
    found = []
    for name in names:
        path = folder / name
        image = read_clip(path if path.suffix else path.with_suffix(".mp4"), limit=1)[0]
        landmarks = detect_landmarks(image)
        if landmarks is None:
            raise ValueError(f"{path}: shows no face")
        found.append((image, landmarks))
    return found


def judged(args: argparse.Namespace) -> list[Row]:
    """Judge the requested number of savings."""
    faces = portraits(args.folder or portraits_dir() / "val", args.portraits)
    rows: list[Row] = []
    numbers = args.only or range(args.savings)
    for number in numbers:
        rng = np.random.default_rng((args.seed, number))
        image, landmarks = faces[number % len(faces)]
        size = (FAINT, SMALL, LARGE)[number // len(faces) % 3]
        saving = draw_saving(image, landmarks, size, rng)
        rows.append(judge(number, image, saving, unedited=args.unedited > len(rows)))
        row = rows[-1]
        if args.only or not row.good:
            print(
                f"#{number} {row.size}{' (lost)' if row.lost else ''}: "
                f"IoU {row.iou:.2f} recall {row.recall:.2f} colour {row.colour:.1f} "
                f"share {row.share:.3f} off {row.off_px:.2f} held {row.held:.2f} own {row.own_colour:.1f} "
                f"stray {row.stray:.4f} | {row.what} | {row.refused or ''}",
                flush=True,
            )
    return rows


def summary(rows: Sequence[Row]) -> dict[str, Any]:
    """Shares over all savings and by size."""
    table: dict[str, Any] = {}
    for size in ("all", FAINT, SMALL, LARGE):
        mine = [row for row in rows if size in ("all", row.size)]
        if not mine:
            continue
        taken = [row for row in mine if row.refused is None]
        table[size] = {
            "savings": len(mine),
            "good of those taken": sum(row.good for row in taken) / max(1, len(taken)),
            "lost in the file": sum(row.lost for row in taken),
            "good of those held": sum(row.good for row in taken if not row.lost)
            / max(1, sum(not row.lost for row in taken)),
            "stray without edit": sum(row.stray > 0 for row in taken),
            "refused": 1 - len(taken) / len(mine),
            "iou": percentiles([row.iou for row in taken], (1, 5, 50)),
            "recall": percentiles([row.recall for row in taken], (1, 5, 50)),
            "colour": percentiles([row.colour for row in taken], (50, 95, 99)),
            "seconds": percentiles([row.seconds for row in taken], (50, 95)),
        }
    return table


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the options."""
    parser.add_argument("--cases", type=Path, metavar="DIR", help="run the folders of cases in DIR instead")
    parser.add_argument("--case", action="append", default=[], metavar="NAME", help="only this case")
    parser.add_argument("--savings", type=int, default=500, help="how many; default %(default)s")
    parser.add_argument("--seed", type=int, default=14, help="default %(default)s")
    parser.add_argument("--only", type=int, nargs="*", help="numbers of single savings; writes no results")
    parser.add_argument("--unedited", type=int, default=0, help="how many are saved without the edit too")
    parser.add_argument("--folder", type=Path, help="of portraits; default: the val clips")
    parser.add_argument("--portraits", nargs="*", default=PORTRAITS, help="names in it")
    parser.add_argument("--out", help="name of the results; default strangers, or strangers_cases")


def run(args: argparse.Namespace) -> int:
    """Run the benchmark. The exit code is 1 if a goal is missed."""
    return _run_cases(args) if args.cases else _run_savings(args)


def _run_cases(args: argparse.Namespace) -> int:
    verdicts: list[Verdict] = []
    for verdict in run_cases(args.cases, args.case):
        verdicts.append(verdict)
        print(f"{'FAIL' if verdict.faults else 'ok  '} {verdict.case}: {verdict.command}", flush=True)
        for fault in verdict.faults:
            print(f"       {fault}", flush=True)
    failed = sorted({verdict.case for verdict in verdicts if verdict.faults})
    cases = {verdict.case for verdict in verdicts}
    print(f"{len(cases) - len(failed)} of {len(cases)} cases are right; wrong: {', '.join(failed) or 'none'}")
    if not args.case:
        results = [asdict(verdict) for verdict in verdicts]
        write_results(args.out or "strangers_cases", results, metadata(vars(args)))
    return 1 if failed else 0


def _run_savings(args: argparse.Namespace) -> int:
    rows = judged(args)
    table = summary(rows)
    headers = (
        "size",
        "savings",
        "good",
        "lost",
        "good of held",
        "refused",
        "IoU p5",
        "recall p5",
        "colour p95",
    )
    shares = ("savings", "good of those taken", "lost in the file", "good of those held", "refused")
    limits = (("iou", "p5"), ("recall", "p5"), ("colour", "p95"))
    print_table(
        headers,
        [(size, *(f[s] for s in shares), *(f[name][at] for name, at in limits)) for size, f in table.items()],
    )
    if args.only is None:
        wrong = [asdict(row) for row in rows if not row.good]
        write_results(args.out or "strangers", {"summary": table, "wrong": wrong}, metadata(vars(args)))
    whole = table["all"]
    return 0 if whole["good of those taken"] >= GOOD and whole["refused"] <= REFUSED else 1
