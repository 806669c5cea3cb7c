import subprocess
import sys
from pathlib import Path

import pytest
import torch

from lit_checkpoint import CheckpointManager, ShardedCheckpointIO, load, load_safetensors, resolve_checkpoint, save
from lit_checkpoint.cli import main

GOLDEN = Path(__file__).parents[1] / "golden" / "checkpoints"


@pytest.fixture
def run(capsys):
    def call(*arguments) -> tuple[int, str]:
        status = main([str(argument) for argument in arguments])
        printed = capsys.readouterr()
        return status, printed.out + printed.err

    return call


@pytest.fixture
def path(tmp_path, make_state):
    save(make_state(1), tmp_path / "a.ckpt")
    return tmp_path / "a.ckpt"


@pytest.fixture
def folder(tmp_path):
    manager = CheckpointManager(tmp_path / "run", monitor="loss", save_top_k=-1)
    for step, loss in enumerate([0.5, 0.2, 0.9, 0.3], 1):
        manager.save({"step": step}, step=10 * step, epoch=step, metrics={"loss": loss})
    return tmp_path / "run"


def kept(folder):
    return sorted(path.stem.partition("step=")[2] for path in folder.glob("*.ckpt"))


def test_inspect_names_keys_and_sizes(run, path):
    status, text = run("inspect", path)
    assert status == 0
    assert "3 tensors of 2.1 kB" in text.splitlines()[0]
    rows = {line.split()[0]: line.split(maxsplit=2)[1:] for line in text.splitlines()[3:]}
    assert rows["state_dict"] == ["dict", "2 tensors of 1.0 kB"]
    assert rows["global_step"] == ["int", "1"]


def test_inspect_lists_every_tensor(run, path):
    _, text = run("inspect", path, "--tensors")
    assert [line.split() for line in text.splitlines()[3:]] == [
        ["state_dict.weight", "(257,)", "float32", "1.0", "kB"],
        ["state_dict.bias", "(3,)", "float32", "12", "B"],
        ["optimizer_states.0.state.0.exp_avg", "(257,)", "float32", "1.0", "kB"],
    ]


def test_inspect_of_a_folder_lists_the_checkpoints_in_their_order(run, folder):
    save({}, folder / "mine.ckpt")
    status, text = run("inspect", folder)
    lines = [line.split() for line in text.splitlines()]
    assert status == 0
    assert lines[0][:4] == ["checkpoint", "step", "epoch", "loss"]
    assert [line[0] for line in lines[2:]] == [*(f"epoch={i}-step={10 * i}.ckpt" for i in (1, 2, 3, 4)), "mine.ckpt"]
    assert lines[3][1:4] == ["20", "2", "0.2"]
    assert lines[3][-1] == "best"
    assert lines[5][-1] == "last"
    assert " ".join(lines[6][-4:]) == "not in the index"


@pytest.mark.parametrize("release", ["1.0", "1.9", "2.6"])
def test_inspect_reads_lightnings_files(run, release):
    status, text = run("inspect", GOLDEN / f"lightning-{release}.ckpt")
    assert status == 0
    assert f"pytorch-lightning_version  str          '{release}" in text


def test_verify_tells_whole_from_damaged(run, path, folder):
    assert run("verify", path, folder)[0] == 0
    damaged = folder / "epoch=2-step=20.ckpt"
    damaged.write_bytes(damaged.read_bytes()[:200])
    status, text = run("verify", path, folder)
    assert status == 1
    assert [line.split()[1] for line in text.splitlines()[2:]] == ["whole", "whole", "damaged", "whole", "whole"]
    assert "cut short" in text
    assert run("verify", path.with_name("nothing.ckpt"))[0] == 1


def test_diff_names_what_differs_and_by_how_much(run, path, tmp_path, make_state):
    other = make_state(1)
    other["state_dict"]["weight"][7] += 0.25
    other["optimizer_states"][0]["param_groups"][0]["lr"] = 0.2
    other["new"] = 1
    save(other, tmp_path / "b.ckpt")
    assert run("diff", path, path) == (0, "0 of 10 values differ.\n")
    status, text = run("diff", path, tmp_path / "b.ckpt")
    assert status == 1
    assert ["new", "is", "only", "in", "the", "second"] in [line.split() for line in text.splitlines()]
    assert "in 1 of 257 elements, by up to 0.25" in text
    assert "0.1 | 0.2" in text
    assert "3 of 11 values differ." in text
    assert run("diff", path, tmp_path / "b.ckpt", "--only", "state_dict.bias")[0] == 0
    assert run("diff", path, tmp_path / "b.ckpt", "--only", "state_dict", "--atol", "0.3")[0] == 0
    assert run("diff", path, tmp_path / "b.ckpt", "--only", "state")[0] == 2


def test_diff_of_nan_and_shapes(run, tmp_path):
    nan = float("nan")
    save({"x": torch.tensor([nan, 1.0]), "y": nan, "z": torch.ones(2)}, tmp_path / "a.ckpt")
    save({"x": torch.tensor([nan, 1.0]), "y": nan, "z": torch.ones(3)}, tmp_path / "b.ckpt")
    status, text = run("diff", tmp_path / "a.ckpt", tmp_path / "b.ckpt")
    assert status == 1
    assert "has another shape or type  (2,) float32 | (3,) float32" in text
    assert "1 of 3 values differ" in text


def test_convert_there_and_back_differs_in_nothing(run, path, tmp_path):
    assert run("convert", path, tmp_path / "sharded.ckpt", "--sharded")[0] == 0
    assert (tmp_path / "sharded.ckpt").is_dir()
    assert run("convert", tmp_path / "sharded.ckpt", tmp_path / "b.ckpt")[0] == 0
    assert run("diff", path, tmp_path / "b.ckpt")[0] == 0
    assert run("convert", GOLDEN / "lightning-1.0.ckpt", tmp_path / "c.ckpt")[0] == 0
    assert load(tmp_path / "c.ckpt")["hyper_parameters"]["width"] == 3


def test_convert_to_safetensors_takes_the_weights(run, path, tmp_path, make_state):
    pytest.importorskip("safetensors")
    assert run("convert", path, tmp_path / "a.safetensors")[0] == 0
    weights = make_state(1)["state_dict"]
    found = load_safetensors(tmp_path / "a.safetensors")
    assert found.keys() == weights.keys()
    assert all(torch.equal(found[name], weights[name]) for name in weights)
    assert run("convert", tmp_path / "a.safetensors", tmp_path / "b.ckpt")[0] == 0
    assert torch.equal(load(tmp_path / "b.ckpt")["state_dict"]["bias"], weights["bias"])
    assert run("convert", path, tmp_path / "b.safetensors", "--key", "nothing")[0] == 2
    assert run("verify", tmp_path / "a.safetensors")[0] == 0


def test_prune_says_what_it_would_do_and_does_it_when_told(run, folder):
    status, text = run("prune", folder)
    assert status == 0
    assert "Nothing was removed; --yes does it." in text
    assert kept(folder) == ["10", "20", "30", "40"]
    assert run("prune", folder, "--yes")[0] == 0
    assert kept(folder) == ["20", "40"]
    assert load(resolve_checkpoint(folder, "best")) == {"step": 2}
    assert load(resolve_checkpoint(folder, "last")) == {"step": 4}


def test_prune_keeps_milestones_and_what_it_does_not_know(run, folder):
    save({}, folder / "mine-step=0.ckpt")
    assert run("prune", folder, "--best", 0, "--last", 1, "--every", 25, "--yes")[0] == 0
    assert kept(folder) == ["0", "30", "40"]


def test_prune_removes_nothing_when_a_kept_one_is_damaged_or_none_would_stay(run, folder):
    best = folder / "epoch=2-step=20.ckpt"
    content = best.read_bytes()
    best.write_bytes(content[:200])
    assert run("prune", folder, "--yes")[0] == 1
    best.write_bytes(content)
    status, text = run("prune", folder, "--best", 0, "--last", 0, "--yes")
    assert status == 2
    assert "every checkpoint" in text
    assert len(kept(folder)) == 4


def test_prune_knows_folders_and_refuses_without_an_index(run, tmp_path):
    manager = CheckpointManager(tmp_path, save_top_k=-1, io=ShardedCheckpointIO())
    for step in range(3):
        manager.save({"x": torch.ones(2)}, step=step)
    assert run("prune", tmp_path, "--yes")[0] == 0
    assert kept(tmp_path) == ["2"]
    (tmp_path / "index.json").unlink()
    assert run("prune", tmp_path, "--yes")[0] == 2


def test_what_is_not_there_is_an_error_with_its_own_status(run, tmp_path):
    status, text = run("inspect", tmp_path / "a.ckpt")
    assert status == 2
    assert "There is no checkpoint at" in text
    assert run("inspect", tmp_path)[0] == 2


def test_the_module_runs_as_a_program_with_the_status_of_the_command(path):
    path.write_bytes(path.read_bytes()[:100])
    code = "import sys; from lit_checkpoint.cli import main; sys.exit(main())"
    done = subprocess.run([sys.executable, "-c", code, "verify", path], capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "damaged" in done.stdout
