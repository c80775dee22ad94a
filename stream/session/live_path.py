"""The way of a session's frames: from the source through the pipeline to viewers and recording."""

from __future__ import annotations

from correspondence import Image
from stream.live.pipeline import LiveFrame, Pipeline, Stepper
from stream.looks.wardrobe import Wardrobe
from stream.metrics import SessionMetrics
from stream.recording.shelf import Shelf
from stream.session.egress import Broadcast
from stream.session.notices import Notices
from stream.session.services import Services
from stream.session.stages import Stages


class LivePath:
    """Carries the frames of one session through its pipeline, which wears the session's active look.

    Args:
        services: what all sessions share.
        session_id: id of the session.
        broadcast: receives each outgoing picture for the viewers.
        shelf: records the arriving frames and the outgoing pictures.
        metrics: receives times and drops.
        notices: tells the pages what a step or a build reports.
    """

    def __init__(
        self,
        services: Services,
        session_id: str,
        broadcast: Broadcast,
        shelf: Shelf,
        metrics: SessionMetrics,
        notices: Notices,
    ) -> None:
        self.stages = Stages(services, session_id, self._new_pipeline, shelf, self._put_on, notices.warn)
        self.wardrobe = Wardrobe(
            self.stages.workshop,
            self._put_on,
            services.heavy,
            max_looks=services.config.max_looks,
            max_bytes=services.config.looks_mib * 2**20,
            max_faces=services.config.faces,
        )
        self._id, self._virtual = session_id, services.virtual
        self._mark, self._tracer = services.config.mark, services.tracer
        self._broadcast, self._shelf = broadcast, shelf
        self.metrics, self._notices = metrics, notices
        self._holders = 0  # pages that hold the live picture to compare

    @property
    def comparing(self) -> bool:
        """Whether at least one page holds the live picture to compare."""
        return self._holders > 0

    def compare(self, holding: bool) -> None:
        """Show the live picture while at least one page compares.

        Args:
            holding: True when a page begins to compare, False when the same page stops.
        """
        self._holders += 1 if holding else -1
        self._put_on()

    def hold_back(self, fps: float | None) -> None:
        """Edit at most `fps` frames per second, since the machine is overloaded. None lifts the limit."""
        if self.stages.pipeline is not None:
            self.stages.pipeline.most_fps = fps

    def submit(self, frame: LiveFrame) -> None:
        """Take an arriving frame, on the event loop."""
        self.metrics.timeline.arrived(frame.captured_s, frame.taken_s)
        self._shelf.source(frame.image, frame.captured_s)
        if self.stages.pipeline is not None:
            self.stages.pipeline.submit(frame)

    def _new_pipeline(self, propagator: Stepper) -> Pipeline:
        name = f"pipeline-{self._id[:6]}"
        return Pipeline(
            propagator,
            self._deliver,
            self.metrics,
            name=name,
            happened=self._notices.happened,
            mark_text=self._mark,
            trace=self._tracer.of(self._id) if self._tracer is not None else None,
        )

    def _deliver(self, image: Image, captured_s: float) -> None:
        """Pass an outgoing picture to viewers, virtual camera and recording, on the pipeline's thread."""
        self._broadcast.put(image, captured_s)
        self._virtual.put(self._id, image, captured_s)
        self._shelf.live(image, captured_s)

    def _put_on(self) -> None:
        """Make the pipeline wear the active look in its present state. Only pointers are exchanged."""
        pipeline, wardrobe = self.stages.pipeline, self.wardrobe
        if pipeline is None:
            return
        enabled = wardrobe.enabled and not self.comparing
        outfit, strength = wardrobe.active.outfit, wardrobe.active.strength
        pipeline.limit_faces(wardrobe.faces)
        pipeline.wear(outfit, enabled=enabled, strength=strength)
        self._shelf.wear(outfit, enabled=enabled, strength=strength, faces=wardrobe.faces)
        pipeline.overlay = wardrobe.overlay == "confidence"
