import argparse
import enum
import os
import pathlib
import pickle
import subprocess
import sys
import types
from pathlib import Path

import pytest
import torch
from torch import nn

from lit_checkpoint import CheckpointCorruptError, load_lightning, save

GOLDEN = Path(__file__).parents[1] / "golden" / "checkpoints"


@pytest.mark.parametrize(("release", "steps"), [("1.0", 9), ("1.9", 8), ("2.6", 8)])
def test_files_that_lightning_wrote_load_without_it(release, steps):
    assert "pytorch_lightning" not in sys.modules
    path = GOLDEN / f"lightning-{release}.ckpt"
    checkpoint = load_lightning(path)
    assert checkpoint["pytorch-lightning_version"].startswith(release)
    assert checkpoint["epoch"] == 2
    assert checkpoint["global_step"] == steps
    assert checkpoint["hyper_parameters"] == {"width": 3, "lr": 0.05, "name": "tiny"}
    layer = nn.Linear(2, 3)
    layer.load_state_dict({k.removeprefix("layer."): v for k, v in checkpoint["state_dict"].items()})
    adam = torch.optim.Adam(layer.parameters())
    adam.load_state_dict(checkpoint["optimizer_states"][0])
    assert adam.state[layer.weight]["step"] == 8
    torch.optim.lr_scheduler.StepLR(adam, 1).load_state_dict(checkpoint["lr_schedulers"][0])
    watched = {key.rpartition(".")[2].partition("{")[0]: state for key, state in checkpoint["callbacks"].items()}
    assert set(watched) == {"ModelCheckpoint", "EarlyStopping"}
    assert watched["EarlyStopping"]["best_score"] == watched["ModelCheckpoint"]["best_model_score"]


@pytest.mark.parametrize("release", ["1.0", "1.9", "2.6"])
def test_what_was_read_is_plain_and_can_be_saved(tmp_path, release):
    save(load_lightning(GOLDEN / f"lightning-{release}.ckpt"), tmp_path / "a.ckpt")


@pytest.mark.parametrize("release", ["1.0", "1.9", "2.6"])
def test_damage_in_them_is_noticed(tmp_path, release):
    content = bytearray((GOLDEN / f"lightning-{release}.ckpt").read_bytes())
    path = tmp_path / "a.ckpt"
    for length in range(0, len(content), 501):
        path.write_bytes(content[:length])
        with pytest.raises(CheckpointCorruptError, match=r"a\.ckpt"):
            load_lightning(path)


class AttributeDict(dict):
    pass


class Reason(enum.Enum):
    STOPPED = 3


class Stranger:
    pass


@pytest.fixture
def lightning_module(monkeypatch):
    """Stands for Lightning while a file is written; it is gone when the file is read."""
    for name in ("pytorch_lightning", "pytorch_lightning.utilities", "pytorch_lightning.utilities.parsing"):
        monkeypatch.setitem(sys.modules, name, types.ModuleType(name))
    for cls in (AttributeDict, Reason):
        monkeypatch.setattr(cls, "__module__", "pytorch_lightning.utilities.parsing")
        setattr(sys.modules["pytorch_lightning.utilities.parsing"], cls.__name__, cls)


def test_harmless_objects_become_plain_values(tmp_path, lightning_module, monkeypatch):
    import numpy as np

    nested = argparse.Namespace(depth=3, inner=AttributeDict(x=1))
    state = {
        "hparams": AttributeDict(lr=np.float64(0.5), n=np.int32(-7), half=np.float16(2), flag=np.bool_(True)),
        "big": np.dtype(">f8").type(1.5),
        "namespace": nested,
        "path": pathlib.PurePosixPath("/data/x"),
        "reason": Reason.STOPPED,
        "by class": {Reason: 1},
        "native_amp_scaling_state": {"scale": 65536.0},
    }
    torch.save(state, tmp_path / "a.ckpt")
    monkeypatch.undo()
    found = load_lightning(tmp_path / "a.ckpt")
    assert found == {
        "hyper_parameters": {"lr": 0.5, "n": -7, "half": 2.0, "flag": True},
        "big": 1.5,
        "namespace": {"depth": 3, "inner": {"x": 1}},
        "path": "/data/x",
        "reason": 3,
        "by class": {"pytorch_lightning.utilities.parsing.Reason": 1},
        "precision": {"scale": 65536.0},
    }
    assert type(found["hyper_parameters"]["lr"]) is float
    save(found, tmp_path / "b.ckpt")


class Evil:
    def __reduce__(self):
        return os.mkdir, ("evil",)


def test_other_objects_are_refused_by_name_and_no_code_runs(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for thing, name in ((Stranger(), "Stranger"), (Evil(), "mkdir")):
        torch.save({"x": thing}, tmp_path / "a.ckpt")
        with pytest.raises(pickle.UnpicklingError, match=name):
            load_lightning(tmp_path / "a.ckpt")
    assert not Path("evil").exists()


def test_nothing_stays_allowed_afterwards():
    before = set(torch.serialization.get_safe_globals())
    load_lightning(GOLDEN / "lightning-1.0.ckpt")
    assert set(torch.serialization.get_safe_globals()) == before


def test_lightning_is_not_imported():
    code = (
        f"import sys\nfrom lit_checkpoint import load_lightning\nload_lightning({str(GOLDEN / 'lightning-2.6.ckpt')!r})"
    )
    subprocess.run([sys.executable, "-c", code + "\nassert 'pytorch_lightning' not in sys.modules"], check=True)
