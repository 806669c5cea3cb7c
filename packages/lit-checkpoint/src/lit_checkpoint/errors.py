"""What can be wrong with a checkpoint, beyond the errors of the file system."""


class CheckpointCorruptError(RuntimeError):
    """What is at the path is damaged, or was never a checkpoint; the message says what and where.

    It is not an ``OSError``: trying the same read again does not help, another checkpoint does.

    Example:
        >>> import pathlib, tempfile
        >>> from lit_checkpoint import load
        >>> path = pathlib.Path(tempfile.mkdtemp(), "model.ckpt")
        >>> _ = path.write_bytes(b"")
        >>> load(path)
        Traceback (most recent call last):
        ...
        lit_checkpoint.errors.CheckpointCorruptError: ...model.ckpt: the file is empty.
    """
