"""What is left of a change after ringing was taken out is looked at once more."""

from __future__ import annotations

import numpy as np

from correspondence import Bool, Float, Image
from reference.edits.cleaning import cleaned
from reference.edits.saving.codec import Coding


def test_a_faint_scrap_that_ringing_leaves_is_no_edit(astronaut: Image) -> None:
    change = np.zeros(astronaut.shape, np.float32)
    change[100:120, 100:120], change[125:135, 100:120] = (-60.0, -50.0, -40.0), (-1.0, 1.0, 2.0)
    scrap = np.zeros(astronaut.shape[:2], np.bool_)
    scrap[125:135, 100:120] = True

    def rung(found: Bool) -> tuple[Bool, Float]:
        return found | scrap, np.zeros_like(change)

    everywhere = np.ones_like(scrap)
    none = np.zeros_like(change)
    image, _ = cleaned(astronaut, change, change, none, everywhere, Coding.nothing(astronaut.shape), rung)
    changed = (image != astronaut).any(axis=2)
    assert changed[102:118, 102:118].all()
    assert not changed[scrap].any()
