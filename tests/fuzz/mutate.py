"""Cases for the fuzz targets: known inputs of a corpus, changed a little or a lot."""

from __future__ import annotations

from collections.abc import Sequence

from hypothesis import strategies as st

ODD = (  # what parsers stumble over, as bytes
    *(b"", b"\0", b"\xff", b"\xff" * 4, b"\0" * 8, b"\x7f\xff\xff\xff", b"\x80\0\0\0", b"\xed\xa0\x80"),
    *(b"-1", b"0", b"4294967296", b"9" * 40, b"1e308", b"NaN", b"%s%n", b"../" * 3, b"\r\n", b"\n", b" "),
    *(b":", b"=", b";", b"/", b"*", b"[", b"{", b'"', b"null", b"true", b"\xe2\x80\xa8", b"\x0b", b"\x1c"),
)
CHANGES = ("set", "flip", "cut", "repeat", "insert", "copy")
Change = tuple[str, int, int, bytes]


def changed(seed: bytes, changes: Sequence[Change], most: int) -> bytes:
    """A seed with changes applied one after the other, at most `most` bytes long."""
    data = bytearray(seed)
    for kind, place, length, put in changes:
        at = place % (len(data) + 1)
        end = min(at + length % 257, len(data))
        if kind == "set":
            data[at : at + len(put)] = put
        elif kind == "flip" and at < len(data):
            data[at] ^= 1 << length % 8
        elif kind == "cut":
            del data[at:end]
        elif kind == "repeat":
            data[at:at] = data[at:end] * (1 + length % 40)
        elif kind == "insert":
            data[at:at] = put
        elif kind == "copy":
            to = length * 31 % (len(data) + 1)
            data[to:to] = data[at:end]
        del data[most:]
    return bytes(data)


def mutated(corpus: Sequence[bytes], most: int = 100_000) -> st.SearchStrategy[bytes]:
    """Inputs near those of a corpus, and now and then any bytes at all."""
    change = st.tuples(
        st.sampled_from(CHANGES),
        st.integers(0, 1 << 20),
        st.integers(0, 1 << 16),
        st.one_of(st.sampled_from(ODD), st.binary(max_size=12)),
    )
    near = st.builds(changed, st.sampled_from(list(corpus)), st.lists(change, max_size=8), st.just(most))
    return st.one_of(near, near, near, st.binary(max_size=300))


def lines_of(corpus: Sequence[str]) -> st.SearchStrategy[bytes]:
    """Texts whose lines are taken from a corpus, in another order, doubled, dropped, some of them changed."""
    known = sorted({line for text in corpus for line in text.splitlines()})
    line = st.one_of(st.sampled_from(known).map(str.encode), mutated([each.encode() for each in known], 400))
    whole = st.sampled_from([text.splitlines() for text in corpus])
    dealt = st.builds(
        lambda base, more, gone: b"\r\n".join(
            [*(each.encode() for n, each in enumerate(base) if n not in gone), *more, b""]
        ),
        whole,
        st.lists(line, max_size=12),
        st.sets(st.integers(0, 60), max_size=6),
    )
    return st.one_of(dealt, mutated([text.encode() for text in corpus]))
