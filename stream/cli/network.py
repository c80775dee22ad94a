"""The options of `serve` for its network: ports, addresses, relays and TLS."""

from __future__ import annotations

import argparse
import os
from pathlib import Path
from typing import Literal

from stream.cli.exits import UsageError


def options(parser: argparse.ArgumentParser) -> None:
    """Add the options."""
    parser.add_argument("--udp-ports", type=_ports, metavar="A-B", help="UDP ports for media")
    parser.add_argument("--public-address", metavar="IP", help="address to announce behind 1:1 NAT")
    parser.add_argument("--public-url", metavar="URL", help="scheme and host clients use, behind a TLS proxy")
    parser.add_argument(
        "--ice-server",
        action="append",
        default=[],
        metavar="URL",
        help="stun:HOST or turn:HOST[:PORT][?transport=tcp] to ask; may be given again; none by default",
    )
    parser.add_argument("--turn-user", metavar="NAME", help="user of the TURN servers")
    parser.add_argument(
        "--turn-credential",
        default=os.environ.get("LIVERY_TURN_CREDENTIAL"),
        metavar="TEXT",
        help="credential of that user; also $LIVERY_TURN_CREDENTIAL",
    )
    parser.add_argument(
        "--turn-secret",
        default=os.environ.get("LIVERY_TURN_SECRET"),
        metavar="TEXT",
        help="secret shared with the TURN servers, from which each session gets credentials that expire; "
        "also $LIVERY_TURN_SECRET",
    )
    parser.add_argument(
        "--osc", type=int, metavar="PORT", help="UDP port for Open Sound Control, to switch looks from a deck"
    )
    parser.add_argument(
        "--osc-host",
        default="127.0.0.1",
        metavar="IP",
        help="address of that port (default: this machine only; whoever reaches it controls the sessions)",
    )
    parser.add_argument(
        "--tls",
        nargs="+",
        metavar=("auto|CERT", "KEY"),
        help="serve https: auto for a self-signed certificate, or PEM files, loaded again when renewed",
    )


def tls_value(values: list[str] | None) -> tuple[Path, Path] | Literal["auto"] | None:
    """Read the values of --tls.

    Returns:
        Certificate and key file, "auto" for a self-signed certificate, or None for plain HTTP.

    Raises:
        UsageError: the values are neither "auto" nor two files.
    """
    if values is None:
        return None
    if values == ["auto"]:
        return "auto"
    if len(values) != 2:
        raise UsageError(f"--tls takes auto, or a certificate and its key, got {' '.join(values)}")
    return Path(values[0]), Path(values[1])


def _ports(text: str) -> tuple[int, int]:
    first, dash, last = text.partition("-")
    if not (dash and first.isdigit() and last.isdigit()):
        raise argparse.ArgumentTypeError(f"must be two ports as in 50000-50100, got {text!r}")
    return int(first), int(last)
