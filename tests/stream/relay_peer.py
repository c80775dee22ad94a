"""Publishes the demo to a server, wears blue lips and watches, by the ICE servers that its answers name.

    python -m tests.stream.relay_peer ORIGIN

Prints one line of JSON: whether the edit was seen, and the candidate types of the pair that carried it.
"""

from __future__ import annotations

import asyncio
import json
import re
import sys

import aiohttp
from aiortc import RTCConfiguration, RTCIceServer, RTCPeerConnection

from stream.media.demo import DemoSource
from tests.stream.rig import BLUE, FPS, Client, Pictures, Screen, Server, is_blue, until, until_state

SIZE = (240, 320)


async def ice_servers(client: Client, kind: str) -> list[RTCIceServer]:
    """What the endpoint's Link headers name, as RFC 9725 has them."""
    url = f"{client.server.origin}/{kind}/{client.id}"
    headers = {"Authorization": f"Bearer {client.token}"}
    async with client.server.http.options(url, headers=headers) as answer:
        links = answer.headers.getall("Link", [])
    found = []
    for link in links:
        named = dict(re.findall(r'([\w-]+)="([^"]*)"', link))
        assert named["rel"] == "ice-server", link
        assert named["credential-type"] == "password", link
        address = link[1 : link.index(">")]
        found.append(RTCIceServer(address, named["username"], named["credential"]))
    return found


def pair(peer: RTCPeerConnection) -> list[str]:
    """Types of the nominated candidates, ours and theirs."""
    connection = peer.getTransceivers()[0].sender.transport.transport._connection
    chosen = connection._nominated[1]
    return [chosen.local_candidate.type, chosen.remote_candidate.type]


async def main(origin: str) -> None:
    """Publish, wear, watch, tell."""
    async with aiohttp.ClientSession() as http:
        client = await Server(None, http, origin).open()
        near = RTCPeerConnection(RTCConfiguration(iceServers=await ice_servers(client, "whip")))
        near.addTrack(Pictures(DemoSource(SIZE, FPS).frame, FPS))
        far = RTCPeerConnection(RTCConfiguration(iceServers=await ice_servers(client, "whep")))
        far.addTransceiver("video", direction="recvonly")
        try:
            await client.connect("whip", near)
            await until(lambda: near.connectionState == "connected", 20)
            await until_state(client, lambda state: state["source"] is not None, 20)
            for _ in range(10):  # the first picture may still be on its way
                status, _ = await client.call("POST", "/reference", json={"auto": True})
                if status != 409:
                    break
            assert status < 300, status
            await client.ok("POST", "/preset", json={"name": "lipstick", "colour": BLUE, "strength": 1})
            screen = Screen(far, await client.connect("whep", far))
            await screen.shows(is_blue, 40)
            print(json.dumps({"edited": True, "pairs": [pair(near), pair(far)]}))
            await screen.close()
        finally:
            await near.close()
            await far.close()


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1]))
