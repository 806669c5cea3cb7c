"""An actor and a critic in one module: two losses of one forward pass, two optimizers, by name.

The task is a chain of nine rooms with a reward at the right end. An agent that walks left or right learns, from its own
walks, to go right. The environment steps run inside ``training_step``: the loader only says how many updates to make.
Run it with ``hatch run python docs/examples/actor_critic.py``.
"""

import argparse
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader

from lit_accelerators import seed_everything
from lit_core import LightningModule, Trainer

ROOMS, STEPS = 9, 24


class ActorCritic(LightningModule):
    """Advantage actor-critic (Mnih et al., "Asynchronous Methods for Deep Reinforcement Learning", 2016)."""

    def __init__(self, walkers: int = 32, lr: float = 5e-3, discount: float = 0.95, entropy: float = 0.02) -> None:
        super().__init__()
        self.save_hyperparameters()
        self.actor = nn.Sequential(nn.Linear(ROOMS, 32), nn.Tanh(), nn.Linear(32, 2))
        self.critic = nn.Sequential(nn.Linear(ROOMS, 32), nn.Tanh(), nn.Linear(32, 1))
        self.example_input_array = torch.zeros(1, ROOMS)

    def forward(self, rooms: Tensor) -> Tensor:
        """Preference for going left and right, in rooms given one-hot ``(N, 9)``."""
        return self.actor(rooms)

    def walk(self) -> tuple[Tensor, Tensor, Tensor]:
        """Let all walkers take their steps; returns rooms (T + 1, N, 9), actions (T, N) and rewards (T, N)."""
        room = torch.zeros(self.hparams.walkers, dtype=torch.long, device=self.device)
        rooms, actions, rewards = [self.one_hot(room)], [], []
        for _ in range(STEPS):
            action = torch.multinomial(self(rooms[-1]).detach().softmax(-1), 1).squeeze(-1)
            room = (room + 2 * action - 1).clamp(0, ROOMS - 1)
            arrived = room == ROOMS - 1
            actions.append(action)
            rewards.append(arrived.float())
            room = torch.where(arrived, 0, room)
            rooms.append(self.one_hot(room))
        return torch.stack(rooms), torch.stack(actions), torch.stack(rewards)

    def one_hot(self, room: Tensor) -> Tensor:
        return nn.functional.one_hot(room, ROOMS).float()

    def training_step(self, batch: Any, batch_idx: int) -> dict[str, Tensor]:
        rooms, actions, rewards = self.walk()
        values = self.critic(rooms).squeeze(-1)
        returns, later = [], values[-1].detach()
        for reward in rewards.flip(0):
            later = reward + self.hparams.discount * later
            returns.append(later)
        advantage = torch.stack(returns[::-1]) - values[:-1]
        choice = torch.distributions.Categorical(logits=self(rooms[:-1]))
        self.log("reward", rewards.sum(0).mean(), prog_bar=True, on_step=True, on_epoch=True, batch_size=1)
        gain = choice.log_prob(actions) * advantage.detach()
        return {
            "actor": -gain.mean() - self.hparams.entropy * choice.entropy().mean(),
            "critic": advantage.square().mean(),
        }

    def configure_optimizers(self) -> list[dict[str, Any]]:
        return [
            {"optimizer": torch.optim.Adam(self.actor.parameters(), lr=self.hparams.lr), "name": "actor"},
            {
                "optimizer": torch.optim.Adam(self.critic.parameters(), lr=2 * self.hparams.lr),
                "name": "critic",
                "gradient_clip_val": 1.0,
            },
        ]


def main(updates: int = 200, **settings: Any) -> Trainer:
    seed_everything(0)
    trainer = Trainer(max_epochs=1, **settings)
    trainer.fit(ActorCritic(), DataLoader(torch.arange(updates), batch_size=1))
    now = trainer.callback_metrics["reward_step"]
    trainer.print(f"best possible: {STEPS // (ROOMS - 1)} rewards a walk; now {now:.2f}")
    return trainer


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--updates", type=int, default=200)
    main(parser.parse_args().updates)
