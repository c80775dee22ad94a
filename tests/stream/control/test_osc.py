"""Looks, strength and the reference by Open Sound Control, over loopback UDP."""

from __future__ import annotations

import contextlib
import logging
import socket
from functools import partial
from typing import Any

import pytest
from pythonosc.udp_client import SimpleUDPClient

from stream.config import ServerConfig
from stream.control.osc import OscControl
from stream.errors import StartError
from stream.session.services import load_services
from stream.session.store import SessionStore
from tests.stream.rig import BLUE, serving, until, until_state


class Deck:
    """Sends messages to a port of this machine."""

    def __init__(self, port: int) -> None:
        self._client = SimpleUDPClient("127.0.0.1", port)

    def send_message(self, address: str, value: object) -> None:
        self._client.send_message(address, value)  # type: ignore[arg-type]  # what OSC cannot carry fails here

    def close(self) -> None:
        self._client.__exit__(None, None, None)


def is_comparing(wanted: bool, state: dict[str, Any]) -> bool:
    return state["comparing"] is wanted


def free_port() -> int:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


async def test_a_deck_controls_the_session_with_a_picture(caplog: pytest.LogCaptureFixture) -> None:
    port = free_port()
    with contextlib.closing(Deck(port)) as deck:
        async with serving(osc_port=port) as server:
            client, silent = await server.open(), await server.open()
            deck.send_message("/livery/strength", 0.5)
            await until(lambda: "no session has a picture" in caplog.text)
            await client.ok("POST", "/demo")
            await until_state(client, lambda state: state["source"] is not None)
            deck.send_message("/livery/reference", [])
            await until_state(client, lambda state: state["reference"] is not None)
            await client.ok("POST", "/preset", json={"name": "lipstick", "colour": BLUE})
            await client.ok("POST", "/looks", json={})
            first, second = (look["id"] for look in (await client.ok("GET"))["looks"])
            deck.send_message("/livery/look", 1)
            await until_state(client, lambda state: state["active"] == first)
            deck.send_message("/livery/look", 2.0)  # many decks send floats only
            await until_state(client, lambda state: state["active"] == second)
            deck.send_message("/livery/strength", 0.25)
            await until_state(client, lambda state: state["settings"]["strength"] == 0.25)
            deck.send_message("/livery/enabled", False)
            await until_state(client, lambda state: not state["settings"]["enabled"])
            for holding in (1, 1, 0):
                deck.send_message("/livery/compare", holding)
                await until_state(client, partial(is_comparing, bool(holding)))
            assert (await silent.ok("GET"))["settings"]["strength"] == 1.0


async def test_what_makes_no_sense_is_logged_and_nothing_else(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.WARNING)
    port = free_port()
    with contextlib.closing(Deck(port)) as deck:
        async with serving(osc_port=port) as server:
            client = await server.open()
            await client.ok("POST", "/demo")
            await until_state(client, lambda state: state["source"] is not None)
            before = (await client.ok("GET"))["settings"]
            for address, value, words in (
                ("/livery/strength", 7.0, "strength must lie in"),
                ("/livery/strength", float("nan"), "strength must lie in"),
                ("/livery/strength", "much", "strength takes one number"),
                ("/livery/look", 5, "look must be 1 to 1"),
                ("/livery/look", float("inf"), "look must be 1 to 1"),
                ("/livery/enabled", 3, "enabled takes 0, 1"),
                ("/livery/nothing", 1, "is unknown"),
            ):
                deck.send_message(address, value)
                await until(partial(lambda wanted: wanted in caplog.text, words))
            with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as raw:
                raw.sendto(b"/livery/look\0\0\0\0,i", ("127.0.0.1", port))
                raw.sendto(b"\xff" * 40, ("127.0.0.1", port))
            deck.send_message("/livery/strength", 0.5)
            await until_state(client, lambda state: state["settings"]["strength"] == 0.5)
            assert {**(await client.ok("GET"))["settings"], "strength": 1.0} == before


async def test_a_taken_port_is_said_at_the_start() -> None:
    store = SessionStore(load_services(ServerConfig(matcher="classical")))
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as taken:
        taken.bind(("127.0.0.1", 0))
        with pytest.raises(StartError, match="cannot listen on"):
            await OscControl(store, "127.0.0.1", taken.getsockname()[1]).start()
