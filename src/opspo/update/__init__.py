"""How a batch becomes gradient steps: orders, minibatches, schedules, stages."""
