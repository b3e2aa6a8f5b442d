"""Errors of a mart that callers handle differently."""

from marquee.errors import BadInputError, ConfigError, TryAgainError


class NoMartError(ConfigError):
    """There is no mart yet at the URL of the settings."""


class QueryError(BadInputError):
    """The database rejects a query, because its SQL is invalid or it would write."""


class LostConnectionError(TryAgainError):
    """The connection to the server is lost. The last statement may or may not have run."""
