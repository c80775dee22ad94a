"""What the page is told of the references: each event once, in words, and no more than fit."""

from __future__ import annotations

from reference import (
    Action,
    Decision,
    EditChanged,
    Event,
    FaceLost,
    KeyframeMade,
    KeyframeRefused,
    ReferenceSwitched,
)
from stream.session.journal import KEPT, MAX_TEXT, Journal, changes_strip


def test_events_become_entries() -> None:
    journal = Journal()
    events: list[Event] = [
        EditChanged(1.0, True),
        KeyframeMade(1.0, 1, 0.83),
        ReferenceSwitched(1.0, 1, "covers 60% of the edit"),
        KeyframeRefused(2.0, "the frame is blurred"),
        FaceLost(3.0),
    ]
    told = journal.note(events)
    assert [entry["kind"] for entry in told] == ["make", "switch", "refuse", "face"]
    assert told[0]["text"] == "Keyframe 2 was made; 83% of its edit was known."
    assert journal.entries == told
    assert changes_strip(events)
    assert not changes_strip([FaceLost(3.0)])


def test_only_turns_of_the_decision_are_told() -> None:
    journal = Journal()
    low = "covers 70% of the edit, 90% wanted"
    decisions = [
        None,
        Decision(Action.KEEP, "no frame yet"),
        Decision(Action.KEEP, "covered", 0.97),
        Decision(Action.KEEP, f"{low}; just switched", 0.7),
        Decision(Action.SWITCH, f"{low}; a keyframe of the bank may cover 95%", 0.7),
        Decision(Action.KEEP, "changing over to another keyframe", 0.95),
        Decision(Action.KEEP, "covered", 0.96),
    ]
    told = [entry for decision in decisions for entry in journal.follow(decision)]
    assert [(entry["kind"], entry["text"]) for entry in told] == [
        ("keep", "Covers 70% of the edit, 90% wanted; just switched."),
        ("keep", "It covers the view again."),
    ]


def test_it_is_bounded() -> None:
    journal = Journal()
    for number in range(KEPT + 20):
        journal.note([KeyframeRefused(float(number), "x" * 1000)])
    assert len(journal.entries) == KEPT
    assert max(len(str(entry["text"])) for entry in journal.entries) == MAX_TEXT
