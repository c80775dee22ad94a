"""A program that ends while a thread of ours works in OpenCV ends in peace."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
BODY = """
import time
import numpy as np, cv2
from correspondence.face.body import Body, BodyWatcher

class Finder:
    def __call__(self, image, now_s):
        end_s = time.monotonic() + 0.6
        while time.monotonic() < end_s:
            cv2.GaussianBlur(image, (0, 0), 3)
        return Body(None, image[..., 0], image.shape[:2], now_s)
    def close(self):
        print("closed", flush=True)

watcher = BodyWatcher(1, Finder())
watcher.offer(np.zeros((200, 200, 3), np.uint8), 0.0)
time.sleep(0.2)
"""
SIDE = """
import time
import numpy as np, cv2
from reference.side_work import SideWorker

def job():
    end_s = time.monotonic() + 0.6
    while time.monotonic() < end_s:
        cv2.GaussianBlur(np.zeros((200, 200, 3), np.uint8), (0, 0), 3)
    print("closed", flush=True)

worker = SideWorker()
worker.submit(job)
time.sleep(0.2)
"""


@pytest.mark.parametrize("program", [BODY, SIDE], ids=["body", "references"])
def test_a_program_that_closes_nothing_ends_well(program: str) -> None:
    ended = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, timeout=60, check=False
    )
    assert (ended.returncode, ended.stderr) == (0, "")
    assert ended.stdout == "closed\n"
