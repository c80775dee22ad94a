"""Finds what hides a live face in each frame: the cover network over ONNX Runtime, on one thread."""

from __future__ import annotations

import logging
from functools import lru_cache
from pathlib import Path

import cv2
import numpy as np

from correspondence.cover.aligned import aligned
from correspondence.cover.crop import PER_FACE, SIDE, Matrix, carried, crop_matrix, cut, face_area
from correspondence.cover.weights import graph_file
from correspondence.errors import WeightsError
from correspondence.face_crop import FaceCrop
from correspondence.glance import CELLS, Glance
from correspondence.types import Float, Hidden, Image, Landmarks

logger = logging.getLogger(__name__)

SEED = 0.6  # probability that some pixel of a cover reaches ...
LOW, HIGH = 0.15, 0.45  # ... and from which on pixels beside it belong to it, hardly and in full
AROUND = 9  # a cover counts up to this far beyond the face's outline, pixels of the crop
HOLE = 3  # holes in a cover that such a disc does not fit into belong to it: knuckles, nails; radius, pixels
LEAST = 12  # a cover of fewer pixels of the crop is ignored: a mole, a glint


class CoverFinder:
    """Finds what hides a face. It holds no session state and can be shared between threads.

    Args:
        graph: an ONNX file of the network, see `correspondence.training.cover.export`.

    Raises:
        WeightsError: ONNX Runtime is not installed, or cannot read the file.
    """

    def __init__(self, graph: Path) -> None:
        try:
            import onnxruntime
        except ImportError as missing:
            raise WeightsError("it needs ONNX Runtime: pip install 'livery[cpu]'") from missing
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        options.log_severity_level = 3
        self._session = onnxruntime.InferenceSession(str(graph), options, ["CPUExecutionProvider"])

    @classmethod
    def load(cls, weights: Path | None = None) -> CoverFinder:
        """Load the shipped network, or that of a model folder.

        Raises:
            WeightsError: the weights are missing or damaged, or ONNX Runtime is not installed.
        """
        return cls(graph_file(weights))

    def probability(self, frame: Image, reference: Image | None) -> Float:
        """Compute the probability that something hides the face, float32 (SIDE, SIDE).

        Args:
            frame: face crop of the frame, uint8 (SIDE, SIDE, 3).
            reference: the reference's, bent onto the frame's (`cover.aligned`), likewise. It shows what
                belongs to this face. None without one.
        """
        crops = np.zeros((1, 6, SIDE, SIDE), np.float32)
        for first, picture in ((0, frame), (3, reference)):
            if picture is not None:
                planes = crops[0, first : first + 3]
                np.multiply(picture.transpose(2, 0, 1), np.float32(1 / 127.5), out=planes)
                planes -= 1
        return np.asarray(self._session.run(None, {"crops": crops})[0][0, 0], np.float32)

    def __call__(self, frame: Image, landmarks: Landmarks, reference: FaceCrop | None) -> Hidden | None:
        """Find what hides the face in a frame. None if nothing does.

        Args:
            frame: uint8 (H, W, 3).
            landmarks: landmarks of its face.
            reference: face crop of the reference, or None.
        """
        return self.watch(frame, landmarks, reference, None)[0]

    def watch(
        self, frame: Image, landmarks: Landmarks, reference: FaceCrop | None, last: Glance | None
    ) -> tuple[Hidden | None, Glance | None]:
        """Find what hides the face in a frame of a stream. A face that looks the same is not searched.

        Args:
            frame, landmarks, reference: as for a call.
            last: the glance that this method returned for the frame before; None without one.

        Returns:
            What hides the face, or None, and the glance for the next frame: None if something hides it.
        """
        matrix = crop_matrix(landmarks.points)
        crop = FaceCrop(cut(frame, matrix), carried(landmarks.points, matrix))
        glance = Glance.at(crop.picture)
        if last is not None:
            near = cv2.dilate(
                face_area(crop.points * np.float32(CELLS / SIDE), CELLS), np.ones((3, 3), np.uint8)
            )
            kept = last.later(glance, near > 0)
            if kept is not None:
                return None, kept
        hidden = self._search(crop, matrix, reference)
        return hidden, glance if hidden is None else None

    def _search(self, crop: FaceCrop, matrix: Matrix, reference: FaceCrop | None) -> Hidden | None:
        """Find what hides the face in its crop, which `matrix` cut out of the frame."""
        bent = None if reference is None else aligned(reference, crop.points)
        probability = self.probability(crop.picture, bent)
        if float(probability.max()) <= SEED:
            return None
        area = face_area(crop.points, around=AROUND)
        probability = cv2.morphologyEx(probability, cv2.MORPH_CLOSE, _disc(HOLE)) * cv2.blur(area, (5, 5))
        share = _grown(probability)
        if share is None:
            return None
        face_px = SIDE / PER_FACE / float(np.hypot(*matrix[:, 0]))
        return Hidden(share, matrix, float(np.log(max(face_px, 1.0))))


def _grown(probability: Float) -> Float | None:
    """Compute how far each pixel is hidden: surely hidden pixels and what is connected to them.

    None without any.
    """
    count, label, stats, _ = cv2.connectedComponentsWithStats((probability > LOW).astype(np.uint8))
    kept = np.zeros(count, np.float32)
    kept[np.unique(label[probability > SEED])] = 1
    kept[stats[:, cv2.CC_STAT_AREA] < LEAST] = kept[0] = 0
    if not kept.any():
        return None
    rising = np.clip((probability - LOW) * np.float32(1 / (HIGH - LOW)), 0, 1)
    return np.asarray(rising * rising * (3 - 2 * rising) * kept[label], np.float32)


@lru_cache(maxsize=1)
def shipped_finder() -> CoverFinder | None:
    """Return the shipped finder, which all matchers share.

    None if it does not load; the reason is logged once.
    """
    try:
        return CoverFinder.load()
    except WeightsError as error:
        logger.warning("an edit of the face also lands on hands before it: %s", error)
        return None


def _disc(radius: int) -> Image:
    return np.asarray(cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * radius + 1,) * 2), np.uint8)
