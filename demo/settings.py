"""What the app is told from outside. The only reader of environment variables."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from ipaddress import ip_address
from pathlib import Path

from demo.limits import Limits

PRESETS = ("mini", "full")
DEVICES = ("auto", "cpu", "cuda")

#: Characters of an administrator's token; below that it could be found by trying.
SHORTEST_TOKEN = 16


class SettingsError(ValueError):
    """A setting that cannot be used. The message names the setting, its value and the choices."""


@dataclass(frozen=True)
class Settings:
    """preset: model size. device: where models run ("auto": CUDA when there is one). data: the
    folder that labels and labelled clips are kept in. database_url: where the labels are kept
    instead of in that folder. label_repo: data set repository that labels and clips are copied to.

    public: strangers can reach the page; then only administrators may export, delete, settle and change
    versions. admins: their Hugging Face user names; admin_token: a secret that serves instead. sign_in:
    visitors can sign in with Hugging Face, and who they are can be trusted. behind_proxy: visitors' addresses
    are in X-Forwarded-For. zero_gpu: GPUs are lent here, for one call at a time (see zerogpu.py). Raises
    SettingsError for an unknown value.
    """

    preset: str = "mini"
    device: str = "auto"
    data: Path = Path("data")
    database_url: str | None = field(default=None, repr=False)  # may hold a password
    label_repo: str | None = None
    public: bool = False
    admins: frozenset[str] = frozenset()
    admin_token: str | None = field(default=None, repr=False)
    sign_in: bool = False
    behind_proxy: bool = False
    zero_gpu: bool = False
    limits: Limits = field(default_factory=Limits)

    def __post_init__(self) -> None:
        for name, value, choices in (
            ("preset", self.preset, PRESETS),
            ("device", self.device, DEVICES),
        ):
            if value not in choices:
                raise SettingsError(
                    f"{name} is '{value}', but must be one of: {', '.join(choices)}. "
                    f"Set --{name} or SPOOFLENS_{name.upper()}."
                )
        if self.data.exists() and not self.data.is_dir():
            raise SettingsError(
                f"The data folder '{self.data}' is a file. Set --data or SPOOFLENS_DATA to a folder."
            )
        if self.admin_token is not None and len(self.admin_token) < SHORTEST_TOKEN:
            raise SettingsError(
                f"SPOOFLENS_ADMIN_TOKEN has {len(self.admin_token)} characters, which can be guessed; "
                f"at least {SHORTEST_TOKEN} are needed. `openssl rand -hex 24` makes a good one."
            )

    @classmethod
    def from_env(cls, environ: Mapping[str, str], **given: str | None) -> "Settings":
        """Settings from SPOOFLENS_PRESET, SPOOFLENS_DEVICE, SPOOFLENS_DATA, SPOOFLENS_DATABASE_URL,
        SPOOFLENS_ADMIN, SPOOFLENS_ADMIN_TOKEN, SPOOFLENS_PUBLIC, SPOOFLENS_BEHIND_PROXY, SPOOFLENS_LIMIT_...
        and, on a Hugging Face Space (SPACE_ID is set there), SPOOFLENS_LABEL_REPO.

        `given` (preset, device, data, host, share; None: not given) comes from the command line and wins.
        An empty variable counts as not set. The page is public on a Space, when it listens on more than this
        machine, and when it is shared, unless SPOOFLENS_PUBLIC says otherwise.
        """
        values = {
            name: given.get(name) or environ.get(f"SPOOFLENS_{name.upper()}")
            for name in ("preset", "device", "data")
        }
        on_a_space = bool(environ.get("SPACE_ID"))
        public = _flag(environ, "SPOOFLENS_PUBLIC", on_a_space or _reachable(environ, **given))
        # Elsewhere Gradio only plays at it: everybody is signed in as the server's owner.
        can_sign_in = on_a_space and environ.get("SYSTEM") == "spaces"
        can_sign_in = can_sign_in and all(environ.get(f"OAUTH_CLIENT_{key}") for key in ("ID", "SECRET"))
        return cls(
            preset=values["preset"] or cls.preset,
            device=values["device"] or cls.device,
            data=Path(values["data"] or cls.data),
            database_url=environ.get("SPOOFLENS_DATABASE_URL") or None,
            # Elsewhere the disk lasts, and nothing should leave the machine.
            label_repo=(environ.get("SPOOFLENS_LABEL_REPO") or None) if on_a_space else None,
            public=public,
            admins=frozenset(environ.get("SPOOFLENS_ADMIN", "").replace(",", " ").lower().split()),
            admin_token=environ.get("SPOOFLENS_ADMIN_TOKEN") or None,
            sign_in=can_sign_in,
            behind_proxy=_flag(environ, "SPOOFLENS_BEHIND_PROXY", on_a_space),
            zero_gpu=on_a_space and environ.get("SPACES_ZERO_GPU", "").lower() in ("1", "t", "true"),
            limits=_limits(environ, public),
        )


def is_loopback(host: str) -> bool:
    """True for a name or address of this machine that no other machine can use."""
    try:
        return ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return host.lower() == "localhost"


def _reachable(
    environ: Mapping[str, str], host: str | None = None, share: str | None = None, **_: object
) -> bool:
    """What Gradio will do: it reads these two variables itself where nothing is given."""
    shared = share or environ.get("GRADIO_SHARE", "").lower() == "true"
    return bool(shared) or not is_loopback(host or environ.get("GRADIO_SERVER_NAME") or "127.0.0.1")


def _flag(environ: Mapping[str, str], name: str, usual: bool) -> bool:
    value = environ.get(name, "").lower()
    if value not in ("", "0", "1"):
        raise SettingsError(f"{name} is '{value}', but must be 1 (yes) or 0 (no).")
    return value == "1" if value else usual


def _limits(environ: Mapping[str, str], public: bool) -> Limits:
    try:
        return (Limits.public() if public else Limits()).overridden(environ)
    except ValueError as error:
        raise SettingsError(str(error)) from error
