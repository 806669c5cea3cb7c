import multiprocessing

import pytest

from lit_loggers.folder import RunFolder


def claim(save_dir):
    return RunFolder(save_dir, "run", None).version


def test_processes_that_claim_at_once_get_different_versions(tmp_path):
    with multiprocessing.get_context("forkserver").Pool(4) as pool:
        versions = pool.map(claim, [str(tmp_path)] * 40, chunksize=1)
    assert sorted(versions) == list(range(40))


@pytest.mark.parametrize("other", ["version_x", "version_3.txt", "myversion_9", "version_-4"])
def test_other_names_do_not_count_as_versions(tmp_path, other):
    (tmp_path / "run" / other).mkdir(parents=True)
    assert claim(tmp_path) == 0
