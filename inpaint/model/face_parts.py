"""Which of the 478 FaceMesh points outline which part of the face, as closed rings in drawing order.

Left and right are the person's own. Brows and nose are areas the mesh has no contour for; their rings run
along mesh points around them.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Ring = npt.NDArray[np.int64]


def _ring(text: str) -> Ring:
    ring = np.array(text.split(), np.int64)
    ring.setflags(write=False)
    return ring


OVAL = _ring(
    "10 338 297 332 284 251 389 356 454 323 361 288 397 365 379 378 400 377 "
    "152 148 176 149 150 136 172 58 132 93 234 127 162 21 54 103 67 109"
)
LIPS_OUTER = _ring("61 146 91 181 84 17 314 405 321 375 291 409 270 269 267 0 37 39 40 185")
LIPS_INNER = _ring("78 95 88 178 87 14 317 402 318 324 308 415 310 311 312 13 82 81 80 191")
RIGHT_EYE = _ring("33 7 163 144 145 153 154 155 133 173 157 158 159 160 161 246")
LEFT_EYE = _ring("263 249 390 373 374 380 381 382 362 398 384 385 386 387 388 466")
RIGHT_BROW = _ring("46 53 52 65 55 107 66 105 63 70")
LEFT_BROW = _ring("276 283 282 295 285 336 296 334 293 300")
NOSE = _ring("168 351 419 248 281 275 440 344 278 294 327 2 98 64 48 115 220 45 51 3 196 122")
RIGHT_IRIS = _ring("469 470 471 472")  # 468 is its centre
LEFT_IRIS = _ring("474 475 476 477")  # 473 is its centre
IRIS_CENTRES = (468, 473)  # right, left
CHIN, FOREHEAD = 152, 10
EXPRESSIVE = {  # parts whose pixels weigh double in the loss (Anchored Diffusion's 1 + lambda)
    "right_eye": RIGHT_EYE,
    "left_eye": LEFT_EYE,
    "mouth": LIPS_OUTER,
}
