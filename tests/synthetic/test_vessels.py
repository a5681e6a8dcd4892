"""Blood vessels."""

import numpy as np

from mammo.synthetic.vessels import vessels

SHAPE, NIPPLE, MM = (512, 300), (256.0, 280.0), 512 / 240


def test_vessels_are_thin_and_only_calcified_arteries_hold_calcium():
    for number in range(10):
        blood, none = vessels(SHAPE, NIPPLE, False, MM, np.random.default_rng(number))
        _, calcium = vessels(SHAPE, NIPPLE, True, MM, np.random.default_rng(number))
        assert blood.shape == SHAPE
        assert blood.dtype == np.float32
        assert 0 <= blood.min() <= blood.max() <= 1
        assert 0.001 < (blood > 0.05).mean() < 0.1
        assert none.max() == 0
        assert calcium.max() > 0.2
        assert (calcium > 0.05).mean() < 0.05
