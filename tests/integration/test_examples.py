"""The examples do what they say: they learn, and their files are there."""

import sys
from pathlib import Path

import pytest
import torch

EXAMPLES = Path(__file__).parents[2] / "docs" / "examples"
QUIET = {"logger": False, "enable_checkpointing": False, "enable_progress_bar": False, "accelerator": "cpu"}


@pytest.fixture(autouse=True)
def _importable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(EXAMPLES))
    yield
    for name in ("digits", "gan", "autoencoder", "actor_critic"):
        sys.modules.pop(name, None)


def test_digits_reach_97_percent_resume_and_export(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    import digits

    accuracy = digits.main(epochs=8, folder=tmp_path)
    assert accuracy > 0.97
    printed = capsys.readouterr().out
    assert "trained to epoch 9" in printed
    run = tmp_path / "lightning_logs" / "version_0"
    assert (tmp_path / "digits.onnx").exists()
    assert {"best", "last", "index.json"} <= {path.name for path in (run / "checkpoints").iterdir()}
    assert any(path.name.startswith("events.out.tfevents") for path in run.iterdir())


@pytest.mark.parametrize("manual", [False, True], ids=["automatic", "manual"])
def test_gan_learns_the_ring(manual: bool) -> None:
    import gan

    torch.manual_seed(0)
    untrained = gan.GAN()
    with torch.no_grad():
        before = gan.distance_to_ring(untrained(torch.randn(2000, 8)))
    assert gan.main(epochs=25, manual=manual, **QUIET) < before / 3


def test_gan_trains_the_same_in_both_modes() -> None:
    import gan
    from torch.utils.data import DataLoader, TensorDataset

    from lit_core import Trainer

    weights = []
    for model_class in (gan.GAN, gan.ManualGAN):
        torch.manual_seed(0)
        model = model_class()
        loader = DataLoader(TensorDataset(gan.ring(512)), batch_size=64, shuffle=True)
        Trainer(max_epochs=2, **QUIET).fit(model, loader)
        weights.append(model.state_dict())
    for name, value in weights[0].items():
        assert torch.equal(value, weights[1][name]), name


def test_autoencoder_codes_tell_digits_apart() -> None:
    import autoencoder

    assert autoencoder.main(epochs=15, **QUIET) > 0.85


def test_the_actor_learns_to_walk_where_the_reward_is() -> None:
    import actor_critic

    trainer = actor_critic.main(120, log_every_n_steps=5, **QUIET)
    assert trainer.progress.optimizer_steps == {"actor": 120, "critic": 120}
    assert trainer.callback_metrics["reward_step"] > 2.5  # 3 is the most; walking at random earns less than 0.5
    rooms = torch.eye(actor_critic.ROOMS)[:-1]
    assert (trainer.lightning_module(rooms).argmax(1) == 1).all()
