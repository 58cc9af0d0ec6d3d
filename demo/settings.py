"""What the app is told from outside. The only reader of environment variables."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

PRESETS = ("mini", "full")
DEVICES = ("auto", "cpu", "cuda")


class SettingsError(ValueError):
    """A setting that cannot be used. The message names the setting, its value and the choices."""


@dataclass(frozen=True)
class Settings:
    """preset: model size. device: where models run ("auto": CUDA when there is one). data: the
    folder that labels and labelled clips are kept in. database_url: where the labels are kept
    instead of in that folder. label_repo: data set repository that labels and clips are copied to.
    Raises SettingsError for an unknown value.
    """

    preset: str = "mini"
    device: str = "auto"
    data: Path = Path("data")
    database_url: str | None = field(default=None, repr=False)  # may hold a password
    label_repo: str | None = None

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

    @classmethod
    def from_env(cls, environ: Mapping[str, str], **given: str | None) -> "Settings":
        """Settings from SPOOFLENS_PRESET, SPOOFLENS_DEVICE, SPOOFLENS_DATA, SPOOFLENS_DATABASE_URL and,
        on a Hugging Face Space (SPACE_ID is set there), SPOOFLENS_LABEL_REPO.

        `given` (preset, device, data; None: not given) comes from the command line and wins.
        An empty variable counts as not set.
        """
        values = {
            name: given.get(name) or environ.get(f"SPOOFLENS_{name.upper()}")
            for name in ("preset", "device", "data")
        }
        return cls(
            preset=values["preset"] or cls.preset,
            device=values["device"] or cls.device,
            data=Path(values["data"] or cls.data),
            database_url=environ.get("SPOOFLENS_DATABASE_URL") or None,
            # Elsewhere the disk lasts, and nothing should leave the machine.
            label_repo=(environ.get("SPOOFLENS_LABEL_REPO") or None) if environ.get("SPACE_ID") else None,
        )
