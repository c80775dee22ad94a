"""What can go wrong with an edit and inside a step.

ValueError
    EditError      an edited picture that cannot be used with its reference
RuntimeError
    StageError     a stage of `Propagator.step` failed; the caller passes the frame through
"""

from __future__ import annotations


class EditError(ValueError):
    """An edited picture that cannot be used with its reference; the message names the way out."""


class StageError(RuntimeError):
    """A stage of a step failed; `__cause__` is what it raised.

    Attributes:
        stage: "landmarks", "match", "composite" or "references".
    """

    def __init__(self, stage: str) -> None:
        super().__init__(f"the {stage} stage failed")
        self.stage = stage
