"""A window that shows the outgoing picture and takes keys. It uses OpenCV on the main thread."""

from __future__ import annotations

import math

import cv2

from correspondence.types import Image
from stream.media.untrusted import MediaError

TITLE = "Livery"
WAIT_MS = 15
KEYS = "1-9 parts of the look, 0 live picture, r new reference, q quit"


class Preview:
    """The preview window.

    Raises:
        MediaError: OpenCV cannot open windows here.
    """

    def __init__(self) -> None:
        try:
            cv2.namedWindow(TITLE, cv2.WINDOW_NORMAL | cv2.WINDOW_KEEPRATIO)
        except cv2.error as exc:
            raise MediaError(
                "--preview: this OpenCV opens no windows; python -m pip install opencv-contrib-python, or "
                "leave --preview out"
            ) from exc

    def show(self, image: Image | None, text: str | None) -> str | None:
        """Show a picture, uint8 (H, W, 3), with a line of text.

        Returns:
            The key that was pressed meanwhile, or "q" if the window was closed.
        """
        if image is not None:
            shown = cv2.cvtColor(image, cv2.COLOR_RGB2BGR)
            if text:
                write_line(shown, text)
            cv2.imshow(TITLE, shown)
        key = cv2.waitKey(WAIT_MS)
        if cv2.getWindowProperty(TITLE, cv2.WND_PROP_VISIBLE) < 1:
            return "q"
        return chr(key & 0xFF) if key >= 0 else None

    def close(self) -> None:
        """Close the window."""
        cv2.destroyWindow(TITLE)


def write_line(image: Image, text: str) -> None:
    """Write a line near the lower edge of `image`, uint8 (H, W, 3), in place: white with a dark rim."""
    height, width = image.shape[:2]
    scale = width / 900
    at = (round(width * 0.03), round(height * 0.95))
    for colour, thickness in (((0, 0, 0), 5), ((255, 255, 255), 2)):
        thick = max(1, round(thickness * scale))
        cv2.putText(image, text, at, cv2.FONT_HERSHEY_SIMPLEX, scale, colour, thick, cv2.LINE_AA)


def countdown_line(left_s: float | None) -> str | None:
    """Return the window's text while a reference is searched for."""
    if left_s is None:
        return None
    if math.isinf(left_s):
        return "Face the camera: a reference is taken"
    return f"Look into the camera: {math.ceil(left_s)}"
