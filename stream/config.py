"""The server's configuration."""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass
from pathlib import Path
from typing import Literal
from urllib.parse import urlsplit

from stream.cores import cores
from stream.mark import check_mark
from stream.rtc.relay import IceConfig
from stream.storage.config import StorageConfig

PORT = 8000  # default TCP port
FEW_CORES = 2  # with so many, by default no new references are made and no edit follows the camera
MAX_LOAD = 0.95  # of `serve`; a `ServerConfig` of its own refuses nobody


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerConfig:
    """Settings of the server.

    Attributes:
        host: address to listen on. "0.0.0.0" listens on every interface.
        port: TCP port for HTTP. 0 chooses a free one.
        token: bearer token that `POST /api/sessions` needs. None lets anyone who reaches the server open a
            session.
        public_url: scheme and host under which clients reach the server if they differ from the request's,
            as behind a TLS proxy, for example "https://livery.example".
        allow_hosts: further names under which clients reach the server, see `stream.http.hosts`.
        trusted_proxies: addresses or networks of proxies whose X-Forwarded-For is believed. None by default.
        udp_ports: first and last UDP port for media. None for any.
        public_address: address that host candidates announce if the server is behind 1:1 NAT.
        ice_servers: URLs "stun:…" or "turn:…" that are asked for candidates. None by default.
        turn_user, turn_credential, turn_secret, turn_lifetime_s: credentials of TURN servers, see
            `stream.rtc.relay.IceConfig`.
        tls: PEM files of a certificate and its key. "auto" makes a self-signed one; None serves plain HTTP.
        tls_folder: where a self-signed certificate is kept.
        max_sessions: most sessions at a time.
        max_load: share of the processors that live sessions may use together. A session that would use more
            is refused before it begins; in an overload the dearest ones get fewer frames. 0 refuses nobody.
        max_looks: most looks of one session.
        looks_mib: memory of a session's pictures and undo steps, MiB.
        opens_per_minute: sessions that one address may open.
        offers_per_minute: offers to publish or watch that one address may send to one session.
        failures_per_minute: wrong tokens that one address may send to one session, or to open one.
        matcher: kind of matcher, see `correspondence.Matcher.load`.
        device: "cpu" or "cuda".
        keyframes: whether to make new references where the head turns away from the edited one. None does so
            with more than two processors, since it costs frames on two.
        follow_camera: whether to move edits of the background with the camera, behind the person. None does
            so with more than two processors, which it needs at 720p.
        faces: largest number of people in one picture who wear the look, 1 to 4.
        fill_weights: folder of the diffusion model's weights. The model fills what no reference shows of an
            edit, in new references and recordings, see `stream.filling.fill.make_worker`.
        prompt_model: folder or hub id of the model that edits by words. None switches edits by words off.
        prompt_controlnet: folder or hub id of a ControlNet for an inpainting model that does not hold one.
        record: folder in which sessions are recorded. None records nothing.
        record_mib: largest size of all recordings, MiB.
        record_asked: whether to record only when a session's page asks, not from each session's first frame.
        store: settings of the store on disk. None keeps sessions in memory only.
        virtual_camera: whether to feed this machine's virtual camera from the first session with pictures.
        mark: text that is written into edited pictures, see `stream.mark`. None for none.
        osc_port: UDP port for Open Sound Control, see `stream.control.osc`. None does not listen.
        osc_host: address of that port. Whoever reaches it controls the sessions.
        traces: address of an OpenTelemetry collector for traces of frames, OTLP over HTTP. None sends none.
        bitrate_bps: bit rate of the edited stream at its start, bits per second.
        demo: whether to open a session with the demo source at start and print its address.
        debug: whether to add the routes that stall a session on purpose, for measurements.
        drain_s: how long live sessions may go on after SIGTERM, while no others are opened, seconds.
        connect_timeout_s: longest time from answer to media connection.
        silence_timeout_s: longest silence of a connected peer.
        lifetime_s: time after which a session without peers, pages and requests leaves memory. Without a
            store it ends then.
        auto_reference_s: longest search for a good reference frame.
        upload_bytes: largest body of an upload.
        upload_pixels: largest picture, checked before it is decoded. A reference is also limited by the
            memory that its edit would take, see `stream.looks.look.largest_px`.

    Raises:
        ValueError: a value is out of range.
    """

    host: str = "127.0.0.1"
    port: int = PORT
    token: str | None = None
    public_url: str | None = None
    allow_hosts: tuple[str, ...] = ()
    trusted_proxies: tuple[str, ...] = ()
    udp_ports: tuple[int, int] | None = None
    public_address: str | None = None
    ice_servers: tuple[str, ...] = ()
    turn_user: str | None = None
    turn_credential: str | None = None
    turn_secret: str | None = None
    turn_lifetime_s: float = 43_200.0
    tls: tuple[Path, Path] | Literal["auto"] | None = None
    tls_folder: Path = Path("tls")
    max_sessions: int = 8
    max_load: float = 0.0
    max_looks: int = 9
    looks_mib: int = 1024
    opens_per_minute: int = 60
    offers_per_minute: int = 120
    failures_per_minute: int = 20
    matcher: str = "auto"
    device: str = "cpu"
    keyframes: bool | None = None
    follow_camera: bool | None = None
    faces: int = 1
    fill_weights: Path | None = None
    prompt_model: str | None = None
    prompt_controlnet: str | None = None
    record: Path | None = None
    record_mib: int = 20_000
    record_asked: bool = False
    store: StorageConfig | None = None
    virtual_camera: bool = False
    mark: str | None = None
    osc_port: int | None = None
    osc_host: str = "127.0.0.1"
    traces: str | None = None
    bitrate_bps: int = 2_500_000
    demo: bool = False
    debug: bool = False
    drain_s: float = 0.0
    connect_timeout_s: float = 10.0
    silence_timeout_s: float = 5.0
    lifetime_s: float = 1800.0
    auto_reference_s: float = 5.0
    upload_bytes: int = 32_000_000
    upload_pixels: int = 40_000_000

    def __post_init__(self) -> None:
        _within("port", self.port, 0, 65535)
        if self.mark is not None:
            check_mark(self.mark)
        _within("osc_port", self.osc_port or 0, 0, 65535)
        _within("max_sessions", self.max_sessions, 1, 10_000)
        _within("max_load", self.max_load, 0.0, 1.0)
        _within("max_looks", self.max_looks, 1, 100)
        _within("looks_mib", self.looks_mib, 1, 100_000)
        _within("opens_per_minute", self.opens_per_minute, 1, 100_000)
        _within("offers_per_minute", self.offers_per_minute, 1, 100_000)
        _within("failures_per_minute", self.failures_per_minute, 1, 100_000)
        _within("faces", self.faces, 1, 4)
        _within("bitrate_bps", self.bitrate_bps, 100_000, 50_000_000)
        for name in ("connect_timeout_s", "silence_timeout_s", "lifetime_s", "auto_reference_s"):
            _within(name, getattr(self, name), 0.1, 86_400.0)
        _within("drain_s", self.drain_s, 0.0, 86_400.0)
        _within("upload_bytes", self.upload_bytes, 1_000, 1_000_000_000)
        _within("upload_pixels", self.upload_pixels, 1_000, 400_000_000)
        if self.token is not None and len(self.token) < 8:
            raise ValueError(f"token must have at least 8 characters, got {len(self.token)}")
        if self.udp_ports is not None:
            first, last = self.udp_ports
            _within("udp_ports", first, 1, 65535)
            _within("udp_ports", last, first, 65535)
        if self.public_url is not None:
            parts = urlsplit(self.public_url)
            if (
                parts.scheme not in ("http", "https")
                or not parts.netloc
                or parts.query
                or parts.path.strip("/")
            ):
                raise ValueError(
                    f"public_url must be scheme and host (https://livery.example), got {self.public_url!r}"
                )
        if self.traces is not None and urlsplit(self.traces).scheme not in ("http", "https"):
            raise ValueError(f"traces must be an address (http://host:4318/v1/traces), got {self.traces!r}")
        for network in self.trusted_proxies:
            try:
                ipaddress.ip_network(network, strict=False)
            except ValueError as exc:
                raise ValueError(
                    f"trusted_proxies must be addresses or networks (192.0.2.1, 10.0.0.0/8), got {network!r}"
                ) from exc
        if self.fill_weights is not None and self.keyframes is False and self.record is None:
            raise ValueError("fill_weights needs keyframes or record; nothing else has anything to fill")
        if self.prompt_controlnet is not None and self.prompt_model is None:
            raise ValueError("prompt_controlnet needs prompt_model, the inpainting model that it steers")
        _ = self.ice  # checks the ICE servers

    @property
    def ice(self) -> IceConfig:
        """The ICE servers with their credentials."""
        return IceConfig(
            urls=self.ice_servers, user=self.turn_user, credential=self.turn_credential,
            secret=self.turn_secret, lifetime_s=self.turn_lifetime_s,
        )  # fmt: skip

    @property
    def makes_references(self) -> bool:
        """Whether new references are made: `keyframes`, or if it is None and nothing else needs the fill."""
        asked = self.fill_weights is not None and self.record is None
        return with_cores(True if self.keyframes is None and asked else self.keyframes)


def with_cores(choice: bool | None) -> bool:
    """Decide on what costs frames on few processors: the user's choice, or None for the default."""
    return cores() > FEW_CORES if choice is None else choice


def _within(name: str, value: float, low: float, high: float) -> None:
    if not low <= value <= high:
        raise ValueError(f"{name} must lie in [{low}, {high}], got {value}")
