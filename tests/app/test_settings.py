"""Settings are checked before anything is done, and a run goes on only with its own."""

import pytest

from niwaki.app.settings import Settings, as_config, from_config
from niwaki.core import BudgetError, TrainError


@pytest.mark.parametrize(
    ("changed", "error", "message"),
    [
        ({"density": 0}, BudgetError, r"density 0 is outside \(0, 1\]; it is the share of the units that stays"),
        ({"density": 1.5}, BudgetError, "density 1.5 is outside"),
        ({"density": float("nan")}, BudgetError, "density nan is outside"),
        ({"epochs": 3}, TrainError, "give the length of the run either in steps or in epochs"),
        ({"steps": None}, TrainError, "either in steps or in epochs"),
        ({"steps": 0}, TrainError, "steps = 0 is not a positive number"),
        ({"batch": -1}, TrainError, "batch = -1 is not a positive number"),
        ({"lr": float("inf")}, TrainError, "lr = inf is not a positive number"),
        ({"checkpoint_every": 0}, TrainError, "checkpoint_every = 0 is not"),
        ({"seed": -1}, TrainError, "seed = -1 is negative"),
        ({"momentum": 1.0}, TrainError, r"momentum 1.0 must be in \[0, 1\)"),
        ({"weight_decay": -1.0}, TrainError, "weight decay -1.0 not negative"),
        ({"optimizer": "adam"}, TrainError, "optimizer 'adam' is unknown; choose from sgd, adamw"),
        ({"schedule": "step"}, TrainError, "schedule 'step' is unknown; choose from cosine, constant"),
        ({"precision": "fp16"}, TrainError, "precision 'fp16' is unknown; choose from fp32, bf16"),
    ],
)
def test_wrong_settings_are_named(changed, error, message):
    with pytest.raises(error, match=message):
        Settings(**{"model": "zoo:mlp", "data": "digits", "steps": 10, **changed})


def test_a_run_goes_on_with_the_settings_it_was_begun_with():
    begun = Settings("zoo:mlp", "digits", epochs=2.5, lr=0.2, switches={"H": 3, "phases": (0.1, 0.2)})
    config = as_config(begun, steps=50, per_epoch=20, command="niwaki train ...")
    config["switches"] = {"H": 3, "phases": [0.1, 0.2]}  # as JSON gives it back
    assert (config["steps"], config["epochs"], config["command"]) == (50, 2.5, "niwaki train ...")
    same = from_config(config, {"lr": 0.2, "epochs": 2.5, "switches": {"H": 3, "phases": (0.1, 0.2)}}, "run")
    assert (same.steps, same.epochs, same.lr) == (50, None, 0.2)
    assert from_config(config, {"threads": 3, "checkpoint_every": 7}, "run").threads == 3
    with pytest.raises(TrainError, match=r"the run in run was begun with lr = 0.2, not 0.1; leave the option out"):
        from_config(config, {"lr": 0.1}, "run")
    with pytest.raises(TrainError, match=r"begun with switches = .*'H': 3.*, not .*'H': 4"):
        from_config(config, {"switches": {"H": 4}}, "run")


def test_the_density_asked_of_a_dense_run_does_not_matter():
    config = as_config(Settings("m", "d", method="dense", density=1.0, steps=5), steps=5, per_epoch=5, command="")
    assert from_config(config, {"density": 0.1}, "run").density == 1.0
