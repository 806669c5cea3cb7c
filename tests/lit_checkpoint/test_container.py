import io
import os
import sys
import zlib

import pytest
import torch

from lit_checkpoint.container import Checker, crc32_combine, fastest_crc32, read_directory


@pytest.mark.parametrize(("first", "second"), [(0, 0), (1, 0), (0, 1), (5, 7), (1000, 65537), (3, 1 << 20)])
def test_combined_sum_is_the_sum_of_the_whole(first, second):
    a, b = os.urandom(first), os.urandom(second)
    assert crc32_combine(zlib.crc32(a), zlib.crc32(b), second) == zlib.crc32(a + b)


def test_records_are_where_the_bytes_of_the_tensors_are():
    tensors = [torch.randn(n) for n in (1, 100, 5000)]
    file = io.BytesIO()
    torch.save(tensors, file)
    data = {r.name: r for r in read_directory(file, "x") if r.is_tensor_data}
    for i, tensor in enumerate(tensors):
        record = data[f"archive/data/{i}"]
        assert file.getvalue()[record.offset : record.offset + record.size] == tensor.numpy().tobytes()


def test_the_fast_sum_is_that_of_the_standard_library() -> None:
    pytest.importorskip("isal", reason="needs the extra fast")
    fast = fastest_crc32()
    assert fast is not zlib.crc32
    for size in (0, 1, 63, 64, 65, 1000, 1 << 19):
        data = memoryview(os.urandom(size))
        assert fast(data, 12345) == zlib.crc32(data, 12345)


def test_without_the_fast_package_it_is_the_standard_library(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "isal", None)
    monkeypatch.setitem(sys.modules, "isal.isal_zlib", None)
    assert fastest_crc32() is zlib.crc32


@pytest.mark.parametrize("parallel", [False, True])
def test_large_records_are_summed_in_parts_and_read_whole(parallel):
    # Sizes on both sides of every boundary at which work is cut.
    tensors = [torch.randint(0, 255, (n,), dtype=torch.uint8) for n in (10, 1 << 22, (1 << 23) + 1, (1 << 24) * 2 + 3)]
    file = io.BytesIO()
    torch.save(tensors, file)
    content = file.getbuffer()

    def read_at(into: memoryview, offset: int) -> int:
        count = min(len(into), 300_001)  # fewer bytes than asked for, as a read may give
        into[:count] = content[offset : offset + count]
        return count

    records = read_directory(file, "x")
    with Checker(read_at, "x", parallel=parallel) as checker:
        checker.check(records)
        for i, tensor in enumerate(tensors):
            record = next(r for r in records if r.name == f"archive/data/{i}")
            into = bytearray(record.size)
            checker.read(record, memoryview(into))
            assert bytes(into) == tensor.numpy().tobytes()
