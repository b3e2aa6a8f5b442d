"""Failures of a mart that its callers tell apart."""

from marquee.errors import BadInputError, ConfigError, TryAgainError


class NoMartError(ConfigError):
    """There is no mart yet where the settings say."""


class QueryError(BadInputError):
    """The database refuses a query: its SQL is wrong, or it would write."""


class LostConnectionError(TryAgainError):
    """The connection to the server is gone; what it was asked last may have been done or not."""
