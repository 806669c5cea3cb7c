import errno
import os
import stat
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch

from lit_checkpoint import load, save, storage
from lit_checkpoint.storage import LocalStorage, RemoteStorage, is_partial

# Enough for every call that one save makes; the loops below stop at the first save that meets no fault.
MOST_CALLS = 100


def partials(folder):
    return [path.name for path in folder.iterdir() if is_partial(path.name)]


@pytest.mark.parametrize("code", [errno.EIO, errno.ENOSPC, errno.EACCES])
def test_failure_of_any_call_raises_keeps_the_old_file_and_leaves_no_litter(
    tmp_path, faulty_os, code, make_state, assert_state
):
    path = tmp_path / "model.ckpt"
    save(make_state(1), path)
    tried = []
    for fail_at in range(1, MOST_CALLS):
        fake = faulty_os(fail_at, code=code)
        error = None
        try:
            save(make_state(2, size=40_000), path)
        except OSError as raised:
            error = raised
        if error is None:
            break
        assert error.errno == code
        tried.append(fake.calls[fail_at - 1])
        # Once renamed, only the flush of the folder is left to fail.
        assert_state(load(path), 2 if "replace" in fake.calls[: fail_at - 1] else 1)
        assert partials(tmp_path) == []
        faulty_os(0)
        save(make_state(1), path)
    assert {"open", "write", "fsync", "close", "replace"} <= set(tried)


@pytest.mark.parametrize("old", [True, False], ids=["over an old file", "first"])
def test_death_at_any_call_leaves_the_old_file_or_the_new_one_complete(
    tmp_path, faulty_os, monkeypatch, old, make_state, assert_state, killed
):
    path = tmp_path / "model.ckpt"
    deaths = 0
    for fail_at in range(1, MOST_CALLS):
        monkeypatch.undo()
        path.unlink(missing_ok=True)
        if old:
            save(make_state(1), path)
        faulty_os(fail_at, dead=True)
        try:
            save(make_state(2, size=40_000), path)
        except killed:
            deaths += 1
        else:
            break
        monkeypatch.undo()
        if path.exists():
            found = load(path)
            assert_state(found, found["global_step"])
        else:
            assert not old
    assert deaths >= 8


def test_file_is_flushed_before_the_rename_and_its_folder_after(tmp_path, faulty_os, make_state):
    fake = faulty_os(0)
    save(make_state(1), tmp_path / "a.ckpt")
    assert fake.calls[-6:] == ["fsync", "replace", "close", "open", "fsync", "close"]


def test_who_cleans_up_before_a_new_file_is_locked_does_not_break_the_write(tmp_path, monkeypatch):
    """Another writer's ``remove_litter`` in the same folder finds the file that was made and is not locked yet."""
    lock, cleaned = storage._lock, []

    def lock_late(descriptor):
        if not cleaned:
            cleaned.extend(partials(tmp_path))
            LocalStorage().remove_litter(str(tmp_path))
        lock(descriptor)

    monkeypatch.setattr(storage, "_lock", lock_late)
    LocalStorage().write_text(str(tmp_path / "index.json"), "whole")

    assert len(cleaned) == 1
    assert (tmp_path / "index.json").read_text() == "whole"
    assert partials(tmp_path) == []


@pytest.mark.skipif(os.name == "nt", reason="needs locks")
def test_who_cleans_up_before_a_finished_file_has_its_name_does_not_break_the_write(tmp_path, monkeypatch):
    replace, cleaned = os.replace, []

    def replace_late(source, target):
        cleaned.extend(partials(tmp_path))
        LocalStorage().remove_litter(str(tmp_path))
        replace(source, target)

    monkeypatch.setattr(os, "replace", replace_late)
    LocalStorage().write_text(str(tmp_path / "index.json"), "whole")

    assert len(cleaned) == 1
    assert (tmp_path / "index.json").read_text() == "whole"


def test_litter_of_a_dead_writer_is_removed_and_the_file_of_a_live_one_is_not(tmp_path):
    code = """
import os, sys
from lit_checkpoint.storage import LocalStorage
def produce(sink):
    sink.write(b"x" * 100_000)
    print("writing", flush=True)
    sys.stdin.read()
LocalStorage().write(sys.argv[1], produce, num_bytes=0)
"""
    writer = subprocess.Popen(
        [sys.executable, "-c", code, tmp_path / "a.ckpt"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    with writer:
        assert writer.stdout.readline() == "writing\n"
        LocalStorage().remove_litter(str(tmp_path))
        assert len(partials(tmp_path)) == 1
        writer.kill()
        writer.wait()
    assert len(partials(tmp_path)) == 1
    LocalStorage().remove_litter(str(tmp_path))
    assert list(tmp_path.iterdir()) == []


def test_too_little_space_is_found_before_anything_is_written(tmp_path, monkeypatch, make_state, assert_state):
    path = tmp_path / "model.ckpt"
    save(make_state(1), path)
    monkeypatch.setattr(storage.shutil, "disk_usage", lambda folder: SimpleNamespace(free=2_000_000))
    monkeypatch.setattr(storage.os, "open", None)
    with pytest.raises(OSError, match=r"Not enough space: 8\.\d MB are needed and 2\.0 MB are free") as error:
        save(make_state(2, size=1_000_000), path)
    assert error.value.errno == errno.ENOSPC
    monkeypatch.undo()
    assert_state(load(path), 1)


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
def test_a_really_full_device_raises_the_systems_own_error(make_state):
    descriptor = os.open("/dev/full", os.O_WRONLY)
    sink = storage._LocalSink(descriptor)
    torch.save(make_state(1, size=100_000), sink)
    with pytest.raises(OSError, match="No space left on device"):
        sink.close()
    os.close(descriptor)


@pytest.mark.skipif(os.name == "nt", reason="permissions work otherwise there")
def test_a_folder_that_may_not_be_written_raises(tmp_path, make_state):
    locked = tmp_path / "locked"
    locked.mkdir()
    locked.chmod(stat.S_IRUSR | stat.S_IXUSR)
    try:
        if os.access(locked, os.W_OK):
            pytest.skip("this user may write everywhere")
        with pytest.raises(PermissionError):
            save(make_state(1), locked / "model.ckpt")
    finally:
        locked.chmod(stat.S_IRWXU)


@pytest.mark.parametrize("fail_at", [1, 2, 3])
def test_a_flush_that_fails_while_later_ones_succeed_is_not_missed(
    tmp_path, monkeypatch, fail_at, make_state, assert_state
):
    path = tmp_path / "model.ckpt"
    save(make_state(1), path)
    flushes = []

    def flush(descriptor):
        flushes.append(descriptor)
        if len(flushes) == fail_at:
            raise OSError(errno.EIO, "Input/output error")  # which the system does not repeat

    monkeypatch.setattr(storage, "_FLUSH_EVERY", 1 << 17)
    monkeypatch.setattr(storage.os, "fsync", flush)
    with pytest.raises(OSError, match="Input/output error"):
        save({"parts": [torch.zeros(100_000) for _ in range(50)]}, path)
    assert len(flushes) >= fail_at
    monkeypatch.undo()
    assert partials(tmp_path) == []
    if fail_at == 1:
        assert_state(load(path), 1)


def test_a_failure_between_flushes_waits_for_them_before_the_file_is_closed(tmp_path, monkeypatch):
    open_at_end = []

    def flush(descriptor):
        time.sleep(0.05)
        open_at_end.append(os.fstat(descriptor).st_size >= 0)

    def produce(sink):
        sink.write(bytes(1 << 17))
        raise ValueError("in the middle")

    monkeypatch.setattr(storage, "_FLUSH_EVERY", 1 << 16)
    monkeypatch.setattr(storage.os, "fsync", flush)
    with pytest.raises(ValueError, match="in the middle"):
        LocalStorage().write(str(tmp_path / "a"), produce, num_bytes=0)
    assert open_at_end == [True]
    assert list(tmp_path.iterdir()) == []


def test_saved_file_has_the_permissions_of_any_new_file(tmp_path, make_state):
    save(make_state(1), tmp_path / "a.ckpt")
    (tmp_path / "plain").write_bytes(b"")
    assert (tmp_path / "a.ckpt").stat().st_mode == (tmp_path / "plain").stat().st_mode


def test_longest_names_work(tmp_path, make_state, assert_state):
    path = tmp_path / ("n" * 250 + ".ckpt")
    save(make_state(1), path)
    assert_state(load(path), 1)


class BrokenUpload:
    """An upload that fails at its n-th call, as fsspec's object stores show it."""

    def __init__(self, store, target, fail_at):
        self.store, self.target, self.fail_at = store, target, fail_at
        self.parts, self.count = [], 0

    def step(self):
        self.count += 1
        if self.count == self.fail_at:
            raise ConnectionError("the network went away")

    def write(self, data):
        self.step()
        self.parts.append(data)

    def close(self):
        self.step()

    def commit(self):
        self.step()
        self.store.objects[self.target] = b"".join(self.parts)

    def discard(self):
        self.store.discarded += 1


class ObjectStore:
    protocol = ("s3", "s3a")

    def __init__(self, fail_at=0):
        self.objects = {"bucket/model.ckpt": b"old"}
        self.fail_at = fail_at
        self.discarded = 0

    def open(self, target, mode, autocommit):
        assert (mode, autocommit) == ("wb", False)
        return BrokenUpload(self, target, self.fail_at)

    def size(self, target):
        return len(self.objects[target])

    def invalidate_cache(self):
        pass


def test_upload_to_an_object_store_shows_whole_or_not_at_all(monkeypatch):
    def produce(sink):
        for part in (b"new ", b"object"):
            sink.write(memoryview(part))

    failures = 0
    for fail_at in range(1, 10):
        store = ObjectStore(fail_at)
        monkeypatch.setattr(storage, "_filesystem", lambda path, store=store: (store, "bucket/model.ckpt"))
        try:
            RemoteStorage().write("s3://bucket/model.ckpt", produce, num_bytes=10)
        except ConnectionError:
            failures += 1
            assert store.objects == {"bucket/model.ckpt": b"old"}
            assert store.discarded == 1
        else:
            assert store.objects == {"bucket/model.ckpt": b"new object"}
            break
    assert failures == 4


def test_store_that_lost_bytes_is_noticed(monkeypatch):
    store = ObjectStore()
    store.size = lambda target: 3
    monkeypatch.setattr(storage, "_filesystem", lambda path: (store, "bucket/model.ckpt"))
    with pytest.raises(OSError, match="holds 3 bytes where 10 were written"):
        RemoteStorage().write("s3://bucket/model.ckpt", lambda sink: sink.write(b"new object"), num_bytes=10)
