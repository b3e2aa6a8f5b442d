"""marquee/settings/names.txt: the environment variable of every setting, one a line."""

from jobs.registry import JOBS
from marquee.settings.sections import setting_names


def names() -> str:
    """Return the text of the file."""
    return "".join(
        f"{name}\n"
        for name in sorted({name for kind in [job.settings for job in JOBS] for name in setting_names(kind)})
    )
