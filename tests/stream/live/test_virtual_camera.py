from __future__ import annotations

import sys
import time
from collections.abc import Callable

import numpy as np
import pytest

from stream.live import virtual_camera as sink
from stream.live.virtual_camera import SinkConfig, VirtualCamera, VirtualCameraError, card, fit
from tests.stream.kept_camera import NAME, KeptCamera, register


def wait(condition: Callable[[], bool]) -> None:
    end_s = time.monotonic() + 15
    while not condition():
        assert time.monotonic() < end_s
        time.sleep(0.02)


def test_pictures_arrive_as_they_are_and_the_last_one_is_repeated() -> None:
    kept = register()
    camera = VirtualCamera(SinkConfig(size=(32, 48), fps=50, backend=NAME))
    image = np.zeros((32, 48, 3), np.uint8)
    image[..., 0], image[:, :24, 2] = 200, 90
    camera.put(image)
    wait(lambda: camera.repeated > 3)
    camera.close()
    assert kept.cameras[0].closed
    np.testing.assert_array_equal(kept.cameras[0].frames[-1][1], image)


def test_a_camera_that_goes_is_opened_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sink, "REOPEN_S", 0.05)
    kept = register()
    lines: list[str] = []
    camera = VirtualCamera(SinkConfig(size=(32, 48), fps=50, backend=NAME), lines.append)
    KeptCamera.missing = True
    wait(lambda: any("has gone" in line for line in lines))
    KeptCamera.missing = False
    wait(lambda: any("is back" in line for line in lines))
    wait(lambda: len(kept.cameras[-1].frames) > 1)
    camera.close()
    assert len(kept.cameras) == 2
    assert sum("has gone" in line for line in lines) == 1


@pytest.mark.parametrize(
    ("platform", "words"),
    [("linux", "modprobe v4l2loopback"), ("darwin", "install OBS"), ("win32", "install OBS")],
)
def test_what_is_missing_is_said_with_what_mends_it(
    monkeypatch: pytest.MonkeyPatch, platform: str, words: str
) -> None:
    register()
    KeptCamera.missing = True
    monkeypatch.setattr(sys, "platform", platform)
    with pytest.raises(VirtualCameraError, match=words):
        VirtualCamera(SinkConfig(size=(32, 48), backend=NAME))


def test_a_missing_package_and_an_unknown_backend_are_said(monkeypatch: pytest.MonkeyPatch) -> None:
    register()
    with pytest.raises(VirtualCameraError, match="there is no virtual camera of kind 'none'"):
        VirtualCamera(SinkConfig(size=(32, 48), backend="none"))
    monkeypatch.setitem(sys.modules, "pyvirtualcam", None)
    with pytest.raises(VirtualCameraError, match=r"livery\[obs\]"):
        VirtualCamera(SinkConfig(size=(32, 48)))


@pytest.mark.parametrize(
    ("shape", "inner"), [((20, 40), (12, 24)), ((40, 20), (24, 12)), ((12, 12), (24, 24))]
)
def test_another_size_is_scaled_to_fit(shape: tuple[int, int], inner: tuple[int, int]) -> None:
    framed = fit(np.full((*shape, 3), 100, np.uint8), (24, 24))
    assert framed.shape == (24, 24, 3)
    rows, columns = framed[..., 0].any(axis=1).sum(), framed[..., 0].any(axis=0).sum()
    assert (rows, columns) == inner


def test_the_card_has_its_text_inside() -> None:
    picture = card("No camera picture", (240, 320))
    bright = np.argwhere(picture[..., 0] > 120)
    assert len(bright) > 100
    assert bright[:, 1].min() > 4
    assert bright[:, 1].max() < 316


@pytest.mark.parametrize("wrong", [{"size": (8, 64)}, {"size": (64, 64), "fps": 0}])
def test_settings_out_of_range_are_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(ValueError, match="virtual camera"):
        SinkConfig(**wrong)  # type: ignore[arg-type]


def test_into_v4l2loopback_where_the_machine_has_it() -> None:
    pytest.importorskip("pyvirtualcam", reason="needs pyvirtualcam: pip install 'livery[obs]'")
    try:
        camera = VirtualCamera(SinkConfig(size=(240, 320), backend="v4l2loopback"))
    except VirtualCameraError as exc:
        pytest.skip(f"no v4l2loopback device here: {exc}")
    camera.put(np.full((240, 320, 3), 128, np.uint8))
    wait(lambda: camera.sent > 3)
    camera.close()
