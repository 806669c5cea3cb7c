"""What users write for ``devices=``, turned into a number or indices."""

from collections.abc import Sequence


def parse_count_or_indices(devices: int | str | Sequence[int]) -> int | list[int] | None:
    """Return a count (``-1`` for all), a list of indices, or None for ``"auto"``.

    Raises:
        ValueError: if it is none of these, or the indices are empty, negative or repeated.
    """
    help_text = "Write a number (devices=2), indices (devices=[0, 2] or devices='0,2'), -1 for all, or 'auto'."
    if isinstance(devices, str):
        text = devices.strip()
        if text == "auto":
            return None
        try:
            parsed: int | list[int] = (
                [int(part) for part in text.split(",") if part.strip()] if "," in text else int(text)
            )
        except ValueError:
            raise ValueError(f"devices={devices!r} is no number and no list of indices. {help_text}") from None
    elif isinstance(devices, bool):
        raise ValueError(f"devices={devices!r} is no number of devices. {help_text}")
    elif isinstance(devices, int):
        parsed = devices
    elif isinstance(devices, Sequence) and all(type(index) is int for index in devices):
        parsed = [int(index) for index in devices]
    else:
        raise ValueError(f"devices={devices!r} is no number and no list of indices. {help_text}")
    if isinstance(parsed, int):
        if parsed < 1 and parsed != -1:
            raise ValueError(f"devices={devices!r}: at least one device is needed. {help_text}")
        return parsed
    if not parsed or min(parsed) < 0 or len(set(parsed)) != len(parsed):
        raise ValueError(f"devices={devices!r}: indices must be given, not negative and not repeated. {help_text}")
    return parsed


def choose_indices(devices: int | str | Sequence[int], *, count: int, kind: str) -> list[int]:
    """Indices among ``count`` existing devices of a ``kind`` whose devices are told apart by index.

    Raises:
        ValueError: if fewer devices exist than asked for, or an index does not exist.
    """
    if count == 0:
        raise ValueError(
            f"devices={devices!r} with accelerator={kind!r}, but no {kind} device is visible. "
            "Write accelerator='cpu', or accelerator='auto' for what there is."
        )
    chosen = parse_count_or_indices(devices)
    if chosen is None or chosen == -1:
        return list(range(count))
    indices = list(range(chosen)) if isinstance(chosen, int) else chosen
    if max(indices) >= count:
        raise ValueError(
            f"devices={devices!r} with accelerator={kind!r}, but {count} {kind} device(s) are visible "
            f"(indices 0 to {count - 1}). Write devices={count}, or devices='auto' for all of them."
        )
    return indices
