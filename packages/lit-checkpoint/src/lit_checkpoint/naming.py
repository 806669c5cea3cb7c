"""Names of checkpoint files from a template."""

import re
from collections.abc import Mapping

SUFFIX = ".ckpt"
COMMIT = ".metadata"
"""In a folder that holds one checkpoint: names the parts, in the format of torch. Without it there is no checkpoint."""

_FIELD = re.compile(r"\{([^{}:]+)(?::([^{}]*))?\}")
_UNSAFE = re.compile(r'[/\\<>:"|?*\x00-\x1f]+')


def check_template(template: str) -> None:
    """Refuse a template that could not become a file name.

    Raises:
        ValueError: If it is empty, names a folder, starts with a dot, or is a word that the manager uses itself.
    """
    if not template or template.startswith(".") or template.removesuffix(SUFFIX) in {"", "best", "last", "index.json"}:
        raise ValueError(f"filename={template!r} cannot be used; give a template such as '{{epoch}}-{{step}}'.")
    if "/" in _FIELD.sub("", template) or "\\" in _FIELD.sub("", template):
        raise ValueError(f"filename={template!r} names a folder; put folders into dirpath.")


def format_name(template: str, values: Mapping[str, float], *, with_names: bool = True) -> str:
    """Fill a template: each ``{name}`` becomes ``name=value``, and ``.ckpt`` ends it.

    A ``/`` in a name of a metric becomes ``_``, as do other characters that file systems refuse.

    Args:
        template: With fields such as ``{step}`` or, with Python's format specification, ``{val_loss:.3f}``.
        values: What the fields may name.
        with_names: ``False`` puts the values alone in.

    Raises:
        ValueError: If a field names something that is not in ``values``, naming what is, or has a bad specification.

    Example:
        >>> format_name("{epoch}-{step}-{val/loss:.3f}", {"epoch": 3, "step": 120, "val/loss": 0.12345})
        'epoch=3-step=120-val_loss=0.123.ckpt'
    """

    def fill(match: re.Match[str]) -> str:
        name, spec = match[1].strip(), match[2] or ""
        if name not in values:
            there = ", ".join(sorted(values)) or "nothing"
            raise ValueError(f"The file name {template!r} asks for {name!r}, which is not there. There is: {there}.")
        try:
            text = format(values[name], spec)
        except ValueError as error:
            raise ValueError(f"The file name {template!r} cannot format {name}={values[name]!r}: {error}.") from None
        text = _UNSAFE.sub("_", text)
        return f"{_UNSAFE.sub('_', name)}={text}" if with_names else text

    return _FIELD.sub(fill, template).removesuffix(SUFFIX) + SUFFIX


def numbered(name: str, number: int) -> str:
    """The ``number``-th name beside one that is taken.

    Example:
        >>> numbered("model.ckpt", 1)
        'model-v1.ckpt'
    """
    return f"{name.removesuffix(SUFFIX)}-v{number}{SUFFIX}"
