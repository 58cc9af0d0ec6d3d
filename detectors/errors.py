"""The one exception whose message may be shown to a user."""


class DetectorError(Exception):
    """Something a person can mend: a bad file, a missing model, a wrong argument.

    The message says what happened, names the limit and the next step. Any other
    exception is a bug and keeps its traceback.
    """
