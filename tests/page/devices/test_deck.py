"""MIDI and a gamepad on the page; the devices are imitated, since a test machine has none."""

from __future__ import annotations

from tests.page.desk import Desk, state_of, take_reference, until

DEVICES = """
const input = { onmidimessage: null };
navigator.requestMIDIAccess = async () => ({ inputs: new Map([["0", input]]), onstatechange: null });
window.midi = (...data) => input.onmidimessage({ data });
window.pad = { index: 0, buttons: [{ value: 0 }, { value: 0 }], axes: [0] };
navigator.getGamepads = () => [window.pad];
"""


def test_controls_are_bound_and_do_what_they_are_bound_to(desk: Desk) -> None:
    page = desk.open()
    page.add_init_script(DEVICES)
    page.reload()
    page.click("#empty [data-action=start-demo]")
    page.wait_for_selector("#take:enabled")
    take_reference(page)
    page.click("[data-preset=lipstick]")
    page.wait_for_selector("#wear[aria-checked=true]")
    page.click("#new-look")
    until(page, "document.querySelectorAll('.chip').length === 2")
    first, second = (look["id"] for look in state_of(page)["looks"])
    page.click("#open-deck")

    def bind(action: str, move: str) -> None:
        page.select_option("#deck-action", action)
        page.click("#deck-bind")
        page.wait_for_timeout(100)  # the gamepad is read once a frame
        page.evaluate(move)
        page.wait_for_selector(f"#deck-list li:has-text('{action}')")

    bind("look 1", "midi(0x90, 36, 100)")
    bind("strength", "midi(0xB0, 7, 64)")
    bind("look 2", "pad.buttons[0].value = 1")
    page.click("#deck [data-close]")
    page.evaluate("midi(0x80, 36, 0); midi(0x90, 36, 100); 0")
    until(page, f"document.querySelector('.chip[aria-pressed=true]')?.dataset.look === '{first}'")
    page.evaluate("midi(0xB0, 7, 32); 0")
    until(page, "document.getElementById('strength').value === '25'")
    page.evaluate("pad.buttons[0].value = 0; 0")
    page.wait_for_timeout(100)
    page.evaluate("pad.buttons[0].value = 1; 0")
    until(page, f"document.querySelector('.chip[aria-pressed=true]')?.dataset.look === '{second}'")
    page.reload()
    page.wait_for_selector("#open-deck", state="attached")
    kept = page.evaluate("JSON.parse(localStorage.getItem('livery.deck'))")
    assert sorted(kept.values()) == ["look 1", "look 2", "strength"]
