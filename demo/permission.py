"""What a visitor may do: all on their own machine; on a public page, some things as administrator only."""

import hashlib
import hmac
import secrets
import threading
import time
from collections.abc import Callable

from demo import messages
from demo.limits import Budget
from demo.settings import Settings
from demo.visitor import Visitor, present_visitor
from detectors.errors import DetectorError

#: Seconds for which a visit that gave the token counts as an administrator's.
REMEMBERED = 2 * 3600
#: Most visits that are remembered; they are few, and only the token makes one.
VISITS = 1000
#: Room for a name before the mark of a guest: labels take 80 characters.
NAME = 60


class NotAllowedError(DetectorError):
    """Somebody asked for what is not theirs. The message says who may."""


class Permission:
    """Decides by the settings and by who asks. One per app; thread-safe.

    who: the visitor whose request is being answered, None where there is no request.
    """

    def __init__(
        self,
        settings: Settings,
        who: Callable[[Settings], Visitor | None] = present_visitor,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.settings, self.budget = settings, Budget(settings.limits, clock)
        self._who, self._clock = who, clock
        self._secret = secrets.token_bytes(16)
        self._opened: dict[tuple[str, str], float] = {}
        self._lock = threading.Lock()

    # ---- administrators

    def is_admin(self) -> bool:
        """True when whoever asks may export, delete, settle disagreements and change versions."""
        if not self.settings.public:
            return True
        visitor = self._who(self.settings)
        if visitor is None:  # nobody to hold responsible
            return False
        if visitor.user and visitor.user.lower() in self.settings.admins:
            return True
        return self._opened_by(visitor) or (bool(visitor.token) and self._is_token(visitor.token, visitor))

    def require_admin(self) -> None:
        """NotAllowedError, with the way to get there, unless an administrator asks."""
        if not self.is_admin():
            can_be = self.settings.admins or self.settings.admin_token
            raise NotAllowedError(messages.ADMIN_ONLY if can_be else messages.NO_ADMIN)

    def open(self, token: str) -> bool:
        """Take this visit for an administrator's from now on, if the token is right."""
        visitor = self._who(self.settings)
        if visitor is None or not visitor.session or not self._is_token(token, visitor):
            return False
        with self._lock:
            self._opened = {visit: end for visit, end in self._opened.items() if end > self._clock()}
            while len(self._opened) >= VISITS:
                self._opened.pop(next(iter(self._opened)))
            self._opened[visitor.session, visitor.address] = self._clock() + REMEMBERED
        return True

    # ---- everybody

    def spend(self, kind: str, amount: int = 1) -> None:
        """Count something that the visitor asks for. LimitError when they have had their share of it."""
        visitor = self._who(self.settings)
        if visitor:
            self.budget.spend(kind, visitor.address, amount)

    def annotator(self, typed: str) -> str:
        """The name under which whoever asks keeps labels. Nobody gets another person's by typing it.

        On one's own machine, and for administrators, it is what they typed. Elsewhere it is the name that
        they signed in with; where nobody can sign in, what they typed with a mark of where they come from.
        """
        visitor = self._who(self.settings)
        if not self.settings.public or not isinstance(typed, str):  # the store refuses what is no text
            return typed
        if visitor and visitor.user:
            return visitor.user
        if self.is_admin():
            return typed
        if self.settings.sign_in or visitor is None:
            raise NotAllowedError(messages.SIGN_IN_TO_LABEL)
        code = hmac.digest(self._secret, visitor.address.encode(), "sha256").hex()[:6]
        name = typed.strip()[:NAME]
        return name + messages.GUEST.format(code=code) if name else ""  # without a name there is no label

    # ---- inside

    def _opened_by(self, visitor: Visitor) -> bool:
        with self._lock:
            return self._opened.get((visitor.session, visitor.address), 0.0) > self._clock()

    def _is_token(self, token: str, visitor: Visitor) -> bool:
        """Compared in constant time; each visitor may be wrong a few times only."""
        right = self.settings.admin_token
        if not right or not isinstance(token, str):
            return False
        if hmac.compare_digest(_digest(token), _digest(right)):
            return True
        self.budget.spend("guesses", visitor.address)
        return False


def _digest(text: str) -> bytes:
    return hashlib.sha256(text.encode()).digest()
