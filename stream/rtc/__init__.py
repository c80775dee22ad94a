"""WebRTC: peers, offers, ICE, DTLS, jitter buffer, codecs, sound, and the changes made to aiortc."""
