"""Pictures into the browser (its fake camera) and out of it (pixels of a <video>)."""

from __future__ import annotations

import base64
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from correspondence import Bool, Image, detect_landmarks

SIZE = (480, 640)  # (H, W) of the fake camera
FPS = 25
BITS, CELL = 8, 24  # of a frame counter in the picture, and its cells' height in pixels
SECONDS = 3  # forth; as long back, so that the loop has no jump
LIPS_OUTER = (61, 146, 91, 181, 84, 17, 314, 405, 321, 375, 291, 409, 270, 269, 267, 0, 37, 39, 40, 185)
LIPS_INNER = (78, 95, 88, 178, 87, 14, 317, 402, 318, 324, 308, 415, 310, 311, 312, 13, 82, 81, 80, 191)

GRAB = """(video) => {
  const canvas = document.createElement("canvas");
  canvas.width = video.videoWidth;
  canvas.height = video.videoHeight;
  canvas.getContext("2d").drawImage(video, 0, 0);
  return canvas.toDataURL("image/png");
}"""

GRAB_BOTH = """async (count) => {
  const grab = (id, width) => {
    const video = document.getElementById(id);
    const canvas = document.createElement("canvas");
    canvas.width = width ?? video.videoWidth;
    canvas.height = (canvas.width * video.videoHeight) / video.videoWidth;
    canvas.getContext("2d").drawImage(video, 0, 0, canvas.width, canvas.height);
    return canvas;
  };
  const pixels = (canvas) => canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height).data;
  const live = [];
  for (let i = 0; i < count; i += 1) {
    live.push({ full: grab("live"), small: pixels(grab("live", 80)) });
    await new Promise((resolve) => document.getElementById("live").requestVideoFrameCallback(resolve));
  }
  const edited = grab("edited"), small = pixels(grab("edited", 80));
  const distance = (frame) => frame.small.reduce((sum, value, at) => sum + Math.abs(value - small[at]), 0);
  live.sort((a, b) => distance(a) - distance(b));
  return [edited, live[0].full].map((canvas) => canvas.toDataURL("image/png"));
}"""


def write_y4m(path: Path, frames: Iterable[Image], *, counted: bool = False) -> Path:
    """Frames as the raw video Chromium's fake camera plays in a loop: forth and back.

    With `counted`, each frame bears its number in the loop: `BITS` dark or light cells at its upper edge.
    """
    forth = list(frames)
    loop = forth + forth[-2:0:-1]
    with path.open("wb") as file:
        file.write(f"YUV4MPEG2 W{SIZE[1]} H{SIZE[0]} F{FPS}:1 Ip A1:1 C420mpeg2\n".encode())
        for number, frame in enumerate(loop):
            if counted:
                frame = frame.copy()
                cells = [16 + 220 * (number >> bit & 1) for bit in range(BITS)]
                frame[:CELL] = np.repeat(np.array(cells, np.uint8), SIZE[1] // BITS)[None, :, None]
            file.write(b"FRAME\n" + cv2.cvtColor(frame, cv2.COLOR_RGB2YUV_I420).tobytes())
    return path


def to_camera(image: Image) -> Image:
    """The upper middle of a picture in 4:3, at the camera's size."""
    height, width = image.shape[:2]
    rows = min(height, width * SIZE[0] // SIZE[1])
    top = (height - rows) // 3
    crop: Image = cv2.resize(image[top : top + rows], SIZE[::-1], interpolation=cv2.INTER_AREA)
    return crop


def swaying(image: Image) -> Iterable[Image]:
    """A still moved gently from side to side, on its own blurred ground."""
    camera = to_camera(image)
    for index in range(SECONDS * FPS // 2):
        angle = np.pi * index / (SECONDS * FPS // 2)
        shift = np.array([[1, 0, 8 * np.cos(angle)], [0, 1, 3 * np.sin(angle)]], np.float32)
        yield cv2.warpAffine(camera, shift, SIZE[::-1], borderMode=cv2.BORDER_REPLICATE)


def clip_frames(path: Path) -> Iterable[Image]:
    """The first seconds of a clip."""
    capture = cv2.VideoCapture(str(path))
    try:
        for _ in range(SECONDS * FPS):
            ok, frame = capture.read()
            if not ok:
                return
            yield to_camera(cv2.cvtColor(frame, cv2.COLOR_BGR2RGB))
    finally:
        capture.release()


def _decode(url: str) -> Image:
    data = np.frombuffer(base64.b64decode(url.partition(",")[2]), np.uint8)
    image = cv2.imdecode(data, cv2.IMREAD_COLOR)
    assert image is not None, "the page returned no picture"
    rgb: Image = cv2.cvtColor(image, cv2.COLOR_BGR2RGB)
    return rgb


def grab(page: Any, element: str = "#edited") -> Image:
    """What a <video> shows now."""
    return _decode(page.eval_on_selector(element, GRAB))


def grab_both(page: Any, count: int = 12) -> tuple[Image, Image]:
    """The edited view, and of the last `count` live frames the one it was made from (the most alike).

    On a busy machine the edited one is sent smaller for a while. It is scaled to the live one's size.
    """
    edited, live = (_decode(url) for url in page.evaluate(GRAB_BOTH, count))
    if edited.shape != live.shape:
        edited = np.asarray(cv2.resize(edited, live.shape[1::-1], interpolation=cv2.INTER_CUBIC), np.uint8)
    return edited, live


def lips(image: Image) -> Bool:
    """Where the lips are, without the mouth's inside; shrunk by a pixel against blurred chroma."""
    landmarks = detect_landmarks(image)
    assert landmarks is not None, "no face in the grabbed frame"
    points = np.round(landmarks.points[:, :2]).astype(np.int32)
    mask = np.zeros(image.shape[:2], np.uint8)
    cv2.fillPoly(mask, [points[list(LIPS_OUTER)]], 1)
    mask = cv2.erode(mask, np.ones((3, 3), np.uint8))
    cv2.fillPoly(mask, [points[list(LIPS_INNER)]], 0)
    return mask.astype(bool)


def away_from_face(image: Image) -> Bool:
    """Everything farther than a quarter of the face's height from the face."""
    landmarks = detect_landmarks(image)
    assert landmarks is not None, "no face in the grabbed frame"
    x0, y0, x1, y1 = landmarks.box
    margin = (y1 - y0) / 4
    away = np.ones(image.shape[:2], bool)
    top, left = max(0, int(y0 - margin)), max(0, int(x0 - margin))
    away[top : int(y1 + margin), left : int(x1 + margin)] = False
    return away


def chroma(image: Image, where: Bool) -> tuple[float, float]:
    """Mean (a, b) of CIELAB over a region: colour apart from light."""
    lab = cv2.cvtColor(image.astype(np.float32) / 255, cv2.COLOR_RGB2LAB)
    a, b = lab[where][:, 1:].mean(axis=0)
    return float(a), float(b)
