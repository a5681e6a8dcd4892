import numpy as np

from mammo.synthetic import draw_patient, phantom
from mammo.synthetic.acquisition import LOOKS, draw_acquisition, with_labels


def test_film_and_digital_look_their_part():
    rng = np.random.default_rng(0)
    for look in LOOKS:
        image, _ = phantom(draw_patient(rng, "normal", 0, look), "L", "CC", (256, 192), rng)
        background = image[:, -20:]
        assert (background.max() == 0) == (look == "digital")
    units = [draw_acquisition(np.random.default_rng(n)) for n in range(200)]
    assert {unit.look for unit in units} == set(LOOKS)
    assert not any(any(unit.border) for unit in units if unit.look == "digital")
    film = next(unit for unit in units if unit.border[0] and unit.sticker)
    labelled = with_labels(np.zeros((256, 192), np.float32), "L CC", False, film, rng)
    assert (labelled[0] > 0.8).all()
    assert labelled[10:40, 140:].max() > 0.85
    assert (labelled[60:200, 20:120] == 0).all()
