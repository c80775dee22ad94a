"""WebRTC: peers, offers, ICE, DTLS, jitter buffer, codecs, sound, and the changes made to aiortc."""

import stream.rtc.dtls  # noqa: F401  # first: it decides how the OpenSSL that aiortc loads is configured
