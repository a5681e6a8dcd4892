"""The network and the loss that train the demo weights."""

import keras
import numpy as np
import pytest

import mammo
from mammo.models.weights import named_weights
from mammo.research import pretraining_data, pretraining_model

pytestmark = pytest.mark.training


def test_the_loss_of_whole_images_by_hand():
    """Three images of two cells; the place counts where there is something malignant."""
    kinds = len(pretraining_data.KINDS)
    truth = np.array([[1, 6, 0], [0, -1, 0], [0, 3, 0]])
    cells = np.full((3, 2, kinds), 0.1 / (kinds - 1))
    cells[0, 0, 6], cells[0, 1, 0], cells[1, 0, 5], cells[1, 1, 0], cells[2, 0, 3], cells[2, 1, 0] = (
        *(0.4, 0.5, 0.9, 0.2, 0.7, 0.6),
    )
    evidence = np.array([[0.3, 1.0], [5.0, 0.0], [4.0, 0.0]])
    output = np.concatenate([[[0.25, 0.75], [0.6, 0.4], [0.9, 0.1]], evidence, cells.reshape(3, -1)], axis=1)
    image = -np.log([0.75, 0.6, 0.9]).mean()
    lesions, normal = -np.log([0.4, 0.7]).mean(), -np.log([0.5, 0.2, 0.6]).mean()
    place = -np.log(np.exp(0.3) / (np.exp(0.3) + np.exp(1.0)))
    loss = float(pretraining_model.whole_loss(truth, output.astype(np.float32)))
    assert loss == pytest.approx(image + lesions + normal + place, abs=1e-4)


def test_the_evidence_of_the_cells_is_the_heatmap_and_adds_up_to_the_score():
    keras.utils.set_random_seed(0)
    net = pretraining_model.network((96, 64), cells=True)
    x = np.random.default_rng(0).random((1, 96, 64, 1), np.float32)
    output = net(x, training=False).numpy()[0]
    evidence = output[2:8]
    assert evidence.sum() == pytest.approx(np.log(output[1] / output[0]), rel=1e-3), "a new head has no biases"
    model = keras.Model(net.input, net.get_layer("probabilities").output)
    for sign in (1, -1):  # a random head may find nothing that speaks for malignant
        out = net.get_layer("probabilities")
        out.set_weights([sign * w for w in out.get_weights()])
        evidence = net(x, training=False).numpy()[0, 2:8].reshape(3, 2)
        expected = np.clip(evidence / max(evidence.max(), 1e-12), 0, 1)
        np.testing.assert_allclose(mammo.grad_cam(model, x[0])[::32, ::32], expected, atol=0.02)


def test_the_next_stage_starts_from_the_weights_of_the_last():
    keras.utils.set_random_seed(0)
    patch = pretraining_model.network((64, 64), cells=False)
    whole = pretraining_model.network((96, 64), cells=True, trained=patch)
    assert whole.output_shape == (None, 2 + 3 * 2 + 3 * 2 * len(pretraining_data.KINDS))
    before, after = named_weights(patch), named_weights(whole)
    for name in ("conv1_conv:0", "conv5_block3_3_conv:0", "kinds:0"):
        np.testing.assert_array_equal(before[name], after[name])


def test_dead_units_of_the_head_are_drawn_anew_and_learn_while_all_else_stays():
    keras.utils.set_random_seed(0)
    net = pretraining_model.network((64, 64), cells=True)
    x = np.random.default_rng(0).random((4, 64, 64, 1), np.float32)
    head = net.get_layer("head")
    kernel, bias = head.get_weights()
    bias[:1000] = -1e6
    head.set_weights([kernel, bias])
    hidden = keras.Model(net.input, head.output)
    alive = (hidden(x).numpy() > 0).any(axis=0)
    answers, before = net(x, training=False).numpy()[:, :2], named_weights(net)
    assert pretraining_model.revive_head(net, x) == (~alive).sum() > 990
    np.testing.assert_allclose(net(x, training=False).numpy()[:, :2], answers, rtol=1e-5)
    assert (hidden(x).numpy() > 0).any(axis=0)[:1000].mean() > 0.4, "random features of four images are alike"
    net.compile("adam", pretraining_model.whole_loss)
    cells = net.output_shape[1] // (1 + len(pretraining_data.KINDS))
    truth = np.zeros((4, 1 + cells), int)
    truth[::2] = 7
    truth[:, 0] = truth[:, 0] > 0
    for _ in range(2):  # the first step gives the new units a weight in the output, the second reaches their own
        net.train_on_batch(x, truth)
    changed = {name for name, values in named_weights(net).items() if not np.array_equal(values, before[name])}
    assert changed == {"head:0", "head:1", "probabilities:0", "probabilities:1"}
    assert np.abs(head.get_weights()[0] - before["head:0"])[:, alive].max() > 0
