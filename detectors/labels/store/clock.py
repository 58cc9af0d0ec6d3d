"""UTC times as they are kept: ISO 8601 to the microsecond, never the same twice in one process."""

import threading
from datetime import UTC, datetime, timedelta

_STEP = timedelta(microseconds=1)
_lock = threading.Lock()
_last = datetime.min.replace(tzinfo=UTC)


def now() -> str:
    """The time, later than every time given before: rows are put in order by it."""
    global _last
    with _lock:
        _last = max(datetime.now(UTC), _last + _STEP)
        return _last.isoformat(timespec="microseconds").replace("+00:00", "Z")
