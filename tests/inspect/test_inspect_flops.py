"""FLOPs are exact where a closed form is known, and a summary shares them out by path."""

import io

import jax
import jax.numpy as jnp
import pytest

from jdl import inspect, nn, summary
from jdl.inspect import forms

B = 4


def spec(*shape):
    return jax.ShapeDtypeStruct(shape, jnp.float32)


def of_layer(layer, *inputs):
    variables = forms.shapes_of(layer, *inputs)
    function = forms.forward(layer)
    return inspect.flops(function, *variables, forms.key_shape(), *inputs, elementwise=False)


IMAGE = spec(B, 12, 12, 6)
CLOSED = {
    "dense": (nn.dense(7), spec(B, 5), 2 * B * 5 * 7),
    "conv same": (nn.conv(8, (3, 3)), IMAGE, 2 * B * 12 * 12 * 9 * 6 * 8),
    "conv valid": (nn.conv(8, (3, 3), padding="VALID"), IMAGE, 2 * B * 10 * 10 * 9 * 6 * 8),
    "conv strides": (nn.conv(8, (3, 3), stride=2), IMAGE, 2 * B * 6 * 6 * 9 * 6 * 8),
    "conv groups": (nn.conv(8, (3, 3), groups=2), IMAGE, 2 * B * 12 * 12 * 9 * 3 * 8),
    "conv dilation": (
        nn.conv(8, (3, 3), dilation=2, padding="VALID"),
        IMAGE,
        2 * B * 8 * 8 * 9 * 6 * 8,
    ),
    "depthwise": (nn.depthwise_conv((3, 3)), IMAGE, 2 * B * 12 * 12 * 9 * 6),
    "transposed": (nn.conv_transpose(8, (4, 4), stride=2), IMAGE, 2 * B * 144 * 16 * 6 * 8),
    "scan": (nn.stack(nn.dense(5), 9), spec(B, 5), 9 * 2 * B * 5 * 5),
    "recurrent": (nn.rnn(nn.simple_rnn(4)), spec(B, 7, 3), 7 * 2 * B * 4 * (3 + 4)),
    "remat": (nn.remat(nn.dense(7)), spec(B, 5), 2 * B * 5 * 7),
    "ensemble": (nn.ensemble(nn.dense(7), 3), spec(B, 5), 3 * 2 * B * 5 * 7),
}


@pytest.mark.parametrize("name", CLOSED)
def test_products_are_exact(name):
    layer, x, expected = CLOSED[name]
    assert of_layer(layer, x) == expected


def test_attention_is_four_projections_and_two_products():
    t, d = 6, 8
    layer = nn.multi_head_attention(heads=2)
    expected = 4 * 2 * B * t * d * d + 2 * 2 * B * t * t * d
    assert of_layer(layer, spec(B, t, d)) == expected


def test_the_dearest_branch_of_a_cond_counts():
    def either(flag, x):
        return jax.lax.cond(flag, lambda x: x @ x @ x, lambda x: x @ x, x)

    assert inspect.flops(either, True, spec(5, 5)) == 2 * 2 * 5**3


@pytest.mark.parametrize(
    "layer", [nn.conv(8, (3, 3)), nn.conv(8, (3, 3), stride=2), nn.dense(9)]
)
def test_a_gradient_of_kernel_and_input_is_two_forward_passes(layer):
    variables = forms.shapes_of(layer, IMAGE)
    run = forms.forward(layer)

    def both(params, state, key, x):
        return jax.grad(lambda p, x: run(p, state, key, x).sum(), (0, 1))(params, x)

    args = (*variables, forms.key_shape(), IMAGE)
    once = inspect.flops(run, *args, elementwise=False)
    assert inspect.flops(both, *args, elementwise=False) == 3 * once


def test_remat_counts_what_is_computed_again():
    def forward(x):
        return jnp.tanh(jnp.tanh(x @ x) @ x).sum()

    count = [
        inspect.flops(jax.grad(f), spec(4, 4), elementwise=False)
        for f in (forward, jax.checkpoint(forward))
    ]
    assert count == [6 * 2 * 4**3, 8 * 2 * 4**3]


def test_arithmetic_counts_elements_that_are_floats():
    def function(x, i):
        return jnp.exp(x) + 1, x.sum(), i + i, jnp.where(x > 0, x, 0), jnp.cumsum(x, 0)

    x = spec(3, 4)
    integers = jax.ShapeDtypeStruct((3,), jnp.int32)
    assert inspect.flops(function, x, integers) == 12 + 12 + 11 + 12
    assert inspect.flops(lambda x: nn.max_pool((2, 2)).apply({}, {}, x)[0], IMAGE) == (
        B * 6 * 6 * 6 * 3
    )


def test_what_has_no_known_length_is_told():
    def until(x):
        return jax.lax.while_loop(lambda x: x.sum() < 9, lambda x: x @ x, x)

    with pytest.warns(UserWarning, match="its body counts once"):
        assert inspect.flops(until, spec(3, 3)) >= 2 * 27


MODEL = nn.serial(
    nn.conv(4, (3, 3)), nn.batch_norm(), nn.relu, nn.flatten(), nn.dropout(0.5),
    nn.stack(nn.residual(nn.dense(64)), 2), head=nn.dense(2),
)  # fmt: skip


def test_the_rows_of_a_summary_add_up():
    table = summary(MODEL, spec(B, 4, 4, 2), depth=3, backward=True)
    rows = {row.path: row for row in table.rows}
    top = [row for path, row in rows.items() if "/" not in path]
    relu = B * 4 * 4 * 4
    assert table.total.flops == sum(row.flops for row in top) + relu
    assert table.total.params == sum(row.params for row in top)
    assert rows["stack_0/body"].params == 2 * (64 * 64 + 64)
    assert rows["stack_0/body"].flops == 2 * (2 * B * 64 * 64 + B * 64)
    assert rows["stack_0/body"].activations == 2 * B * 64 * 4
    assert rows["head"].backward >= 2 * rows["head"].flops - 8 * B
    assert rows["conv_0"].backward < 1.1 * rows["conv_0"].flops  # no gradient of the input


def test_a_summary_shows_itself():
    import rich.console

    table = summary(MODEL, spec(B, 4, 4, 2), depth=1)
    lines = str(table).splitlines()
    assert lines[0].split()[3:] == ["params", "bytes", "activations", "flops"]
    assert "<td>stack_0</td>" in table._repr_html_()
    console = rich.console.Console(width=200, record=True, file=io.StringIO())
    console.print(table)
    assert "stack_0" in console.export_text()
    assert len(lines) == 1 + 6 + 1 < len(str(summary(MODEL, spec(B, 4, 4, 2))).splitlines())


def test_remat_keeps_less_for_the_backward_pass():
    body = nn.serial(nn.dense(8), jnp.tanh, nn.dense(8), jnp.tanh)
    kept = [
        summary(nn.stack(body, 3, remat=remat), spec(B, 8), backward=True).kept
        for remat in (False, True)
    ]
    assert kept[1] == 4 * 3 * B * 8  # the input of every copy
    assert kept[0] > 2 * kept[1]


def test_operations_without_inputs_or_outputs_count_nothing():
    def noted(x):
        jax.debug.callback(lambda x: None, x)
        return x * jnp.arange(8.0)

    assert inspect.flops(noted, spec(8)) == 8


def test_a_scatter_counts_what_it_adds_and_a_solve_is_counted_once():
    def pick(table, ids):
        return table[ids].sum()

    ids = jax.ShapeDtypeStruct((5,), jnp.int32)
    added = inspect.flops(jax.grad(pick), spec(9, 3), ids)
    assert 5 * 3 <= added < 2 * 5 * 3 + 9 * 3
    square, right = spec(6, 6), spec(6, 2)
    whole = inspect.flops(jnp.linalg.solve, square, right)
    parts = inspect.flops(jax.scipy.linalg.lu_factor, square)
    assert parts < whole < parts + 4 * 6 * 6 * 2
