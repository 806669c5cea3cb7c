from collections import Counter, OrderedDict

import pytest
import torch
from torch import nn
from torch.distributed.tensor import DTensor, Replicate, Shard, distribute_tensor, init_device_mesh

from lit_checkpoint.staging import HostCopier
from tests.lit_checkpoint.test_sharded import in_processes


def tensors_of_every_kind() -> dict[str, torch.Tensor]:
    base = torch.arange(24.0)
    return {
        "strided": base.view(4, 6).t()[1:],
        "offset": base[5:9],
        "expanded": torch.ones(1).expand(5),
        "empty": torch.empty(0, 3),
        "scalar": torch.tensor(2.5, dtype=torch.float64),
        "bfloat16": torch.ones(3, dtype=torch.bfloat16),
        "bool": torch.tensor([True, False]),
        "int": torch.tensor([2**62]),
        "conjugate": torch.tensor([1 + 2j]).conj(),
        "negative": torch.tensor([1 + 2j]).conj().imag,
        "sparse": torch.eye(3).to_sparse(),
        "leaf": torch.ones(2, requires_grad=True),
        "inside a graph": torch.ones(2, requires_grad=True) * 2,
        "parameter": nn.Parameter(torch.ones(2), requires_grad=False),
    }


@pytest.mark.parametrize("kind", tensors_of_every_kind())
def test_a_tensor_of_every_kind_is_copied_bit_for_bit_and_shares_no_memory(kind):
    tensor = tensors_of_every_kind()[kind]
    before = tensor.detach().clone()
    copied = HostCopier().copy({"x": tensor})["x"]
    assert type(copied) is type(tensor)
    assert (copied.dtype, copied.shape, copied.layout) == (tensor.dtype, tensor.shape, tensor.layout)
    assert copied.grad_fn is None
    assert torch.equal(copied.detach().to_dense(), before.to_dense())
    if kind == "strided":
        assert copied.stride() == tensor.stride()
    if tensor.layout == torch.strided and tensor.numel():
        assert copied.untyped_storage().data_ptr() != tensor.untyped_storage().data_ptr()


def test_containers_and_values_are_rebuilt_with_their_types():
    state = {
        "ordered": OrderedDict(b=1, a=2),
        "counter": Counter("aab"),
        "tuple": (1, [2.5, None, (torch.Size([3]), torch.float16)]),
        "set": {1, 2},
        0: bytearray(b"abc"),
        "nested": [[bytearray(b"x")]],
    }
    copied = HostCopier().copy(state)
    assert copied == state
    assert [type(copied[key]) for key in state] == [type(state[key]) for key in state]
    state[0][0] = 0
    state["nested"][0][0][0] = 0
    state["tuple"][1].append(4)
    assert (copied[0], copied["nested"], len(copied["tuple"][1])) == (bytearray(b"abc"), [[bytearray(b"x")]], 3)


def test_the_version_numbers_of_a_modules_state_stay_with_it():
    state = nn.BatchNorm1d(3).state_dict()
    assert HostCopier().copy(state)._metadata == state._metadata


def test_tensors_that_share_memory_share_it_in_the_copy():
    base = torch.zeros(10)
    copied = HostCopier().copy({"a": base, "b": base[2:4]})
    copied["a"][2] = 7.0
    assert copied["b"][0] == 7.0
    assert base[2] == 0.0


def test_the_memory_is_allocated_once_and_is_as_large_as_the_storages():
    copier = HostCopier()
    state = {"a": torch.randn(1000), "b": [torch.randn(10), torch.randn(7)]}
    pointers = []
    for _ in range(3):
        copied = copier.copy(state)
        pointers.append([tensor.data_ptr() for tensor in (copied["a"], *copied["b"])])
        state["a"] += 1
    assert pointers[0] == pointers[1] == pointers[2]
    assert copier.num_bytes == 4 * 1017


def copy_parts(rank: int) -> dict:
    mesh = init_device_mesh("cpu", (2,))
    whole = torch.arange(78.0).view(13, 6)
    placements = {"rows": Shard(0), "columns": Shard(1), "everywhere": Replicate()}
    state = {name: distribute_tensor(whole.clone(), mesh, [place]) for name, place in placements.items()}
    state["parameter"] = nn.Parameter(state["rows"])
    state["tied"] = [state["columns"]] * 2
    copier, pointers = HostCopier(), []
    for _ in range(2):
        copied = copier.copy(state)
        pointers.append([copied[name].to_local().data_ptr() for name in placements])
    own = [copied["parameter"].to_local(), *(copied[name].to_local() for name in placements)]
    for name in placements:
        state[name].to_local().zero_()
    return {
        "bytes": copier.num_bytes - sum(part.nbytes for part in own),
        "reused": pointers[0] == pointers[1],
        "equal": all(torch.equal(copied[name].full_tensor(), whole) for name in [*placements, "parameter"]),
        "placements": [copied[name].placements == state[name].placements for name in placements],
        "tied": copied["tied"][0] is copied["tied"][1] is copied["columns"],
    }


def test_of_a_distributed_tensor_only_the_own_part_is_copied(tmp_path):
    for found in in_processes(2, tmp_path, copy_parts):
        assert found == {"bytes": 0, "reused": True, "equal": True, "placements": [True] * 3, "tied": True}


def test_memory_follows_a_state_that_grows_or_shrinks():
    copier = HostCopier()
    for sizes in ([10, 20], [10, 30, 5], [7], []):
        state = {i: torch.full((n,), float(n)) for i, n in enumerate(sizes)}
        copied = copier.copy(state)
        assert all(torch.equal(copied[i], tensor) for i, tensor in state.items())
        assert copier.num_bytes == 4 * sum(sizes)
    copier.release()
    assert copier.num_bytes == 0


@pytest.mark.cuda
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_a_copy_from_a_device_is_pinned_and_finished_when_it_returns():
    copier = HostCopier()
    for step in range(3):
        x = torch.full((10_000_000,), float(step), device="cuda")
        x += 1  # still in the stream's queue
        copied = copier.copy({"x": x})["x"]
        x.zero_()
        assert copied.is_pinned()
        assert (copied == step + 1).all()


def copy_part_of_device(rank: int) -> tuple:
    mesh = init_device_mesh("cuda", (1,))
    x = DTensor.from_local(torch.zeros(10_000_000, device="cuda"), mesh, [Shard(0)], run_check=False)
    copier, pointers = HostCopier(), []
    for step in range(3):
        x.to_local().fill_(step + 1)  # still in the stream's queue
        copied = copier.copy({"x": x})["x"].to_local()
        x.to_local().zero_()
        pointers.append(copied.data_ptr())
        assert copied.device.type == "cpu"
        assert copied.is_pinned()
        assert (copied == step + 1).all()
    return len(set(pointers)), copier.num_bytes


@pytest.mark.cuda
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_a_part_of_a_distributed_tensor_is_copied_to_pinned_memory_of_the_host(tmp_path):
    assert in_processes(1, tmp_path, copy_part_of_device) == [(1, 40_000_000)]
