"""marquee/settings/names.txt: the environment variable of every setting, one a line."""

from jobs.registry import SETTINGS
from marquee.settings.sections import setting_names


def names() -> str:
    """Return the text of the file."""
    return "".join(f"{name}\n" for name in sorted({name for kind in SETTINGS for name in setting_names(kind)}))
