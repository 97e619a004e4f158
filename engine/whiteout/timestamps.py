"""Times as RFC 3339 text in UTC, without ``datetime``: most commands start without its import."""

from __future__ import annotations

import time


def rfc3339(seconds: int) -> str:
    """*seconds* since 1970, to the second."""
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(seconds))


def now() -> str:
    """The time of this moment, to the nanosecond."""
    seconds, nanoseconds = divmod(time.time_ns(), 1_000_000_000)
    return f"{rfc3339(seconds)[:-1]}.{nanoseconds:09}Z"
