"""Addresses lead to models, or say why not and what would."""

import sys
import types

import pytest
import safetensors.torch
import torch
from torch import nn

from niwaki.app.addresses import literal, parse
from niwaki.app.models import load_model
from niwaki.core import AddressError


def test_an_address_is_taken_apart():
    address = parse("zoo:mlp?widths=64,10&bias-free=true")
    assert (address.scheme, address.rest) == ("zoo", "mlp")
    assert address.options == {"widths": (64, 10), "bias_free": True}
    assert parse("python:a.b:c").rest == "a.b:c"
    assert parse("npz:C:\\data\\x.npz").rest == "C:\\data\\x.npz"


@pytest.mark.parametrize(
    ("text", "value"),
    [("3", 3), ("-1.5", -1.5), ("1e-3", 0.001), ("true", True), ("None", None), ("a,2", ("a", 2)), ("x y", "x y")],
)
def test_literals(text, value):
    assert literal(text) == value
    assert type(literal(text)) is type(value)


def test_models_of_the_zoo_take_options_and_hints():
    model = load_model("zoo:mlp?widths=4,3,2")
    assert [tuple(p.shape) for p in model.parameters()] == [(3, 4), (3,), (2, 3), (2,)]
    assert load_model("zoo:resnet20", classes=7, channels=1).get_parameter("linear.weight").shape == (7, 64)
    assert load_model("zoo:resnet20?classes=5", classes=7).get_parameter("linear.weight").shape == (5, 64)
    assert load_model("zoo:cnn", channels=3).get_parameter("conv1.weight").shape[1] == 3


def test_weights_are_loaded_from_a_file(tmp_path):
    source = load_model("zoo:mlp?widths=4,3,2")
    file = tmp_path / "w.safetensors"
    safetensors.torch.save_file(source.state_dict(), file)
    loaded = load_model(f"zoo:mlp?widths=4,3,2&weights={file}")
    assert all(torch.equal(a, b) for a, b in zip(source.parameters(), loaded.parameters(), strict=True))
    with pytest.raises(AddressError, match=r"the weights in .*w.safetensors do not fit the model: .*size mismatch"):
        load_model(f"zoo:mlp?widths=4,5,2&weights={file}")
    with pytest.raises(AddressError, match=r"cannot read the weights .*gone.safetensors .*; give a .safetensors file"):
        load_model(f"zoo:mlp?weights={tmp_path}/gone.safetensors")
    file.write_bytes(b"nothing")
    with pytest.raises(AddressError, match="cannot read the weights"):
        load_model(f"zoo:mlp?weights={file}")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("zo:resnet20", r"'zo:resnet20' has the unknown scheme 'zo'; did you mean 'zoo:resnet20'"),
        ("resnet20", r"'resnet20' is no address: .* a scheme and a colon; .*Known: zoo:resnet20, .*timm:NAME"),
        ("zoo:", r"'zoo:' names no model"),
        ("zoo:resnet21", r"the zoo has no 'resnet21'; did you mean .*'resnet20'.*Known: .*lenet300"),
        ("zoo:ResNet", r"the zoo has no 'ResNet'"),
        ("zoo:mlp?width=3", r"has no option 'width'; did you mean 'widths'\? Known: widths, generator"),
        ("zoo:mlp?widths", r"the option 'widths' needs the form name=value"),
        ("zoo:mlp?widths=3", r"cannot be made: TypeError"),
        ("zoo:mlp?widths=3,", r"cannot be made: ValueError: a perceptron needs at least two positive widths"),
        ("python:nowhere", "needs the form python:package.module:function"),
        ("python:no_such_module_at_all:f", "cannot import no_such_module_at_all .*; run in the folder that holds it"),
        ("python:math:sqroot", r"math has no function 'sqroot'; did you mean 'sqrt'"),
        ("python:math:sqrt", "cannot be made: TypeError"),
    ],
)
def test_a_wrong_model_address_is_explained(text, message):
    with pytest.raises(AddressError, match=message):
        load_model(text)


@pytest.mark.parametrize("scheme", ["timm", "torchvision", "hf"])
def test_a_missing_package_is_named_with_the_command_that_brings_it(monkeypatch, scheme):
    package = {"hf": "transformers"}.get(scheme, scheme)
    monkeypatch.setitem(sys.modules, package, None)
    monkeypatch.delitem(sys.modules, "torchvision.models", raising=False)
    message = rf"needs {package}, which is not installed; run: pip install 'niwaki\[models\]'"
    with pytest.raises(AddressError, match=message):
        load_model(f"{scheme}:resnet18")


def _package(monkeypatch, name, **members):
    module = types.ModuleType(name)
    for key, value in members.items():
        setattr(module, key, value)
    monkeypatch.setitem(sys.modules, name, module)
    return module


def test_timm_and_torchvision_get_names_options_and_classes(monkeypatch):
    def make(name, pretrained=False, **options):
        made.append((name, pretrained, options))
        return nn.Linear(2, options["num_classes"])

    made: list[tuple[object, ...]] = []
    names = ["resnet18", "resnet34"]
    _package(monkeypatch, "timm", create_model=make, is_model=names.__contains__, list_models=lambda: names)
    models = _package(monkeypatch, "torchvision.models", get_model=make, list_models=lambda: names)
    _package(monkeypatch, "torchvision", models=models)
    load_model("timm:resnet18?pretrained=true", classes=5)
    load_model("torchvision:resnet34?num_classes=7", classes=5)
    assert made == [("resnet18", True, {"num_classes": 5}), ("resnet34", False, {"num_classes": 7})]
    for scheme in ("timm", "torchvision"):
        with pytest.raises(
            AddressError, match=rf"'{scheme}:resnet19': {scheme} has no such model; did you mean 'resnet1"
        ):
            load_model(f"{scheme}:resnet19")


def test_hf_makes_the_architecture_that_the_configuration_names(monkeypatch):
    class Auto:
        @staticmethod
        def from_pretrained(path):
            if path != "here":
                raise OSError(f"no folder {path}")
            return types.SimpleNamespace(architectures=["TinyModel"])

    class TinyModel(nn.Linear):
        @staticmethod
        def from_pretrained(path, bits=32):
            return TinyModel(bits, 1)

    _package(monkeypatch, "transformers", AutoConfig=Auto, AutoModel=None, TinyModel=TinyModel)
    assert load_model("hf:here?bits=8", classes=5).get_parameter("weight").shape == (1, 8)
    with pytest.raises(AddressError, match="'hf:gone' cannot be made: OSError: no folder gone"):
        load_model("hf:gone")


def test_functions_of_the_current_folder(own_modules):
    (own_modules / "my_own_nets.py").write_text(
        "from torch import nn\n"
        "def net(width=3, classes=2):\n    return nn.Linear(width, classes)\n"
        "def number():\n    return 3\n"
        "def broken():\n    raise RuntimeError('no luck')\n"
    )
    weight = load_model("python:my_own_nets:net?width=5", classes=4, channels=1).get_parameter("weight")
    assert weight.shape == (4, 5)
    with pytest.raises(AddressError, match="gave a int, not a torch.nn.Module"):
        load_model("python:my_own_nets:number")
    with pytest.raises(AddressError, match="cannot be made: RuntimeError: no luck"):
        load_model("python:my_own_nets:broken")
    with pytest.raises(AddressError, match="has no option 'depth'; .*Known: width, classes"):
        load_model("python:my_own_nets:net?depth=5")
