"""A training step with its batch over eight devices beside the same on one, in float64."""

import jax
import numpy as np
import optax
from jax.sharding import AxisType, NamedSharding, PartitionSpec

from jdl import learner, losses, metrics, nn, supervised
from jdl.train import accumulate

model = nn.serial(
    nn.conv(4, (3, 3)),
    nn.batch_norm(momentum=0.5),
    nn.relu,
    nn.flatten(),
    nn.dense(8),
    nn.dropout(0.3),
    nn.dense(3),
)
loss = losses.softmax_cross_entropy_with_integer_labels
objective = supervised(model, loss, {"accuracy": metrics.accuracy()})
whole = learner(objective, optax.sgd(0.1, momentum=0.9))

rng = np.random.default_rng(0)
x, y = rng.normal(size=(32, 5, 5, 2)), rng.integers(0, 3, 32)
batch = x, y, rng.integers(0, 3, 32).astype(np.float64)

mesh = jax.make_mesh((8,), ("data",), axis_types=(AxisType.Auto,))
rows, everywhere = (NamedSharding(mesh, PartitionSpec(*axis)) for axis in (["data"], []))


def wide(train):
    variables = jax.tree.map(lambda a: a.astype(np.float64), (train.params, train.state))
    params, state = variables
    return train._replace(
        params=params, state=state, opt_state=optax.sgd(0.1, 0.9).init(params)
    )


def numbers(tree):
    keys = jax.dtypes.prng_key
    return [a for a in jax.tree.leaves(tree) if not jax.numpy.issubdtype(a.dtype, keys)]


print("devices", jax.device_count())
for name, rule in {"step": whole, "parts": accumulate(whole, 2)}.items():
    train = wide(rule.init(jax.random.key(0), batch))
    single = jax.jit(rule.step)(train, batch)
    split = jax.device_put(train, everywhere), jax.device_put(batch, rows)
    program = jax.jit(rule.step, out_shardings=everywhere).lower(*split).compile()
    several = program(*split)
    differences = [
        np.abs(np.asarray(a) - np.asarray(b)).max()
        for a, b in zip(numbers(single), numbers(several), strict=True)
    ]
    print(name, max(differences))
    print(f"{name}_gathers", program.as_text().count("all-gather("))
print("loss", several[1]["loss"].compute())
