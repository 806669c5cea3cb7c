"""Loggers by name; other packages add theirs by the entry-point group ``lit_loggers.loggers``."""

from typing import Any

from lit_loggers.logger import Logger

GROUP = "lit_loggers.loggers"


def get_logger(name: str, /, **kwargs: Any) -> Logger:
    """A new logger of the kind registered as ``name``, made with ``kwargs``.

    Raises:
        ValueError: If no such name is registered, naming those that are.
        TypeError: If what is registered makes no :class:`Logger`, or does not take ``kwargs``.

    Example:
        >>> import tempfile
        >>> get_logger("csv", save_dir=tempfile.mkdtemp(), name="digits").name
        'digits'
    """
    from importlib.metadata import entry_points  # slow to import, and most programs name a class

    registered = entry_points(group=GROUP)
    if name not in registered.names:
        raise ValueError(f"No logger is registered as {name!r}; there is: {', '.join(sorted(registered.names))}.")
    logger = registered[name].load()(**kwargs)
    if not isinstance(logger, Logger):
        raise TypeError(f"The logger registered as {name!r} makes {logger!r}, which is no lit_loggers.Logger.")
    return logger
