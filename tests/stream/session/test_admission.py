"""Who is let in: what the live sessions take is measured, and one that does not fit is refused before."""

from __future__ import annotations

import pytest

from stream.errors import CapacityError
from stream.session.admission import Admission
from tests.stream.rig import new_peer, publishing, serving, until


class Machine:
    """A clock, and processor time at a rate that the test sets."""

    def __init__(self) -> None:
        self.now_s = self.cpu_s = self.rate = 0.0

    def admission(self, most: float = 0.95) -> Admission:
        return Admission(most, 2, lambda: self.now_s, lambda: self.cpu_s)

    def run(self, admission: Admission, rate: float, seconds: int = 12) -> None:
        for _ in range(seconds):
            self.now_s += 1
            self.cpu_s += rate
            admission.sample()


def test_the_session_that_would_not_fit_is_refused_before_it_begins() -> None:
    machine = Machine()
    admission = machine.admission()
    admission.enter("one")
    machine.run(admission, 0.8)
    admission.enter("two")
    with pytest.raises(CapacityError, match=r"1\.6 of its 2 processors") as refused:
        admission.enter("three")  # at once, before the second one's share is seen
    assert "Retry-After" in refused.value.headers
    machine.run(admission, 1.6)
    with pytest.raises(CapacityError):
        admission.enter("three")
    admission.enter("two")  # one that is in place already
    admission.leave("one")
    admission.enter("three")


def test_light_sessions_fit_in_greater_number() -> None:
    machine = Machine()
    admission = machine.admission()
    for number in range(9):
        admission.enter(number)
        machine.run(admission, 0.2 * (number + 1))
    with pytest.raises(CapacityError):
        admission.enter("one more")


def test_one_alone_is_never_refused_however_busy_it_was() -> None:
    machine = Machine()
    admission = machine.admission()
    machine.run(admission, 2.0)  # something else of this process, a file's decoding
    admission.enter("one")
    admission.leave("one")
    machine.run(admission, 2.0)
    admission.enter("another")


def test_without_a_limit_nobody_is_refused() -> None:
    machine = Machine()
    admission = machine.admission(0.0)
    for number in range(20):
        admission.enter(number)
        machine.run(admission, 2.0, 4)


async def test_a_camera_that_does_not_fit_gets_a_503_and_those_in_place_go_on() -> None:
    async with serving(max_load=0.95) as server:
        first, second = await server.open(), await server.open()
        peer = new_peer()
        peer.addTransceiver("video", direction="sendonly")
        await peer.setLocalDescription(await peer.createOffer())
        async with publishing(first):
            admission = server.session(first)._services.admission
            admission._each = 0.99 * admission._processors
            status, text, headers = await second.signal("whip", peer.localDescription.sdp)
            assert (status, "no room for another live session" in text) == (503, True)
            assert "Retry-After" in headers
            assert (await second.call("POST", "/demo"))[0] == 503
            async with publishing(first):  # its own camera again takes the first one's place
                await until(lambda: server.session(first).connections.publishing)
        await until(lambda: not server.session(first).connections.expecting)
        assert (await second.call("POST", "/demo"))[0] == 200
        await second.ok("DELETE", "/demo")
        assert not admission._live
    await peer.close()
