"""A plain aiortc echo, as in its examples. It is the baseline for Livery's edge.

It runs in its own process, on aiortc as installed with nothing replaced: `python -m benchmarks.streams.echo`.
With the argument `patched` it runs with what Livery replaces in aiortc.
"""

from __future__ import annotations

import asyncio
import sys

from aiohttp import web
from aiortc import MediaStreamTrack, RTCConfiguration, RTCPeerConnection, RTCSessionDescription

from stream.rtc import aiortc_patch

PATCHED = "patched"


async def offer(request: web.Request) -> web.Response:
    """Answer an offer by sending back the video it brings."""
    peer = RTCPeerConnection(RTCConfiguration(iceServers=[]))
    request.app[PEERS].append(peer)

    def on_track(track: MediaStreamTrack) -> None:
        peer.addTrack(track)

    peer.on("track", on_track)
    await peer.setRemoteDescription(RTCSessionDescription(await request.text(), "offer"))
    await peer.setLocalDescription(await peer.createAnswer())
    return web.Response(text=peer.localDescription.sdp, content_type="application/sdp", status=201)


PEERS = web.AppKey("peers", list)


async def main() -> None:
    """Serve until killed, on a free port, which is printed to standard output."""
    if PATCHED in sys.argv[1:]:
        aiortc_patch.install()
    app = web.Application()
    app[PEERS] = []
    app.router.add_post("/offer", offer)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    print(f"Echo is at http://127.0.0.1:{runner.addresses[0][1]}/", flush=True)
    await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(main())
