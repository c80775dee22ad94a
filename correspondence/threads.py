"""How many threads OpenCV uses for one call, in a process that edits live."""

from __future__ import annotations

import cv2


def one_thread_each() -> None:
    """Make OpenCV compute each call on the caller's thread alone, for the whole process.

    A live step has threads of its own that run beside each other. OpenCV's own threads gain nothing there:
    after each call they wait for the next one in a loop that keeps their core busy, which takes a fifth of
    the step's processor time from the codecs.
    """
    cv2.setNumThreads(1)
