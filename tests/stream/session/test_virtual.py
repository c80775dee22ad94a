"""The virtual camera fed from sessions: by the page's switch, and by --virtual-camera."""

from __future__ import annotations

import sys

import pytest

from correspondence.types import Image
from stream.config import ServerConfig
from stream.live.virtual_camera import VirtualCameraError
from stream.session.services import load_services
from tests.stream.kept_camera import KeptCamera, register
from tests.stream.rig import BLUE, Client, is_blue, serving, until, until_state


@pytest.fixture
def kept(monkeypatch: pytest.MonkeyPatch) -> type[KeptCamera]:
    """The only backend."""
    pytest.importorskip("pyvirtualcam", reason="needs pyvirtualcam: pip install 'livery[obs]'")
    from pyvirtualcam import camera

    monkeypatch.setattr(camera, "BACKENDS", {})
    return register()


def newest(kept: type[KeptCamera]) -> Image | None:
    frames = kept.cameras[-1].frames if kept.cameras else []
    return frames[-1][1] if frames else None


def shows_edit(kept: type[KeptCamera]) -> bool:
    image = newest(kept)
    return image is not None and is_blue(image)


async def with_demo(client: Client) -> None:
    await client.ok("POST", "/demo")
    await until_state(client, lambda state: state["source"] is not None)


async def test_the_switch_feeds_it_and_the_newest_session_has_it(kept: type[KeptCamera]) -> None:
    async with serving() as server:
        first, second = await server.open(), await server.open()
        status, body = await first.call("PUT", "/virtual-camera", json={"on": True})
        assert (status, body["error"]) == (409, "no live picture has arrived yet")
        await with_demo(first)
        await first.ok("POST", "/reference", json={"auto": True})
        await first.ok("POST", "/preset", json={"name": "lipstick", "colour": BLUE, "strength": 1})
        state = await first.ok("PUT", "/virtual-camera", json={"on": True})
        assert state["virtual_camera"] == "kept camera"
        async with first.events():  # somebody watches, so that the demo plays at its full rate
            await until(lambda: shows_edit(kept), 30)
        await with_demo(second)
        assert (await second.ok("PUT", "/virtual-camera", json={"on": True}))["virtual_camera"] is not None
        assert (await first.ok("GET"))["virtual_camera"] is None
        await until(lambda: not shows_edit(kept))
        assert len(kept.cameras) == 1
        await second.ok("DELETE", "/demo")
        await until(lambda: (image := newest(kept)) is not None and image.mean() < 60)
        assert (await second.ok("PUT", "/virtual-camera", json={"on": False}))["virtual_camera"] is None
        assert kept.cameras[0].closed


async def test_with_the_flag_the_first_session_that_sends_feeds_it(kept: type[KeptCamera]) -> None:
    async with serving(virtual_camera=True) as server:
        assert kept.cameras[0].closed, "tried at the start"
        client, other = await server.open(), await server.open()
        await with_demo(client)
        await until_state(client, lambda state: state["virtual_camera"] == "kept camera")
        await with_demo(other)
        assert (await other.ok("GET"))["virtual_camera"] is None
        await client.ok("DELETE")
        await until(lambda: kept.cameras[-1].closed)


async def test_it_is_refused_to_others_and_where_there_is_none(kept: type[KeptCamera]) -> None:
    KeptCamera.missing = True
    async with serving(allow_hosts=("livery.example",)) as server:
        client = await server.open()
        await with_demo(client)
        status, body = await client.call("PUT", "/virtual-camera", json={"on": True})
        assert status == 409
        assert "could not be opened" in body["error"]
        assert body["hint"]
        status, body = await client.call(
            "PUT", "/virtual-camera", json={"on": True}, headers={"Host": "livery.example"}
        )
        assert (status, body["error"]) == (403, "the virtual camera belongs to the server's machine")
        assert (await client.call("PUT", "/virtual-camera", json={"on": 1}))[0] == 400


def test_a_server_that_was_told_to_feed_one_does_not_start_without(
    kept: type[KeptCamera], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "platform", "linux")
    KeptCamera.missing = True
    with pytest.raises(VirtualCameraError, match="modprobe"):
        load_services(ServerConfig(matcher="classical", virtual_camera=True))
