"""The options of `serve` and `demo`, by topic."""

from __future__ import annotations

import argparse
from pathlib import Path

from stream.cli import network
from stream.cli.shared_options import (
    faces_option,
    mark_option,
    matcher_options,
    prompt_options,
    turning_options,
)
from stream.config import MAX_LOAD, ServerConfig
from stream.logs import FORMS
from stream.storage.config import StorageConfig

DEFAULT = ServerConfig()
STORED = StorageConfig(folder=Path())


def options(parser: argparse.ArgumentParser) -> None:
    """Add the options. They stand in groups by topic, as `--help` shows them."""
    parser.set_defaults(log_level="info")
    parser.add_argument(
        "--log-format", choices=FORMS, default="text", help="log lines for people, or JSON with request ids"
    )
    parser.add_argument(
        "--drain",
        type=float,
        default=DEFAULT.drain_s,
        metavar="S",
        help="at SIGTERM, let live sessions go on for so long, and open no others (default: end at once)",
    )
    parser.add_argument(
        "--traces",
        metavar="URL",
        help="send traces of frames to an OpenTelemetry collector, as http://127.0.0.1:4318/v1/traces "
        "(extra traces)",
    )
    parser.add_argument("--host", default=DEFAULT.host, help="address to listen on, 0.0.0.0 for all")
    parser.add_argument("--port", type=int, default=DEFAULT.port, help="TCP port, 0 for any free one")
    network.options(parser)
    _access_options(parser.add_argument_group("who may connect, and how often"))
    _picture_options(parser)
    _storage_options(parser.add_argument_group("what is kept on disk"))


def _access_options(group: argparse._ArgumentGroup) -> None:
    group.add_argument("--token", help="token that opening a session needs; better set as $LIVERY_TOKEN")
    group.add_argument(
        "--allow-host",
        action="append",
        default=[],
        metavar="NAME",
        help="another name under which clients reach the server; addresses, localhost, this machine's name "
        "and the host of --public-url are always allowed",
    )
    group.add_argument(
        "--trusted-proxy",
        action="append",
        default=[],
        metavar="ADDRESS",
        help="address or network of a proxy whose X-Forwarded-For is believed; none by default",
    )
    group.add_argument(
        "--max-sessions", type=int, default=DEFAULT.max_sessions, help="largest number of sessions at a time"
    )
    group.add_argument(
        "--max-load",
        type=float,
        default=MAX_LOAD,
        metavar="SHARE",
        help="share of the processors that live sessions may use; a session that would use more is refused, "
        f"0 refuses nobody (default {MAX_LOAD:g})",
    )
    group.add_argument(
        "--opens-per-minute",
        type=int,
        default=DEFAULT.opens_per_minute,
        metavar="N",
        help="sessions that one address may open",
    )
    group.add_argument(
        "--failures-per-minute",
        type=int,
        default=DEFAULT.failures_per_minute,
        metavar="N",
        help="wrong tokens that one address may send",
    )


def _picture_options(parser: argparse.ArgumentParser) -> None:
    matcher_options(parser)
    turning_options(parser)
    faces_option(parser)
    mark_option(parser)
    parser.add_argument(
        "--fill-weights",
        type=Path,
        metavar="DIR",
        help="weights of the diffusion fill, with --keyframes or --record, or hub:OWNER/NAME of an "
        "inpainting model, or shipped: ours (default: OpenCV's fill)",
    )
    prompt_options(parser, "edit by words on the page, with")
    parser.add_argument(
        "--virtual-camera",
        action="store_true",
        help="feed this machine's virtual camera from the first session that sends pictures (extra obs)",
    )
    parser.add_argument(
        "--bitrate",
        type=_bitrate,
        default=DEFAULT.bitrate_bps,
        metavar="BPS",
        help="bit rate of the edited stream at its start, e.g. 2500k",
    )


def _storage_options(group: argparse._ArgumentGroup) -> None:
    group.add_argument(
        "--record",
        type=Path,
        metavar="DIR",
        help="record every session here: live.mp4 as it was sent, refined.mp4 made anew with time to spare",
    )
    group.add_argument("--record-asked", action="store_true", help="record only when the page says so")
    group.add_argument(
        "--record-mib",
        type=int,
        default=DEFAULT.record_mib,
        metavar="MIB",
        help="largest size of all recordings",
    )
    group.add_argument(
        "--data",
        type=Path,
        metavar="DIR",
        help="where sessions, looks and tokens are kept over a restart (default: the user's data folder)",
    )
    group.add_argument("--no-store", action="store_true", help="keep sessions in memory only")
    group.add_argument(
        "--keep-days",
        type=float,
        default=STORED.keep_days,
        metavar="N",
        help="delete sessions unused for longer",
    )
    group.add_argument(
        "--data-mib",
        type=int,
        default=STORED.max_mib,
        metavar="MIB",
        help="largest size of all stored sessions",
    )


def cluster_options(group: argparse._ArgumentGroup) -> None:
    """Add the options of a cluster."""
    group.add_argument(
        "--cluster",
        nargs="?",
        const="",
        metavar="ADDRESS",
        help="run media hosts on the Ray cluster at HOST:PORT, or auto for the one of this machine; without "
        "ADDRESS start Ray here. Needs --data on storage that all nodes share, or --no-store",
    )
    group.add_argument(
        "--hosts", type=int, metavar="N", help="number of media hosts (default: one on each node)"
    )
    group.add_argument(
        "--host-cpus",
        type=int,
        metavar="N",
        help="processors of a media host (default: those of the smallest node, but for --fill-hosts)",
    )
    group.add_argument(
        "--fill-hosts",
        type=int,
        default=0,
        metavar="N",
        help="fill workers of one processor each that all media hosts share (default: one beside each host)",
    )


def _bitrate(text: str) -> int:
    scale = {"k": 1_000, "m": 1_000_000}.get(text[-1:].lower(), 1)
    try:
        return round(float(text[:-1] if scale > 1 else text) * scale)
    except ValueError:
        raise argparse.ArgumentTypeError(
            f"must be bits per second as in 2500k or 2.5M, got {text!r}"
        ) from None
