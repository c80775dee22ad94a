"""JSON that came from outside."""

from __future__ import annotations

import json
from typing import Any

from stream.errors import RequestError


def read_json(text: str | bytes, what: str) -> Any:
    """The value that a text holds.

    Args:
        text: JSON; as bytes UTF-8, UTF-16 or UTF-32.
        what: names it for the error, "the body".

    Raises:
        RequestError: not JSON, nested too deeply, or a number of too many digits.
    """
    try:
        return json.loads(text)
    except (json.JSONDecodeError, UnicodeDecodeError) as exc:
        raise RequestError(f"{what} is not JSON: {exc}") from exc
    except RecursionError as exc:
        raise RequestError(f"{what} is not JSON that can be read: it is nested too deeply") from exc
    except ValueError as exc:
        raise RequestError(f"{what} is not JSON that can be read: a number has too many digits") from exc
