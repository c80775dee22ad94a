"""A small RTSP server: plays an MPEG transport stream over RTP within the connection (RFC 2326, RFC 2250)."""

from __future__ import annotations

import contextlib
import re
import struct
import threading
from collections.abc import Iterator
from pathlib import Path
from socketserver import StreamRequestHandler, ThreadingTCPServer

PACKETS = 7 * 188  # bytes of one RTP packet: seven packets of the stream
DESCRIPTION = "v=0\r\no=- 0 0 IN IP4 127.0.0.1\r\ns=-\r\nt=0 0\r\nm=video 0 RTP/AVP 33\r\na=control:only\r\n"
HEADERS = {
    "OPTIONS": "Public: OPTIONS, DESCRIBE, SETUP, PLAY, TEARDOWN\r\n",
    "DESCRIBE": f"Content-Type: application/sdp\r\nContent-Length: {len(DESCRIPTION)}\r\n",
    "SETUP": "Session: 1\r\nTransport: RTP/AVP/TCP;unicast;interleaved=0-1\r\n",
}


class _Handler(StreamRequestHandler):
    stream: bytes

    def handle(self) -> None:
        """Answer until the stream was played once. Then the connection ends."""
        while request := self._request():
            method, sequence = request
            body = DESCRIPTION if method == "DESCRIBE" else ""
            head = f"RTSP/1.0 200 OK\r\nCSeq: {sequence}\r\n{HEADERS.get(method, '')}\r\n"
            self.wfile.write((head + body).encode())
            if method == "PLAY":
                self._play()
                return

    def _request(self) -> tuple[str, str] | None:
        lines: list[str] = []
        while line := self.rfile.readline().decode().strip():
            lines.append(line)
        if not lines:
            return None
        found = re.search(r"CSeq: (\d+)", "\n".join(lines))
        assert found is not None
        return lines[0].split()[0], found[1]

    def _play(self) -> None:
        for number, at in enumerate(range(0, len(self.stream), PACKETS)):
            packet = struct.pack("!BBHII", 0x80, 33, number & 0xFFFF, 900 * number, 7)
            packet += self.stream[at : at + PACKETS]
            self.wfile.write(struct.pack("!cBH", b"$", 0, len(packet)) + packet)


@contextlib.contextmanager
def rtsp_camera(clip: Path) -> Iterator[str]:
    """Play a .ts file to each who asks. Gives the address."""
    handler = type("Handler", (_Handler,), {"stream": clip.read_bytes()})
    with ThreadingTCPServer(("127.0.0.1", 0), handler) as server:
        server.daemon_threads = True
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        try:
            yield f"rtsp://127.0.0.1:{server.server_address[1]}/camera"
        finally:
            server.shutdown()
            thread.join(5)
