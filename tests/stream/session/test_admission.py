"""Who is let in: what the live sessions take is measured, and one that does not fit is refused before."""

from __future__ import annotations

import time
from collections.abc import Sequence

import pytest

from stream.errors import CapacityError
from stream.session.admission import LEAST_FPS, Admission, Load, machine_cpu_s
from tests.stream.rig import new_peer, publishing, serving, until


class Machine:
    """A clock, and processor time at a rate that the test sets."""

    def __init__(self) -> None:
        self.now_s = self.cpu_s = self.others_s = self.others = 0.0

    def admission(self, most: float = 0.95) -> Admission:
        return Admission(most, 2, lambda: self.now_s, lambda: self.cpu_s, lambda: self.cpu_s + self.others_s)

    def run(self, admission: Admission, rate: float, seconds: int = 12, loads: Sequence[Load] = ()) -> None:
        for _ in range(seconds):
            self.now_s += 1
            self.cpu_s += rate
            self.others_s += self.others
            admission.sample(loads)


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


def test_a_new_session_is_expected_to_take_what_the_dearest_one_takes() -> None:
    machine = Machine()
    admission = machine.admission()
    for name in ("plain", "four faces"):
        admission.enter(name)
    loads = [Load("plain", 0.001, 0.001, 30.0), Load("four faces", 0.030, 0.030, 30.0)]
    machine.run(admission, 1.1, loads=loads)  # 0.04 and 1.06 of two processors: 1.65 with an average third
    with pytest.raises(CapacityError):
        admission.enter("another")
    admission.leave("four faces")
    machine.run(admission, 0.1, 60, [loads[0]])
    admission.enter("another")
    with pytest.raises(CapacityError):
        admission.enter("a third")  # what was seen is remembered for some minutes


def test_nobody_is_let_in_while_frames_already_wait_for_each_other() -> None:
    machine = Machine()
    admission = machine.admission()
    admission.enter("one")
    machine.run(admission, 0.4, loads=[Load("one", 0.012, 0.010, 30.0)])
    assert admission.stretch == 1.0
    for name in ("two", "three"):
        admission.enter(name)
    machine.run(admission, 1.35, 12, [Load(name, 0.018, 0.010, 20.0) for name in ("one", "two", "three")])
    with pytest.raises(CapacityError, match=r"1\.5 times as long as it would alone"):
        admission.enter("four")


def test_what_other_programs_take_is_not_there_for_a_session() -> None:
    machine = Machine()
    admission = machine.admission()
    admission.enter("one")
    machine.run(admission, 0.4)
    admission.check("two")
    machine.others = 1.3
    machine.run(admission, 0.4)
    with pytest.raises(CapacityError, match=r"1 take 0\.4 of its 2 processors, other programs 1\.3"):
        admission.enter("two")
    machine.others = 0.0
    machine.run(admission, 0.4)
    admission.enter("two")


def test_frame_rates_are_not_lowered_for_what_other_programs_do() -> None:
    machine = Machine()
    admission = machine.admission()
    for name in ("one", "two"):
        admission.enter(name)
    machine.run(admission, 0.4, loads=[Load("one", 0.012, 0.010, 30.0)])
    machine.run(admission, 0.4, loads=[Load(name, 0.050, 0.010, 15.0) for name in ("one", "two")])
    assert admission.stretch > 4
    assert admission.held_back == 0
    with pytest.raises(CapacityError, match=r"4\.2 times as long"):
        admission.enter("three")


def test_the_machine_tells_its_processor_time() -> None:
    before = machine_cpu_s()
    if before is None:
        pytest.skip("this system has no /proc/stat")
    end_s = time.process_time() + 0.3
    while time.process_time() < end_s:
        pass
    after = machine_cpu_s()
    assert after is not None
    assert after - before > 0.1


def test_an_overload_lowers_the_frame_rates_of_those_who_take_most_and_is_lifted_again() -> None:
    machine = Machine()
    admission = machine.admission()
    for name in ("light", "heavy", "as heavy"):
        admission.enter(name)
    alone = [Load("light", 0.004, 0.004, 30.0)]
    machine.run(admission, 0.2, 3, alone)
    heavy = [Load(name, 0.045, 0.020, 15.0) for name in ("heavy", "as heavy")]
    machine.run(admission, 1.9, 3, [Load("light", 0.006, 0.004, 30.0), *heavy])
    caps = [admission.most_fps(name) for name in ("light", "heavy", "as heavy")]
    assert caps[0] is None
    assert caps[1] == caps[2] == pytest.approx(15 * 0.9**3)
    machine.run(admission, 1.9, 30, [Load("light", 0.006, 0.004, 30.0), *heavy])
    assert admission.most_fps("heavy") == LEAST_FPS
    for _ in range(40):  # they do as they were told, and the frames are quick again
        fps = min(admission.most_fps("heavy") or 30.0, 30.0)
        eased = [Load(name, 0.021, 0.020, fps) for name in ("heavy", "as heavy")]
        machine.run(admission, 1.0, 1, [Load("light", 0.004, 0.004, 30.0), *eased])
    assert admission.most_fps("heavy") is None or admission.most_fps("heavy") > 29  # type: ignore[operator]


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
