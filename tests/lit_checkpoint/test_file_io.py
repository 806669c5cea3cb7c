import io
import itertools
import pickle
import random
import subprocess
import sys
import threading
import zipfile

import numpy as np
import pytest
import torch

from lit_checkpoint import CheckpointCorruptError, FileCheckpointIO, load, save, verify
from lit_checkpoint.container import read_directory


@pytest.fixture
def path(tmp_path, make_state):
    path = tmp_path / "model.ckpt"
    save(make_state(1), path)
    return path


def test_plain_torch_load_reads_what_save_wrote(path, assert_state):
    assert_state(torch.load(path, weights_only=True), 1)


def test_load_reads_what_torch_save_wrote(tmp_path, make_state, assert_state):
    torch.save(make_state(2), tmp_path / "a.ckpt")
    assert_state(load(tmp_path / "a.ckpt"), 2)
    verify(tmp_path / "a.ckpt")


def test_tensors_of_every_dtype_shape_and_layout_come_back_bit_for_bit(tmp_path):
    dtypes = [torch.float64, torch.float16, torch.bfloat16, torch.int8, torch.int64, torch.bool, torch.complex64]
    state = {str(dtype): torch.randn(3, 4).to(dtype) for dtype in dtypes}
    state |= {"empty": torch.empty(0, 3), "scalar": torch.tensor(2.5), "strided": torch.arange(12).view(3, 4).t()}
    state |= {"large": torch.randn(3_000_001), "nan": torch.tensor([float("nan"), float("-inf")])}
    save(state, tmp_path / "a.ckpt")
    found = load(tmp_path / "a.ckpt")
    assert list(found) == list(state)
    for name, tensor in state.items():
        assert found[name].dtype == tensor.dtype
        assert found[name].stride() == tensor.stride()
        torch.testing.assert_close(found[name], tensor, rtol=0, atol=0, equal_nan=True)


def test_tensors_that_share_memory_still_do(tmp_path):
    base = torch.zeros(10)
    save({"a": base, "b": base[2:4]}, tmp_path / "a.ckpt")
    found = load(tmp_path / "a.ckpt")
    found["a"][2] = 7.0
    assert found["b"][0] == 7.0


def test_every_truncation_is_noticed(path):
    content = path.read_bytes()
    for length in {*range(0, len(content), 13), *range(len(content) - 80, len(content))}:
        path.write_bytes(content[:length])
        for read in (load, verify):
            with pytest.raises(CheckpointCorruptError, match=r"model\.ckpt: "):
                read(path)


def test_a_flipped_bit_is_noticed_or_harmless(path, assert_state):
    content = path.read_bytes()
    with zipfile.ZipFile(path) as archive:
        directory = archive.start_dir
    chance = random.Random(0)
    places = [(position, chance.randrange(8)) for position in range(0, directory, 7)]
    # More of the directory: what stands there steers how torch reads the rest.
    places += chance.sample(list(itertools.product(range(directory, len(content)), range(8))), 1000)
    noticed = 0
    for position, bit in places:
        damaged = bytearray(content)
        damaged[position] ^= 1 << bit
        path.write_bytes(damaged)
        try:
            found = load(path)
        except CheckpointCorruptError:
            noticed += 1
        else:
            assert_state(found, 1)
    assert noticed > len(places) / 2


def test_a_tensor_marked_as_a_folder_is_noticed(path):
    # One bit of the directory makes torch.load skip the bytes and hand out uninitialised memory.
    content = bytearray(path.read_bytes())
    entry = content.index(b"PK\x01\x02", content.rindex(b"archive/data/0") - 60)
    content[entry + 38] ^= 0x10
    path.write_bytes(content)
    with pytest.raises(CheckpointCorruptError, match="'archive/data/0' is marked as a folder"):
        load(path)


def test_a_flipped_bit_in_any_tensor_is_noticed_and_named(path):
    content = path.read_bytes()
    with path.open("rb") as file:
        records = [(r.name, r.offset, r.size) for r in read_directory(file, "") if r.is_tensor_data]
    assert len(records) == 3
    for name, offset, size in records:
        for position in (offset, offset + size // 2, offset + size - 1):
            damaged = bytearray(content)
            damaged[position] ^= 0x10
            path.write_bytes(damaged)
            assert torch.load(path, weights_only=True), "plain torch.load does not notice, which is why we check"
            for read in (load, verify):
                with pytest.raises(CheckpointCorruptError, match=f"record '{name}' .* is damaged: its CRC-32"):
                    read(path)


def test_a_page_of_zeros_in_a_large_tensor_is_noticed(tmp_path):
    path = tmp_path / "a.ckpt"
    save({"x": torch.ones(5_000_000)}, path)
    content = bytearray(path.read_bytes())
    content[10_000_000:10_004_096] = bytes(4096)
    path.write_bytes(content)
    with pytest.raises(CheckpointCorruptError, match="data/0"):
        load(path)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "the file is empty"),
        (b"hello world, this is no checkpoint", "not a checkpoint; it starts with b'hello wo'"),
        (bytes(100_000), "not a checkpoint"),
        (b"PK\x03\x04" + bytes(100), "cut short"),
    ],
)
def test_what_is_no_checkpoint_is_named(tmp_path, content, message):
    (tmp_path / "a.ckpt").write_bytes(content)
    for read in (load, verify):
        with pytest.raises(CheckpointCorruptError, match=message):
            read(tmp_path / "a.ckpt")


def test_other_zip_archives_and_older_formats_are_named(tmp_path):
    with zipfile.ZipFile(tmp_path / "a.ckpt", "w") as archive:
        archive.writestr("hello.txt", "hello")
    with pytest.raises(CheckpointCorruptError, match=r"without data\.pkl"):
        load(tmp_path / "a.ckpt")
    torch.save({"x": torch.ones(1)}, tmp_path / "b.ckpt", _use_new_zipfile_serialization=False)
    with pytest.raises(CheckpointCorruptError, match=r"before 1\.6"):
        load(tmp_path / "b.ckpt")


def test_missing_file_names_what_is_near(path):
    for read in (load, verify):
        with pytest.raises(FileNotFoundError, match=r"In the same folder: model\.ckpt"):
            read(path.with_name("modle.ckpt"))
    with pytest.raises(FileNotFoundError, match="empty or does not exist"):
        load(path.parent / "nowhere" / "x.ckpt")


def test_a_folder_is_no_checkpoint_file(path):
    with pytest.raises(CheckpointCorruptError, match=r"(?s)a folder, not a file.*In it: .*model\.ckpt"):
        load(path.parent)


def test_remove_never_takes_a_folder(path):
    for folder in (path.parent, f"file://{path.parent}"):
        with pytest.raises(OSError, match=str(path.parent)):
            FileCheckpointIO().remove(folder)
    FileCheckpointIO().remove(path.parent / "nothing.ckpt")
    assert path.exists()


def test_objects_in_a_foreign_file_are_refused_by_name_and_loaded_on_request(tmp_path):
    path = tmp_path / "a.ckpt"
    torch.save({"x": np.float64(1.5)}, path)
    with pytest.raises(pickle.UnpicklingError, match=r"a\.ckpt: holds objects .*numpy.*weights_only=False"):
        load(path)
    assert load(path, weights_only=False) == {"x": 1.5}
    verify(path)


def test_refused_value_leaves_nothing_behind(path):
    before = path.read_bytes()
    with pytest.raises(TypeError, match=r"state\.x is a numpy\.float64"):
        save({"x": np.float64(1)}, path)
    assert path.read_bytes() == before
    assert list(path.parent.iterdir()) == [path]


def test_map_location(path):
    assert load(path, map_location="meta")["state_dict"]["weight"].device.type == "meta"
    assert load(path, map_location=torch.device("cpu"))["state_dict"]["weight"].device.type == "cpu"


def test_sums_are_written_also_where_the_user_switched_them_off(tmp_path, make_state):
    torch.serialization.set_crc32_options(False)
    try:
        save(make_state(1), tmp_path / "a.ckpt")
        assert torch.serialization.get_crc32_options() is False
    finally:
        torch.serialization.set_crc32_options(True)
    verify(tmp_path / "a.ckpt")


def test_readers_beside_a_writer_always_find_a_complete_checkpoint(path, make_state, assert_state):
    stop = threading.Event()
    failures: list[BaseException] = []

    def write() -> None:
        step = 1
        while not stop.is_set():
            step += 1
            save(make_state(step), path)

    def read() -> None:
        try:
            for _ in range(60):
                found = load(path)
                assert_state(found, found["global_step"])
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=write), *(threading.Thread(target=read) for _ in range(2))]
    for thread in threads:
        thread.start()
    for thread in threads[1:]:
        thread.join()
    stop.set()
    threads[0].join()
    assert not failures


def test_memory_url_round_trip_damage_and_absence(make_state, assert_state):
    url = "memory://test_file_io/run/model.ckpt"
    checkpoint_io = FileCheckpointIO()
    checkpoint_io.save(make_state(4), url)
    assert_state(checkpoint_io.load(url), 4)
    checkpoint_io.verify(url)

    import fsspec

    fs = fsspec.filesystem("memory")
    assert [name.rpartition("/")[2] for name in fs.ls("/test_file_io/run", detail=False)] == ["model.ckpt"]
    assert_state(torch.load(io.BytesIO(fs.cat("/test_file_io/run/model.ckpt")), weights_only=True), 4)
    fs.pipe("/test_file_io/run/model.ckpt", fs.cat("/test_file_io/run/model.ckpt")[:-30])
    with pytest.raises(CheckpointCorruptError, match="cut short"):
        checkpoint_io.load(url)
    checkpoint_io.remove(url)
    checkpoint_io.remove(url)
    with pytest.raises(FileNotFoundError):
        checkpoint_io.load(url)


def test_file_url_is_the_local_path(tmp_path, make_state, assert_state):
    save(make_state(5), f"file://{tmp_path}/a.ckpt")
    assert_state(load(tmp_path / "a.ckpt"), 5)


def test_importing_the_package_imports_no_fsspec():
    code = "import sys, lit_checkpoint; sys.exit('fsspec' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
