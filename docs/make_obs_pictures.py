"""Draws obs-in.png and obs-out.png beside it: the fields of OBS that the guide names, as plain diagrams.

They are no screenshots. Run `python docs/make_obs_pictures.py` after a text was changed.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from PIL import Image, ImageDraw, ImageFont

HERE = Path(__file__).resolve().parent
SCALE = 2  # pixels a point
WIDTH, ROW, HEAD, MARGIN, LABEL = 660, 34, 44, 18, 190  # points
GROUND, PANEL, FIELD, EDGE = "#eef0f3", "#ffffff", "#f7f8fa", "#c3c8d0"
INK, FAINT, MARK = "#1d2430", "#5b6575", "#b3122e"


@dataclass(frozen=True)
class Dialog:
    """A dialog: how it is reached, and its rows of label, value and a note in red."""

    path: str
    rows: Sequence[tuple[str, str, str]]


OUT = (
    Dialog(
        "Livery, the page: OBS",
        (("Browser source address", "http://localhost:8000/view/…?controls=0…", "copy this"),),
    ),
    Dialog(
        "OBS: Sources, +, Browser",
        (
            ("URL", "http://localhost:8000/view/…?controls=0…", "paste it here"),
            ("Width", "1280", "your picture's"),
            ("Height", "720", "your picture's"),
            ("[x] Control audio via OBS", "", "with sound=1 in the URL"),
        ),
    ),
    Dialog("OBS: Controls", (("Start Virtual Camera", "", "hands the scene on to calls"),)),
)
IN = (
    Dialog(
        "Livery, the page: OBS",
        (
            ("Server", "http://localhost:8000/whip/…", "copy both"),
            ("Bearer token", "************", ""),
        ),
    ),
    Dialog(
        "OBS: Settings, Stream",
        (
            ("Service", "WHIP", "choose"),
            ("Server", "http://localhost:8000/whip/…", "paste"),
            ("Bearer Token", "************", "paste"),
        ),
    ),
    Dialog(
        "OBS: Settings, Output, Output Mode: Advanced, Streaming",
        (
            ("Rate Control", "CBR", ""),
            ("Bitrate", "2500 Kbps", "or more"),
            ("Keyframe Interval", "1 s", "after a loss it waits for one"),
            ("Tune", "zerolatency", "or x264 adds delay"),
        ),
    ),
    Dialog("OBS: Controls", (("Start Streaming", "", "the page shows OBS's picture"),)),
)


def _font(points: int) -> ImageFont.ImageFont | ImageFont.FreeTypeFont:
    return ImageFont.load_default(points * SCALE)


def _height(dialog: Dialog) -> int:
    return HEAD + len(dialog.rows) * ROW + MARGIN


def draw(dialogs: Sequence[Dialog]) -> Image.Image:
    """Return the dialogs below each other, numbered in the order in which they are used."""
    height = MARGIN + sum(_height(dialog) + MARGIN for dialog in dialogs)
    picture = Image.new("RGB", (WIDTH * SCALE, height * SCALE), GROUND)
    pen = ImageDraw.Draw(picture)
    top = MARGIN
    for number, dialog in enumerate(dialogs, 1):
        _panel(pen, dialog, number, top)
        top += _height(dialog) + MARGIN
    return picture


def _panel(pen: ImageDraw.ImageDraw, dialog: Dialog, number: int, top: int) -> None:
    def box(left: int, upper: int, right: int, lower: int, fill: str) -> None:
        ends = [side * SCALE for side in (left, upper, right, lower)]
        pen.rounded_rectangle(ends, 5 * SCALE, fill, EDGE, SCALE)

    def text(left: int, middle: int, said: str, ink: str, points: int = 13, anchor: str = "lm") -> None:
        pen.text((left * SCALE, middle * SCALE), said, ink, _font(points), anchor)

    box(MARGIN, top, WIDTH - MARGIN, top + _height(dialog), PANEL)
    text(2 * MARGIN, top + HEAD // 2, f"{number}   {dialog.path}", INK, 15)
    for index, (label, value, note) in enumerate(dialog.rows):
        upper = top + HEAD + index * ROW
        middle = upper + ROW // 2
        if value:
            text(2 * MARGIN, middle, label, FAINT)
            box(LABEL, upper + 3, WIDTH - LABEL - MARGIN, upper + ROW - 3, FIELD)
            text(LABEL + 9, middle, value, INK, 12)
        else:
            box(2 * MARGIN, upper + 3, LABEL + 60, upper + ROW - 3, FIELD)
            text(2 * MARGIN + 9, middle, label, INK)
        text(WIDTH - LABEL - MARGIN + 9, middle, note, MARK, 12)


def main() -> None:
    """Write both pictures."""
    for name, dialogs in (("obs-out", OUT), ("obs-in", IN)):
        picture = draw(dialogs).quantize(32)
        picture.save(HERE / f"{name}.png", optimize=True)


if __name__ == "__main__":
    main()
