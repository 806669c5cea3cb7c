from typing import Any

import pytest
import torch

from lit_accelerators import Accelerator, CPUAccelerator, CUDAAccelerator, MPSAccelerator


class TestCPU:
    def test_devices_are_processes(self) -> None:
        cpu = CPUAccelerator()

        assert cpu.is_available()
        assert [cpu.parse_devices(d) for d in (3, "3", "auto")] == [[0, 1, 2], [0, 1, 2], [0]]
        assert {cpu.device(index) for index in range(3)} == {torch.device("cpu")}
        assert cpu.device_count() >= 1

    @pytest.mark.parametrize("devices", [[0, 1], "0,1", -1, "-1"])
    def test_indices_and_all_are_refused(self, devices: Any) -> None:
        with pytest.raises(ValueError, match=r"no indices and no natural number.*devices=2"):
            CPUAccelerator().parse_devices(devices)

    def test_stats_are_numbers_of_the_right_size(self) -> None:
        stats = CPUAccelerator().device_stats(torch.device("cpu"))

        assert 0 < stats["memory_available"] <= stats["memory_total"]
        assert stats["load"] >= 0

    def test_another_device_cannot_be_set_up(self) -> None:
        with pytest.raises(ValueError, match="accelerator='cuda'"):
            CPUAccelerator().setup_device(torch.device("cuda"))


@pytest.mark.parametrize("devices", [0, -2, True, 1.5, None, "two", "", [], [0, 0], [-1], "1,1", ",", [0, "1"], [True]])
@pytest.mark.parametrize("kind", [CPUAccelerator, CUDAAccelerator])
def test_what_is_no_number_of_devices_is_refused_with_what_to_write(
    kind: type[Accelerator], devices: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 4)

    with pytest.raises(ValueError, match=r"devices=.*Write"):
        kind().parse_devices(devices)


@pytest.mark.parametrize(
    ("devices", "indices"),
    [
        (1, [0]),
        ("2", [0, 1]),
        ("2,", [2]),
        ("0, 3", [0, 3]),
        ([3, 1], [3, 1]),
        ((2,), [2]),
        (-1, [0, 1, 2, 3]),
        ("-1", [0, 1, 2, 3]),
        ("auto", [0, 1, 2, 3]),
    ],
)
def test_gpus_are_chosen_by_number_or_index(devices: Any, indices: list[int], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 4)

    assert CUDAAccelerator().parse_devices(devices) == indices
    assert CUDAAccelerator().device(3) == torch.device("cuda", 3)


@pytest.mark.parametrize("devices", [5, [4], "0,4"])
def test_gpus_that_are_not_there_are_refused_with_how_many_there_are(
    devices: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 4)

    with pytest.raises(ValueError, match=r"4 cuda device\(s\) are visible.*devices=4"):
        CUDAAccelerator().parse_devices(devices)


@pytest.mark.parametrize("kind", [CUDAAccelerator, MPSAccelerator])
def test_without_any_gpu_the_cpu_is_proposed(kind: type[Accelerator], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 0)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: False)

    with pytest.raises(ValueError, match="accelerator='cpu'"):
        kind().parse_devices("auto")


def test_there_is_one_mps_device(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: True)

    assert MPSAccelerator().parse_devices("auto") == [0]
    with pytest.raises(ValueError, match=r"1 mps device\(s\)"):
        MPSAccelerator().parse_devices(2)


@pytest.mark.cuda
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_a_real_gpu_is_set_up_and_tells_its_memory() -> None:
    cuda = CUDAAccelerator()
    device = cuda.device(cuda.parse_devices(1)[0])
    cuda.setup_device(device)
    held = torch.empty(1 << 20, device=device)
    stats = cuda.device_stats(device)

    assert torch.cuda.current_device() == 0
    assert stats["memory_allocated"] >= held.nbytes
    assert 0 < stats["memory_available"] < stats["memory_total"]
