from __future__ import annotations

import json
from typing import Any

import pytest

from poselift.errors import InputError
from poselift.models.config_json import config_from_json, config_to_json
from poselift.models.lifters import LIFTERS
from poselift.models.lifters.residual_mlp import ResidualMLPConfig
from poselift.models.lifters.simple_baseline import FLAVOURS, SimpleBaselineConfig
from poselift.models.lifters.spatial_temporal import SpatialTemporalConfig

CONFIGS = [*FLAVOURS.values(), *(config() for config, _ in LIFTERS.values())]


@pytest.mark.parametrize("config", CONFIGS, ids=lambda c: type(c).__name__)
def test_through_json_and_back(config: Any):
    values = json.loads(json.dumps(config_to_json(config)))
    assert config_from_json(type(config), values) == config


def test_configs_within_configs():
    config = SpatialTemporalConfig(spatial=ResidualMLPConfig(width=8), filter_widths=(3,))
    values = json.loads(json.dumps(config_to_json(config)))
    assert values["spatial"]["width"] == 8
    assert config_from_json(SpatialTemporalConfig, values) == config
    for wrong, message in (
        (3, "expected an object of fields, found int"),
        ({"depth": 1}, "unknown field of ResidualMLPConfig"),
    ):
        with pytest.raises(InputError, match=message):
            config_from_json(SpatialTemporalConfig, {**values, "spatial": wrong})


def test_missing_fields_take_their_defaults():
    assert config_from_json(SimpleBaselineConfig, {"width": 7}) == SimpleBaselineConfig(width=7)
    assert isinstance(config_from_json(SimpleBaselineConfig, {"dropout": 0}).dropout, float)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"widht": 3}, "unknown field of SimpleBaselineConfig 'widht'; did you mean 'width'"),
        ({"width": "wide"}, "config width: expected int, found 'wide'"),
        ({"width": 3.5}, "config width: expected int"),
        ({"width": True}, "config width: expected int"),
        ({"dropout": None}, "config dropout: expected float"),
        ({"dropout": float("nan")}, "config dropout: expected float"),
        ({"max_norm": 1}, "config max_norm: expected bool"),
        ({"input_frame": "moon"}, "expected one of pixels, screen, look_at, found 'moon'"),
        ({"joints_in": ["nose", 3]}, "config joints_in"),
        ({"joints_in": "nose"}, "config joints_in"),
        ([], "expected an object of fields, found list"),
    ],
)
def test_bad_values(values: Any, message: str):
    with pytest.raises(InputError) as caught:
        config_from_json(SimpleBaselineConfig, values, file="c.json")
    assert str(caught.value).startswith("c.json: ")
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)
