"""Log lines, as text or as JSON with the request and the session that they belong to."""

from __future__ import annotations

import datetime
import json
import logging
from contextvars import ContextVar
from typing import Literal

Form = Literal["text", "json"]
FORMS: tuple[Form, ...] = ("text", "json")
TEXT = "%(asctime)s %(levelname)s %(name)s: %(message)s"

# Tasks that a request begins inherit these, so that a connection's later lines name its request too.
request_id: ContextVar[str] = ContextVar("request_id", default="")
session_id: ContextVar[str] = ContextVar("session_id", default="")  # its first six characters


class JsonFormatter(logging.Formatter):
    """Formats a record as one line of JSON.

    Members: "time" (ISO 8601, UTC), "level", "logger", "message"; "request" and "session" where the line
    belongs to one; "error", the traceback, if there is one.
    """

    def format(self, record: logging.LogRecord) -> str:
        """Return the line without its end."""
        time = datetime.datetime.fromtimestamp(record.created, datetime.UTC)
        line = {
            "time": time.isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
            "request": request_id.get(),
            "session": session_id.get(),
            "error": self.formatException(record.exc_info) if record.exc_info else "",
        }
        optional = ("request", "session", "error")
        return json.dumps({key: value for key, value in line.items() if value or key not in optional})


def configure(level: str, form: Form = "text") -> None:
    """Log to standard error.

    Args:
        level: the lowest level that is logged, such as "info".
        form: "text" for people, "json" for programs.
    """
    handler = logging.StreamHandler()
    handler.setFormatter(JsonFormatter() if form == "json" else logging.Formatter(TEXT))
    logging.basicConfig(level=level.upper(), handlers=[handler])
