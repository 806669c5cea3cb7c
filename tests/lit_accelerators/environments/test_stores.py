import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest
from torch.distributed import HashStore

from lit_accelerators.environments._stores import agreed_name

SHORT = timedelta(seconds=0.2)


def attempt(store: HashStore, ranks: list[int], world_size: int, timeout: timedelta) -> list[str]:
    """What each of the processes, imitated by a thread, agrees on."""
    with ThreadPoolExecutor(len(ranks)) as pool:
        return list(pool.map(lambda rank: agreed_name(store, rank, world_size, timeout), ranks))


def test_all_processes_agree_on_one_name_and_the_next_attempt_on_another() -> None:
    store = HashStore()

    first, second = (attempt(store, [0, 1, 2, 3], 4, timedelta(seconds=20)) for _ in range(2))

    assert len(set(first)) == len(set(second)) == 1
    assert first[0] != second[0]


@pytest.mark.parametrize("died", [[1], [1, 3], [0]], ids=str)
def test_what_the_dead_left_disturbs_nobody(died: list[int]) -> None:
    """Some processes of the first attempt say hello, or are the first, and never meet the others."""
    store = HashStore()
    for rank in died:
        with pytest.raises((TimeoutError, RuntimeError)):
            agreed_name(store, rank, 4, SHORT)

    names = attempt(store, [0, 1, 2, 3], 4, timedelta(seconds=20))

    assert len(set(names)) == 1


def test_one_that_comes_late_is_waited_for_and_one_that_never_comes_is_missed() -> None:
    store, names = HashStore(), []
    late = threading.Timer(0.3, lambda: names.append(agreed_name(store, 1, 2, timedelta(seconds=20))))
    late.start()
    names.append(agreed_name(store, 0, 2, timedelta(seconds=20)))
    late.join()

    assert names[0] == names[1]
    with pytest.raises(TimeoutError, match="1 of 2 processes have not come"):
        agreed_name(store, 0, 2, SHORT)
