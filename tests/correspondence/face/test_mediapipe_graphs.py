"""MediaPipe's tasks: quiet, offline, without a filter of their own, and closed in time."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import threading

import numpy as np
import pytest

from correspondence.face import mediapipe_graphs
from correspondence.face.mediapipe_graphs import FaceMesh, Pose, _without_chatter
from correspondence.types import Float, Image
from tests.conftest import ROOT

RUN_ALL = (
    "import numpy as np\n"
    "from skimage import data\n"
    "from correspondence.face.mediapipe_graphs import FaceDetector, FaceMesh, Pose, Segmenter\n"
    "picture = np.ascontiguousarray(data.astronaut())\n"
    "mesh = FaceMesh(static=False, faces=1)\n"
    "tasks = [mesh, FaceDetector(), Pose(), Segmenter()]\n"
    "for _ in range(3):\n"
    "    [task(picture) for task in tasks]\n"
    "mesh.close()\n"
)


# MediaPipe's own buffers lie unaligned now and then, at any picture; it says so when they do.
BY_CHANCE = "Input tensor memory is not aligned"


def run(code: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=150, check=False
    )


def test_nothing_is_said_from_the_start_to_the_end_of_the_process() -> None:
    done = run(RUN_ALL)
    assert done.returncode == 0, done.stderr
    assert [line for line in done.stderr.splitlines() if BY_CHANCE not in line] == []


def test_errors_are_let_through_while_chatter_is_held_back(capfd: pytest.CaptureFixture[str]) -> None:
    with _without_chatter(), _without_chatter():
        os.write(2, b"W0000 00:00:1.5 7 a.cc:3] a warning\nE0000 00:00:1.5 7 b.cc:3] an error\nINFO: note\n")
    assert capfd.readouterr().err == "E0000 00:00:1.5 7 b.cc:3] an error\n"


def test_reports_of_use_go_to_the_proxy_that_is_set_and_nowhere_else() -> None:
    """MediaPipe's own client asks the proxy it is told of; with the one of `NOWHERE` it reaches nobody."""
    asked = threading.Event()
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(60)

        def answer() -> None:
            with server.accept()[0] as peer:
                if peer.recv(1024).startswith(b"CONNECT "):
                    asked.set()

        listener = threading.Thread(target=answer, daemon=True)
        listener.start()
        port = server.getsockname()[1]
        code = (
            "from correspondence.face import mediapipe_graphs\n"
            f"mediapipe_graphs.NOWHERE = 'http://127.0.0.1:{port}'\n" + RUN_ALL
        )
        done = run(code)
        assert done.returncode == 0, done.stderr
        assert asked.wait(60), "MediaPipe no longer asks a proxy: find out where its reports go now"


def test_this_process_keeps_its_own_proxies(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("https_proxy", "http://proxy.invalid:3128")
    mediapipe_graphs._keep_offline.cache_clear()
    mediapipe_graphs._keep_offline()
    assert os.environ["https_proxy"] == "http://proxy.invalid:3128"


def test_followed_landmarks_are_not_filtered(astronaut: Image, rng: np.random.Generator) -> None:
    """MediaPipe would smooth a single face over time; without, noise tells nothing of the next frame.

    Measured correlation: -0.09 as it is, 0.60 with MediaPipe's filter at 30 frames a second.
    """
    mesh = FaceMesh(static=False, faces=1)
    noisy = (np.clip(astronaut + rng.normal(0, 8, astronaut.shape), 0, 255) for _ in range(30))
    found = np.stack([mesh(picture.astype(np.uint8))[0][:468, :2] for picture in noisy])[5:]
    mesh.close()
    noise = found - found.mean(axis=0)
    assert (noise[1:] * noise[:-1]).mean() / (noise**2).mean() < 0.3


def test_more_faces_than_one_are_told_apart(astronaut: Image) -> None:
    near = astronaut[:256, 96:352]
    pair = np.concatenate([near, near], axis=1)
    mesh = FaceMesh(static=True, faces=4)
    centres = sorted(float(points[:468, 0].mean()) for points in mesh(np.ascontiguousarray(pair)))
    mesh.close()
    assert centres == pytest.approx([0.25, 0.75], abs=0.02)


def test_a_closed_eye_is_seen_in_the_lids(astronaut: Image) -> None:
    """The refining heads of lips and eyes are what the joined model answers with."""
    mesh = FaceMesh(static=False, faces=1)
    for _ in range(4):
        points = mesh(astronaut)[0]
    mesh.close()

    def gap(upper: int, lower: int) -> Float:
        return np.asarray(np.linalg.norm((points[upper] - points[lower])[:2]) * 512, np.float32)

    assert gap(159, 145) > 2, "an open eye, pixels"
    assert gap(13, 14) > 2, "a smile that shows the teeth"
    for iris, contour in ((slice(468, 473), (33, 133)), (slice(473, 478), (362, 263))):
        inside = points[iris].mean(axis=0)
        assert points[list(contour), 0].min() < inside[0] < points[list(contour), 0].max()
        depths = points[iris, 2]
        assert np.ptp(depths) == 0, "one depth, that of the eye's contour"
        assert abs(depths[0] - points[list(contour), 2].mean()) < 0.02


def test_no_person_has_no_pose(astronaut: Image) -> None:
    pose = Pose()
    assert pose(np.full((90, 160, 3), 128, np.uint8)) is None
    found = pose(astronaut)
    pose.close()
    assert found is not None
    assert found.shape == (33, 3)


@pytest.mark.parametrize("static", [True, False])
def test_landmarks_are_those_of_mediapipes_own_methods(astronaut: Image, static: bool) -> None:
    mesh = FaceMesh(static=static, faces=1)
    ours = mesh(astronaut)
    other = FaceMesh(static=static, faces=1)
    picture = other._picture(astronaut)
    theirs = other._task.detect(picture) if static else other._task.detect_for_video(picture, 20_000_000)
    assert [face.shape for face in ours] == [(478, 3)]
    expected = np.array([(point.x, point.y, point.z) for point in theirs.face_landmarks[0]], np.float32)
    np.testing.assert_array_equal(ours[0], expected)
    mesh.close()
    other.close()


def test_no_object_is_made_of_each_point(astronaut: Image, monkeypatch: pytest.MonkeyPatch) -> None:
    from mediapipe.tasks.python.vision.face_landmarker import landmark_lib

    def refuse(*_: object) -> None:
        raise AssertionError("a point was turned into an object")

    monkeypatch.setattr(landmark_lib.NormalizedLandmark, "from_ctypes", refuse)
    mesh = FaceMesh(static=False, faces=1)
    assert len(mesh(astronaut)) == 1
    mesh.close()
