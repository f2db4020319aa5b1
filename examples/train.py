"""Train OPSPO on a tiny cooperative game and read the run's metrics.

    python examples/train.py

One of two agents must go, and the other stay: that pays 1. If both go it costs 1, if both stay it
pays nothing. At random the mean return is 0.25.
"""

from __future__ import annotations

import json

import opspo


def main() -> None:
    """Train, then compare the first iteration with the last."""
    config = opspo.TrainConfig(
        env="probe/coordination",
        algo="opspo",
        algorithm=opspo.OPSPOConfig(epochs=5, clip=0.2, others_clip=0.1),
        seed=0,
        total_steps=6_400,
        run_dir="runs/coordination",
        rollout=opspo.RolloutConfig(num_envs=16, num_steps=16),
        policy=opspo.PolicyConfig(hidden_sizes=(32,), share_parameters=False),
        optimiser=opspo.OptimiserConfig(actor_learning_rate=3e-3, critic_learning_rate=3e-3),
        evaluation=opspo.EvaluationConfig(every_steps=1_600, episodes=16, final_episodes=64),
    )
    result = opspo.train(config, overwrite=True)

    lines = (result.run_dir / "metrics.jsonl").read_text().splitlines()
    first, last = json.loads(lines[0]), json.loads(lines[-1])
    print(f"sampled, first iteration: {first['episode_return']:.2f}")
    print(f"sampled, last iteration:  {last['episode_return']:.2f}")

    assert result.evaluation is not None  # the settings ask for one
    print(f"greedy, 64 episodes:      {result.evaluation.summary()['mean_return']:.2f}")
    print(f"Train it further: opspo resume --run-dir {result.run_dir} --total-steps 12800")


if __name__ == "__main__":
    main()
