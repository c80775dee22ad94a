"""Looks, strength and the reference by Open Sound Control, over loopback UDP."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import socket
import struct
import time
from functools import partial
from typing import Any

import pytest
from pythonosc.osc_message_builder import OscMessageBuilder
from pythonosc.udp_client import SimpleUDPClient

from stream.config import ServerConfig
from stream.control.osc import OscControl
from stream.control.packets import Message, PacketError, read_packet
from stream.errors import StartError
from stream.refused import refused
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


async def test_a_deck_controls_the_session_with_a_picture() -> None:
    port = free_port()
    with contextlib.closing(Deck(port)) as deck:
        async with serving(osc_port=port) as server:
            client, silent = await server.open(), await server.open()
            before = refused["osc_message"]
            deck.send_message("/livery/strength", 0.5)
            await until(lambda: refused["osc_message"] > before)  # no session has a picture
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
    caplog.set_level(logging.DEBUG)
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
            ):
                deck.send_message(address, value)
                await until(partial(lambda wanted: wanted in caplog.text, words))
            unknown = refused["osc_address"]
            deck.send_message("/livery/nothing", 1)
            await until(lambda: refused["osc_address"] > unknown)
            deck.send_message("/livery/strength", 0.5)
            await until_state(client, lambda state: state["settings"]["strength"] == 0.5)
            assert {**(await client.ok("GET"))["settings"], "strength": 1.0} == before


async def test_a_taken_port_is_said_at_the_start() -> None:
    store = SessionStore(load_services(ServerConfig(matcher="classical")))
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as taken:
        taken.bind(("127.0.0.1", 0))
        with pytest.raises(StartError, match="cannot listen on"):
            await OscControl(store, "127.0.0.1", taken.getsockname()[1]).start()


MESSAGE = b"/livery/strength\0\0\0\0,f\0\0" + struct.pack(">f", 0.5)
LATER = b"\xff" * 8  # the latest time that a bundle can name
HOSTILE = {
    "empty": b"",
    "noise": b"\xff" * 40,
    "cut short": b"/livery/look\0\0\0\0,i\0\0",
    "an element of negative size": b"#bundle\0" + bytes(8) + struct.pack(">i", -4),
    "an element of size zero": b"#bundle\0" + bytes(12),
    "an element beyond its end": b"#bundle\0" + bytes(8) + struct.pack(">i", 400) + MESSAGE,
    "a pattern that takes an age": b"/livery/" + b"*" * 60 + b"!\0\0\0",
    "types without end": b"/livery/look\0\0\0\0," + b"[" * 500,
    "an unknown type": b"/livery/look\0\0\0\0,b\0\0" + bytes(8),
    "a text that is not ASCII": b"/\xff\0\0",
    "too long": b"/" + b"a" * 2000 + bytes(4),
}


@pytest.mark.parametrize("name", [name for name in HOSTILE if "pattern" not in name])
def test_packets_that_make_no_sense_are_refused(name: str) -> None:
    with pytest.raises(PacketError):
        read_packet(HOSTILE[name])


def test_addresses_are_taken_literally() -> None:
    (message,) = read_packet(HOSTILE["a pattern that takes an age"])
    assert message.address.endswith("*!")


def test_bundles_in_bundles_are_read_whatever_their_time() -> None:
    packet = MESSAGE
    for _ in range(30):
        packet = b"#bundle\0" + LATER + struct.pack(">i", len(packet)) + packet
    assert read_packet(packet) == [Message("/livery/strength", (0.5,))]


def test_all_arguments_that_are_used_are_read() -> None:
    for value in (1, 2**40, 0.25, True, False, "much"):
        builder = OscMessageBuilder("/livery/look")
        builder.add_arg(value)
        assert read_packet(builder.build().dgram) == [Message("/livery/look", (value,))]
    assert read_packet(b"/livery/reference\0\0\0") == [Message("/livery/reference", ())]


async def test_no_packet_holds_the_server_up() -> None:
    """A bundle for a later time used to stop the server until then, and one of a bad size for good."""
    port, later = free_port(), struct.pack(">II", int(time.time()) + 2_208_988_800 + 20, 0)
    async with serving(osc_port=port) as server:
        client = await server.open()
        await client.ok("POST", "/demo")
        await until_state(client, lambda state: state["source"] is not None)
        bundle = b"#bundle\0" + later + struct.pack(">i", len(MESSAGE)) + MESSAGE
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as raw:
            for packet in (*HOSTILE.values(), bundle):
                raw.sendto(packet, ("127.0.0.1", port))
        async with asyncio.timeout(10):
            await until_state(client, lambda state: state["settings"]["strength"] == 0.5)
