"""Reads JSON that comes from outside."""

from __future__ import annotations

import json
from typing import Any

from stream.errors import RequestError

EXACT = 2**53  # up to here a float holds each whole number


def read_json(text: str | bytes, what: str) -> Any:
    """Parse a text. A whole number is an int however it is written: 2.0 is 2, as in JSON Schema.

    Args:
        text: JSON. Bytes are UTF-8, UTF-16 or UTF-32.
        what: what the error calls it, for example "the body".

    Raises:
        RequestError: the text is not JSON, is nested too deeply, or has a number of too many digits.
    """
    try:
        return json.loads(text, parse_float=_number)
    except (json.JSONDecodeError, UnicodeDecodeError) as exc:
        raise RequestError(f"{what} is not JSON: {exc}") from exc
    except RecursionError as exc:
        raise RequestError(f"{what} is not JSON that can be read: it is nested too deeply") from exc
    except ValueError as exc:
        raise RequestError(f"{what} is not JSON that can be read: a number has too many digits") from exc


def _number(text: str) -> float:
    value = float(text)
    return int(value) if value.is_integer() and abs(value) <= EXACT else value
