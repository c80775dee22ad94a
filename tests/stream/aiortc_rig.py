"""What tests of aiortc's senders and receivers share."""

from __future__ import annotations

from aiortc.rtcrtpparameters import RTCRtpCodecParameters

H264 = RTCRtpCodecParameters(mimeType="video/H264", clockRate=90000, payloadType=101)
VP8 = RTCRtpCodecParameters(mimeType="video/VP8", clockRate=90000, payloadType=97)
OPUS = RTCRtpCodecParameters(mimeType="audio/opus", clockRate=48000, channels=2, payloadType=96)


class Transport:
    """A DTLS transport's face: keeps what is sent."""

    state = "connected"

    def __init__(self) -> None:
        self.sent: list[bytes] = []

    async def _send_rtp(self, data: bytes) -> None:
        self.sent.append(data)

    def _register_rtp_sender(self, *_: object) -> None: ...
    def _unregister_rtp_sender(self, *_: object) -> None: ...
    def _register_rtp_receiver(self, *_: object) -> None: ...
    def _unregister_rtp_receiver(self, *_: object) -> None: ...
