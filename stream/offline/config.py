"""Settings of file mode."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from reference import MODES, Mode, PropagatorConfig
from reference.looks.layers import Layer
from stream.mark import check_mark
from stream.media.encoders import FileEncoderConfig
from stream.offline.span import Span


@dataclass(frozen=True, slots=True, kw_only=True)
class FileConfig:
    """Settings of `edit_file`. The ranges are checked.

    Attributes:
        reference: number of the frame that was edited, counted from 0, or "auto" for the best frame or the
            one that the edited picture resembles, or a picture file.
        reference_end: number of the frame that was edited for the end, or "auto" for the frame that its
            picture resembles most. With a picture for the end, "auto" means the same for `reference`.
        why: why that frame is the reference, if its number is given, for the report.
        mode, strength: see `reference.Edit`.
        matcher, device: see `correspondence.Matcher.load`. With `fill`, "auto" means the thorough matcher,
            since the fill takes time for each frame anyway.
        side_by_side: whether to write the input beside the result.
        overwrite: whether to replace an existing output.
        confidence: whether to report each frame's mean confidence, which costs time.
        fill: whether to invent uncertain places. A look of the whole picture is learned from the edited
            pictures, if PyTorch is installed; other edits need the diffusion model's weights.
        learn_s: processor time to learn a look, seconds.
        fill_weights: see `inpaint.weights.chosen`. Without `fill`, only weights given here are used.
        faces: largest number of people in a frame who wear the edit, 1 to 4.
        deinterlace: whether to convert interlaced pictures to whole pictures.
        span: the part of the clip to edit and write. None for all of it.
        preview_s: length of a preview about the edited frame, seconds, which is written instead of the clip.
            0 for no preview.
        mark: text that is written into edited frames. None for none.
        stickers: layers. The stickers among them that the head carries are laid on the edited frame's face;
            all else is part of the edited picture.
        layer: whether to write only the edit, transparent elsewhere and without sound.
        encoder: how to compress the output.
    """

    reference: int | Path | str = "auto"
    reference_end: int | Path | str = "auto"
    why: str = "as asked"
    mode: Mode = "auto"
    strength: float = 1.0
    matcher: str = "auto"
    device: str = "cpu"
    side_by_side: bool = False
    overwrite: bool = False
    confidence: bool = False
    fill: bool = False
    learn_s: float = 60.0
    fill_weights: Path | None = None
    faces: int = 1
    deinterlace: bool = False
    span: Span | None = None
    preview_s: float = 0.0
    stickers: tuple[Layer, ...] = ()
    layer: bool = False
    mark: str | None = None
    encoder: FileEncoderConfig = field(default_factory=FileEncoderConfig)

    def __post_init__(self) -> None:
        for name in ("reference", "reference_end"):
            value = getattr(self, name)
            if isinstance(value, int) and value < 0:
                raise ValueError(f"{name} must be a frame's number from 0, got {value}")
        if self.mode not in MODES:
            raise ValueError(f"mode must be one of {', '.join(MODES)}, got {self.mode!r}")
        if not 0.0 <= self.strength <= 1.0:
            raise ValueError(f"strength must lie in [0, 1], got {self.strength}")
        if not self.learn_s > 0:
            raise ValueError(f"learn_s must be above 0 seconds, got {self.learn_s}")
        if self.mark is not None:
            check_mark(self.mark)
        if self.layer and self.side_by_side:
            raise ValueError("a layer holds the edit alone: leave out --side-by-side, or --layer")
        if self.preview_s and self.span is not None:
            raise ValueError("a preview chooses its own part of the clip: leave out --from and --to")
        PropagatorConfig(faces=self.faces)  # checks it
