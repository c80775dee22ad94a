"""What schemathesis cannot make up by itself: pictures, and text that can be printed."""

from __future__ import annotations

import schemathesis
from hypothesis import strategies

from stream.media.demo import DemoSource
from stream.media.pictures import encode_png

PICTURES = [encode_png(DemoSource(size).frame(0)) for size in ((180, 320), (360, 640))]
LETTERS = "abcdefghijklmnopqrstuvwxyzABCXYZ0123456789 .,-_()éßñ漢字"

schemathesis.openapi.media_type("image/png", strategies.sampled_from(PICTURES))
schemathesis.openapi.format(
    "printable", strategies.text(LETTERS, min_size=1, max_size=40).filter(lambda text: text.strip() != "")
)
