"""Describes a session to its pages: state, journal and statistics."""

from __future__ import annotations

from dataclasses import dataclass

from stream.events import Message
from stream.filling.types import Worker
from stream.live.slowness import slowness
from stream.looks.describe import describe
from stream.metrics import SessionMetrics
from stream.prompting.edits import PromptEdits
from stream.recording.shelf import Shelf
from stream.session.connections import Connections
from stream.session.live_path import LivePath
from stream.session.notices import Notices
from stream.session.saver import Saver
from stream.session.virtual import Feed


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Status:
    """Reads the parts of a session and describes them as JSON objects.

    Attributes:
        session_id: id of the session.
        connections, live, shelf, saver, feed, notices, metrics: the session's parts.
        prompts: the session's edits by words. None if the server has no model for them.
        filler: the server's fill process. None if nothing needs it.
    """

    session_id: str
    connections: Connections
    live: LivePath
    shelf: Shelf
    saver: Saver
    feed: Feed
    notices: Notices
    metrics: SessionMetrics
    prompts: PromptEdits | None
    filler: Worker | None

    def state(self) -> Message:
        """The answer to `GET /api/sessions/ID`."""
        connections = self.connections
        size = connections.size if connections.publishing else None
        return {
            "id": self.session_id,
            "publishing": connections.publishing,
            "publisher": connections.publisher,
            "demo": connections.demo,
            "source": size and {"width": size[1], "height": size[0], "fps": round(self.metrics.fps_in(), 1)},
            **describe(self.live.wardrobe),
            "comparing": self.live.comparing,
            "viewers": connections.viewers,
            "note": connections.note,
            "prompt": self.prompts.describe() if self.prompts is not None else None,
            "storage": self.saver.describe(),
            "virtual_camera": self.feed.device,
            "recording": self.shelf.describe(),
        }

    def log(self) -> list[Message]:
        """The newest journal entries about the references, oldest first."""
        return self.notices.journal.entries

    def stats(self) -> Message:
        """The statistics that the events socket sends twice a second."""
        pipeline, connections = self.live.stages.pipeline, self.connections
        out = connections.broadcast.stats()
        self.metrics.dropped("encoder", out.replaced)
        self.metrics.dropped("viewers", out.viewer_drops)
        reason = pipeline.reason if pipeline is not None else None
        decision = pipeline.decision if pipeline is not None else None
        self.notices.follow(decision)
        if not connections.publishing:
            reason = connections.note or "nothing is published"
        figures = self.metrics.snapshot(out.encode_s if out.viewers else 0.0)
        held_back = pipeline is not None and pipeline.most_fps is not None
        thin = pipeline.thin if pipeline is not None else 0
        return {
            **figures,
            "slow": slowness(
                figures, held_back=held_back, thin=thin, viewers=out.viewers, rate_bps=out.bitrate_bps
            )
            if connections.publishing
            else None,
            "thin": thin,
            "coverage": pipeline.coverage if pipeline is not None else None,
            "reason": reason,
            "decision": decision and {"action": decision.action.value, "reason": decision.reason},
            "viewers": connections.viewers,
            "bitrate_bps": out.sent_bps,
            "target_bps": out.bitrate_bps,
            "frames": self.metrics.timeline.recent(),
            "fill": self.filler.describe() if self.filler is not None else None,
            "recording": self.shelf.describe(),
        }
