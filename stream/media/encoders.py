"""Chooses codec, options and pixel format of a video file by what the input holds."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from stream.media.opening import is_pattern
from stream.media.probe import VideoInfo
from stream.media.untrusted import MediaError

CONTAINERS = {".mp4": "mp4", ".m4v": "mp4", ".mov": "mov", ".mkv": "matroska", ".webm": "webm"}
PICTURES = (".png", ".jpg", ".jpeg", ".webp")
HOLDS = {  # codecs by container
    "mp4": ("h264", "hevc"),
    "mov": ("h264", "hevc", "prores"),
    "matroska": ("h264", "hevc", "vp9", "ffv1", "prores"),
    "webm": ("vp9",),
}
CRF_DEFAULT = {"h264": 18, "hevc": 18, "vp9": 24}
CRF_RANGE = {"h264": (0, 51), "hevc": (0, 51), "vp9": (0, 63)}
CODECS = ("h264", "hevc", "vp9", "ffv1", "prores")
DEPTHS = {"h264": (8, 10), "hevc": (8, 10), "vp9": (8,), "ffv1": (8, 10, 12, 16), "prores": (10,)}
KEEPS_ALPHA = {"mov": "prores", "matroska": "ffv1", "webm": "vp9"}  # codecs for transparent pictures
KEEPS_FIELDS = ("h264", "ffv1", "prores")


@dataclass(frozen=True, slots=True, kw_only=True)
class FileEncoderConfig:
    """How the video is compressed. The ranges are checked.

    Attributes:
        codec: "h264", "hevc", "vp9", "prores" or "ffv1" (lossless up to the subsampling of chroma). None
            chooses what suits the file: h264, or vp9 in .webm, or hevc for input of more than 8 bits, or a
            codec that keeps transparency if there is any.
        crf: constant quality, lower is better. None means the codec's default (h264 and hevc 18, vp9 24). It
            must be None for ffv1 and prores.
        preset: effort of x264 and x265.
    """

    codec: str | None = None
    crf: int | None = None
    preset: str = "fast"

    def __post_init__(self) -> None:
        if self.codec not in (None, *CODECS):
            raise ValueError(f"codec must be one of {', '.join(CODECS)}, got {self.codec!r}")
        if self.codec in ("ffv1", "prores") and self.crf is not None:
            raise ValueError(f"crf has no meaning for {self.codec}, got {self.crf}: leave it out")
        low, high = CRF_RANGE.get(self.codec or "h264", (0, 63))
        if self.crf is not None and not low <= self.crf <= high:
            raise ValueError(f"crf must lie in [{low}, {high}], got {self.crf}")

    def resolve(self, path: Path, info: VideoInfo | None = None) -> str:
        """Return the codec for the file `path`, or for pictures their kind, such as "png".

        Args:
            path: the output file.
            info: the input, if it is known already.

        Raises:
            MediaError: the container is not supported, or cannot hold the codec.
        """
        suffix = path.suffix.lower()
        container = CONTAINERS.get(suffix)
        if container is None and suffix in PICTURES:
            return self._pictures(path, info)
        if container is None:
            raise MediaError(
                f"{path}: the name must end in one of {', '.join(CONTAINERS)}, or in .png for pictures"
            )
        if self.codec is not None and self.codec not in HOLDS[container]:
            can = [ending for ending, other in CONTAINERS.items() if self.codec in HOLDS[other]]
            raise MediaError(
                f"{path}: {suffix} holds {' or '.join(HOLDS[container])}, not {self.codec}; write {can[-1]}"
                if container == "webm"
                else f"{path}: {self.codec} needs {' or '.join(can)}"
            )
        if self.codec is not None:
            return self.codec
        if container == "webm":
            return "vp9"
        if info is not None and info.alpha and container in KEEPS_ALPHA:
            return KEEPS_ALPHA[container]
        return "hevc" if info is not None and info.deep else "h264"

    def _pictures(self, path: Path, info: VideoInfo | None) -> str:
        if self.codec is not None:
            raise MediaError(f"{path}: a picture is not compressed with {self.codec}; leave --codec out")
        if info is not None and info.frames > 1 and not is_pattern(path):
            raise MediaError(
                f"{path}: holds one picture, {info.path} has {info.frames} frames; name numbered pictures "
                f"({path.stem}-%04d{path.suffix}) or a clip ({path.stem}.mp4)"
            )
        return path.suffix.lower().lstrip(".")

    def options(self, codec: str) -> tuple[str, dict[str, str]]:
        """Return FFmpeg's encoder and its options for a codec."""
        crf = str(CRF_DEFAULT.get(codec, 0) if self.crf is None else self.crf)
        if codec == "h264":
            return "libx264", {"crf": crf, "preset": self.preset}
        if codec == "hevc":
            return "libx265", {"crf": crf, "preset": self.preset, "x265-params": "log-level=error"}
        if codec == "vp9":
            return "libvpx-vp9", {"crf": crf, "b": "0", "deadline": "good", "cpu-used": "5", "row-mt": "1"}
        if codec == "prores":
            return "prores_ks", {"vendor": "apl0"}
        return "ffv1", {"level": "3", "slicecrc": "1"}


def pixel_format(codec: str, info: VideoInfo, size: tuple[int, int]) -> str:
    """Choose the planar format to encode. It keeps the input's bits, chroma and alpha if the codec can.

    In H.264 and HEVC, full chroma is used for odd sides that subsampled chroma cannot hold. The picture thus
    keeps its size and is neither cropped nor padded. VP9 and FFV1 hold odd sides in any format.
    """
    depth = depth_of(codec, info)
    alpha = "a" if keeps_alpha(codec, info) else ""
    bits = "" if depth == 8 else f"{depth}le"
    if codec == "prores":
        return "yuva444p10le" if alpha else "yuv444p10le" if _chroma(info) == "444" else "yuv422p10le"
    if codec == "ffv1" and info.rgb and depth == 8:
        return "bgra" if alpha else "bgr0"
    if codec == "vp9" and alpha:
        return "yuva420p"
    chroma = "420" if info.rgb and codec != "ffv1" else _chroma(info)
    odd = (size[0] % 2 and chroma == "420") or (size[1] % 2 and chroma != "444")
    chroma = "444" if codec in ("h264", "hevc") and odd else chroma
    return f"yuv{alpha}{chroma}p{bits}"


def _chroma(info: VideoInfo) -> str:
    if info.rgb:
        return "444"
    return next((kind for kind in ("422", "444") if kind in info.pixel_format), "420")


def depth_of(codec: str, info: VideoInfo) -> int:
    """Bits per sample of the output: those of the input, or as many as the codec supports."""
    depths = DEPTHS[codec]
    return next((depth for depth in depths if depth >= info.bits), depths[-1])


def keeps_alpha(codec: str, info: VideoInfo) -> bool:
    """Whether the input has transparency and the codec keeps it."""
    return info.alpha and codec in KEEPS_ALPHA.values()


def keeps_fields(codec: str, info: VideoInfo, size: tuple[int, int]) -> bool:
    """Whether the input is interlaced and can be written interlaced."""
    return (
        info.fields is not None
        and codec in KEEPS_FIELDS
        and size == info.stored_size
        and not (codec == "h264" and size[0] % 4)
    )


def encoding_notes(codec: str, info: VideoInfo, size: tuple[int, int]) -> list[str]:
    """Describe what the codec cannot keep of the input, or why it was chosen."""
    notes = []
    depth = depth_of(codec, info)
    if info.bits > depth:
        way = "; --codec hevc keeps 10, ffv1 (.mkv) all" if depth == 8 else "; --codec ffv1 (.mkv) keeps all"
        notes.append(f"the {info.bits}-bit input is written with {depth} bits a channel{way}")
    elif info.deep and codec in ("h264", "hevc"):
        other = " few players show that: --codec hevc is read by more" if codec == "h264" else ""
        notes.append(
            f"the output has {depth} bits a channel as the input has ({codec}){';' * bool(other)}{other}"
        )
    if info.alpha and not keeps_alpha(codec, info):
        notes.append(
            f"the input's transparency is lost: {codec} holds none; write .mov (prores), .webm (vp9) or .mkv "
            "with --codec ffv1"
        )
    if info.fields is not None:
        notes.append(_fields_note(codec, info, size))
    return notes


def _fields_note(codec: str, info: VideoInfo, size: tuple[int, int]) -> str:
    what = f"the input is interlaced, {info.fields} field first"
    if keeps_fields(codec, info, size):
        return f"{what}: it is edited and written so; --deinterlace makes whole pictures of it"
    return (
        f"{what}, but the output cannot say so, and players may show comb-like edges: --deinterlace makes "
        "whole pictures of it"
    )
