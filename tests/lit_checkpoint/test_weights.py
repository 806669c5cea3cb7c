import os
import sys

import pytest
import torch
from torch import nn

from lit_checkpoint import CheckpointCorruptError, load_safetensors, save_safetensors


def test_without_the_library_the_error_names_the_extra(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "safetensors", None)
    monkeypatch.setitem(sys.modules, "safetensors.torch", None)
    with pytest.raises(ImportError, match="extra 'safetensors'"):
        save_safetensors({}, tmp_path / "a.safetensors")
    with pytest.raises(ImportError, match="extra 'safetensors'"):
        load_safetensors(tmp_path / "a.safetensors")


def test_values_that_are_no_tensors_are_named(tmp_path):
    with pytest.raises(TypeError, match="'epoch' is a int, not a tensor"):
        save_safetensors({"weight": torch.ones(1), "epoch": 3}, tmp_path / "a.safetensors")


@pytest.fixture
def library():
    return pytest.importorskip("safetensors.torch")


@pytest.fixture
def path(tmp_path, library):
    model = nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4))
    torch.manual_seed(0)
    state = model.state_dict()
    state["tied"] = state["0.weight"]
    state["transposed"] = torch.arange(6.0).view(2, 3).t()
    save_safetensors(state, tmp_path / "a.safetensors", {"epoch": "3"})
    return state, tmp_path / "a.safetensors"


def test_the_library_itself_reads_what_was_written(path, library):
    import safetensors

    state, file = path
    found = library.load_file(file)
    assert found.keys() == state.keys()
    for name, tensor in state.items():
        assert torch.equal(found[name], tensor)
        assert found[name].dtype == tensor.dtype
    with safetensors.safe_open(file, "pt") as opened:
        assert opened.metadata()["epoch"] == "3"


def test_what_was_written_comes_back_and_what_the_library_wrote_too(path, library, tmp_path):
    state, file = path
    found = load_safetensors(file)
    assert all(torch.equal(found[name], tensor) for name, tensor in state.items())
    library.save_file({"x": torch.ones(2, dtype=torch.bfloat16)}, tmp_path / "b.safetensors")
    assert torch.equal(load_safetensors(tmp_path / "b.safetensors")["x"], torch.ones(2, dtype=torch.bfloat16))


def test_damage_is_noticed(path):
    _, file = path
    content = file.read_bytes()
    for length in (0, 4, 100, len(content) - 1):
        file.write_bytes(content[:length])
        with pytest.raises(CheckpointCorruptError, match=r"a\.safetensors"):
            load_safetensors(file)
    flipped = bytearray(content)
    flipped[-5] ^= 1
    file.write_bytes(flipped)
    with pytest.raises(CheckpointCorruptError, match="the tensors are damaged"):
        load_safetensors(file)


def test_a_failed_save_leaves_the_old_file(path, faulty_os):
    _, file = path
    before = file.read_bytes()
    faulty_os(2)
    with pytest.raises(OSError, match=os.strerror(5)):
        save_safetensors({"x": torch.zeros(10)}, file)
    assert file.read_bytes() == before
