"""Sampling between the entries: what a picture is everywhere follows from a few laws."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.test_util import check_grads
from promises import arrays

from jdl import ConfigError, DTypeError, ShapeError, nn

MODES = ["bilinear", "nearest", "bicubic"]
PADDINGS = ["zeros", "border", "reflection"]
STATIC = ("mode", "padding", "align_corners")

sample = jax.jit(nn.grid_sample, static_argnames=STATIC)
affine = jax.jit(nn.affine_grid, static_argnames=("size", "align_corners"))
images = arrays((2, 5, 6, 3))[0]


def assert_close(a, b, tolerance=1e-4):
    assert a.shape == b.shape, f"{a.shape} != {b.shape}"
    np.testing.assert_allclose(a, b, rtol=tolerance, atol=tolerance)


def grid_of(*axes, sizes: tuple, align_corners: bool = False) -> jax.Array:
    """The grid of places counted in entries, given axis by axis in the order of space."""
    scaled = [
        2 * place / (n - 1) - 1 if align_corners else (2 * place + 1) / n - 1
        for place, n in zip(axes, sizes, strict=True)
    ]
    return jnp.stack(scaled[::-1], -1)


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("padding", PADDINGS)
@pytest.mark.parametrize("align_corners", [True, False])
def test_the_identity_gives_the_picture_back(mode, padding, align_corners):
    theta = jnp.broadcast_to(jnp.eye(2, 3), (2, 2, 3))
    grid = affine(theta, size=(5, 6), align_corners=align_corners)
    y = sample(images, grid, mode=mode, padding=padding, align_corners=align_corners)
    assert_close(y, images)


@pytest.mark.parametrize("align_corners", [True, False])
def test_bilinear_keeps_a_plane_and_all_modes_keep_a_constant(align_corners):
    rows, columns = jnp.meshgrid(jnp.arange(5.0), jnp.arange(6.0), indexing="ij")
    plane = (2 * rows - 3 * columns + 1)[None, ..., None]
    places = 4 * jax.random.uniform(jax.random.key(1), (2, 1, 9))
    grid = grid_of(*places, sizes=(5, 6), align_corners=align_corners)
    y = sample(plane, grid, align_corners=align_corners)
    assert_close(y[..., 0], 2 * places[0] - 3 * places[1] + 1)
    for mode in MODES:
        constant = sample(jnp.full_like(plane, 3), 2 * grid, mode=mode, padding="border")
        assert_close(constant, jnp.full((1, 9, 1), 3.0))


def test_bicubic_is_the_kernel_of_keys_with_the_constant_of_torch():
    impulse = jnp.zeros((9, 1)).at[4].set(1.0)
    places = jnp.array([4, 4.5, 3, 5.5, 6, 2.5])
    y = sample(impulse, grid_of(places, sizes=(9,)), mode="bicubic")
    assert_close(y[:, 0], jnp.array([1, 0.59375, 0, -0.09375, 0, -0.09375]))


def outside(padding: str, align_corners: bool) -> np.ndarray:
    """The pictures with three entries more on every side."""
    if padding == "zeros":
        mode = "constant"
    elif padding == "border":
        mode = "edge"
    else:
        mode = "reflect" if align_corners else "symmetric"
    return np.pad(images, [(0, 0), (3, 3), (3, 3), (0, 0)], mode=mode)


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("padding", PADDINGS)
@pytest.mark.parametrize("align_corners", [True, False])
def test_what_is_outside_is_as_if_it_had_been_padded(mode, padding, align_corners):
    rows, columns = jax.random.uniform(jax.random.key(2), (2, 2, 40), minval=-1, maxval=5)
    options = {"mode": mode, "align_corners": align_corners}
    small = grid_of(rows, columns, sizes=(5, 6), align_corners=align_corners)
    large = grid_of(rows + 3, columns + 3, sizes=(11, 12), align_corners=align_corners)
    y = sample(images, small, padding=padding, **options)
    assert_close(y, sample(jnp.asarray(outside(padding, align_corners)), large, **options))


def test_far_outside_is_zero_the_edge_or_a_picture_mirrored_on():
    grid = grid_of(jnp.array([[2.0] * 2] * 2), jnp.array([[30.0, -41.0]] * 2), sizes=(5, 6))
    assert (sample(images, grid) == 0).all()
    border = sample(images, grid, padding="border")
    assert_close(border, images[:, 2, jnp.array([5, 0])])
    mirrored = sample(images, grid, padding="reflection")
    assert_close(mirrored, images[:, 2, jnp.array([5, 4])], 1e-3)


def test_nearest_takes_one_entry_as_it_is():
    rows, columns = jax.random.uniform(jax.random.key(3), (2, 2, 30), minval=0, maxval=4)
    y = sample(images, grid_of(rows, columns, sizes=(5, 6)), mode="nearest")
    row, column = (jnp.round(places).astype(int) for places in (rows, columns))
    assert (y == jax.vmap(lambda x, i, j: x[i, j])(images, row, column)).all()


@pytest.mark.parametrize("shape", [(7,), (3, 4), (2, 3, 4)], ids=str)
def test_the_last_axis_of_the_grid_tells_the_rank_and_the_axes_before_are_free(shape):
    rank = len(shape)
    x = arrays((2, 3, *shape, 2))[0]
    grid = jax.random.uniform(jax.random.key(4), (2, 3, 5, rank), minval=-1)
    y = sample(x, grid)
    assert y.shape == (2, 3, 5, 2)
    assert_close(sample(x[1, 2], grid[1, 2, 0]), y[1, 2, 0])
    assert_close(jax.vmap(nn.grid_sample)(x, grid), y)


@pytest.mark.parametrize(
    ("mode", "padding"), [("bilinear", "zeros"), ("bicubic", "reflection")]
)
def test_gradients_are_those_of_finite_differences(mode, padding):
    x, grid = images[:1, :, :, :1], jax.random.normal(jax.random.key(5), (1, 6, 2))
    run = functools.partial(sample, mode=mode, padding=padding)
    with jax.enable_x64(True):
        inputs = jnp.asarray(x, jnp.float64), jnp.asarray(grid, jnp.float64)
        assert run(*inputs).dtype == jnp.float64
        check_grads(run, inputs, order=1, eps=1e-6, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("padding", PADDINGS)
def test_between_two_entries_the_slope_is_their_difference_also_on_the_first(padding):
    x = jnp.array([[1.0], [5.0], [2.0]])
    slopes = jax.vmap(jax.grad(lambda at: sample(x, at, padding=padding).sum()))(
        grid_of(jnp.array([0.5, 1.0, 1.25]), sizes=(3,))
    )
    assert_close(slopes[:, 0] / 1.5, jnp.array([4.0, -3.0, -3.0]))


def test_dtypes_promote_and_a_batch_may_be_empty():
    half = images.astype(jnp.bfloat16)
    grid = affine(jnp.broadcast_to(jnp.eye(2, 3), (2, 2, 3)), size=(4, 4))
    for x, where in ((half, grid), (images, grid), (half, grid.astype(jnp.bfloat16))):
        expected = jnp.result_type(x, where)
        assert jax.eval_shape(nn.grid_sample, x, where).dtype == expected
    assert sample(images[:0], grid[:0]).shape == (0, 4, 4, 3)
    assert affine(jnp.eye(2, 3, dtype=jnp.bfloat16), size=(2, 2)).dtype == jnp.bfloat16


@pytest.mark.parametrize("align_corners", [True, False])
@pytest.mark.parametrize("size", [(4,), (3, 5), (2, 3, 4)], ids=str)
def test_a_composed_map_gives_the_mapped_grid(size, align_corners):
    rank = len(size)
    a, b = jax.random.normal(jax.random.key(6), (2, rank, rank + 1))
    last = jnp.eye(rank + 1)[-1:]
    composed = a @ jnp.concatenate([b, last])
    inner = affine(b, size=size, align_corners=align_corners)
    expected = inner @ a[:, :-1].T + a[:, -1]
    assert_close(affine(composed, size=size, align_corners=align_corners), expected)


@pytest.mark.parametrize("align_corners", [True, False])
def test_corners_of_the_identity(align_corners):
    grid = affine(jnp.eye(2, 3), size=(4, 5), align_corners=align_corners)
    corner = (1, 1) if align_corners else (1 - 1 / 5, 1 - 1 / 4)  # x, then y
    assert_close(grid[-1, -1], jnp.array(corner))
    assert_close(grid[0, 0], -jnp.array(corner))


@pytest.mark.parametrize(
    ("call", "error", "text"),
    [
        (
            lambda: nn.grid_sample(images, images[..., :2], mode="linear"),
            ConfigError,
            "mode is",
        ),
        (
            lambda: nn.grid_sample(images, images[..., :2], padding="reflect"),
            ConfigError,
            "padding is one of 'zeros', 'border', 'reflection', got 'reflect'",
        ),
        (
            lambda: nn.grid_sample(images, jnp.zeros((3, 4, 4, 2))),
            ShapeError,
            r"got float32\[2,5,6,3\] and float32\[3,4,4,2\]",
        ),
        (
            lambda: nn.grid_sample(images, jnp.zeros((2, 4, 4, 4))),
            ShapeError,
            "n axes in space",
        ),
        (lambda: nn.grid_sample(images[:, :0], jnp.zeros((2, 2))), ShapeError, "images"),
        (lambda: nn.grid_sample(images, jnp.zeros((2, 4, 2), int)), DTypeError, "grid_sample"),
        (
            lambda: nn.affine_grid(jnp.zeros((2, 3, 3)), (4, 4)),
            ShapeError,
            r"an affine map of 2 axes is \[..., 2, 3\], got float32\[2,3,3\]",
        ),
        (lambda: nn.affine_grid(jnp.zeros((2, 3)), (4, 0)), ConfigError, "size is a positive"),
        (lambda: nn.affine_grid(jnp.zeros((2, 3), int), (4, 4)), DTypeError, "affine_grid"),
    ],
)
def test_what_does_not_fit_is_refused(call, error, text):
    with pytest.raises(error, match=text):
        call()
