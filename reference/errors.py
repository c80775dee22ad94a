"""Errors of an edit and of a step.

ValueError
    EditError      an edited picture that cannot be used with its reference
RuntimeError
    StageError     a stage of `Propagator.step` failed; the caller passes the frame through
"""

from __future__ import annotations


class EditError(ValueError):
    """An edited picture cannot be used with its reference. The message says what to do."""


class StageError(RuntimeError):
    """A stage of a step failed. `__cause__` is the exception that it raised.

    Attributes:
        stage: "landmarks", "match", "composite", "references" or "background".
    """

    def __init__(self, stage: str) -> None:
        super().__init__(f"the {stage} stage failed")
        self.stage = stage
