"""The catalogue: shipped schemas, checks with the provider's oddities, invented prices."""

import pytest

from batchgen.simulator.catalog import PRICING_NOTE, Catalogue, Model

CATALOGUE = Catalogue()
SEEDREAM = CATALOGUE.models["bytedance/seedream-4-0/edit-sequential"]
GOOD = {"images": ["https://example.com/a.png"], "text": "a dune"}


def test_all_shipped_models_are_offered_with_a_price_that_says_it_is_not_the_providers() -> None:
    assert len(CATALOGUE.models) == 19
    entry = SEEDREAM.entry(include_schema=True)
    assert entry["pricing_note"] == PRICING_NOTE
    assert entry["required_inputs"] == ["images", "text"]
    assert entry["input_schema"]["properties"]["images"]["validations"][0]["validation_rule"] == "file_size_mb<"
    assert "input_schema" not in SEEDREAM.entry(include_schema=False)


def test_a_price_counts_the_cap_that_was_asked_for() -> None:
    assert SEEDREAM.price_micro({**GOOD, "sequential_image_generation_options": 15}) == 15 * 30_000
    assert SEEDREAM.price_micro(GOOD) == 3 * 30_000
    assert CATALOGUE.models["wan-ai/wan-3.0/image-to-video"].price_micro({"duration": 8}) == 8 * 80_000
    assert CATALOGUE.models["wan-ai/wan-3.0/image-to-video"].price_micro({}) == 5 * 80_000


def test_film_and_sound_are_priced_by_the_second_and_pictures_by_the_output() -> None:
    for model in CATALOGUE.models.values():
        assert model.price_unit == ("output" if model.media in ("image", "edit") else "second")


def test_a_length_may_be_text_and_where_the_server_chooses_it_charges_for_what_it_makes() -> None:
    film = CATALOGUE.models["wan-ai/wan-3.0/image-to-video"]
    assert film.price_micro({"duration": "7.5s"}) == 600_000
    assert film.price_micro({"duration": "auto"}) == film.price_micro({})
    sound = CATALOGUE.models["bytedance/seed-audio-1.0/text-to-audio"]
    assert sound.price_micro({"prompt": "rain"}) == 4 * 2_000  # its WAV is four seconds long


def test_problems_name_the_place() -> None:
    assert SEEDREAM.problems(GOOD) == []
    problems = SEEDREAM.problems({"images": [], "text": 7, "image_size": "huge"})
    assert [problem["loc"] for problem in problems] == [["body", "image_size"], ["body", "images"], ["body", "text"]]


def test_float_is_a_number_and_a_null_default_may_be_sent() -> None:
    flux = CATALOGUE.models["blackforestlabs/flux-2/flash/text-to-image"]
    assert flux.problems({"prompt": "x", "guidance_scale": 3.5, "seed": None}) == []
    assert flux.problems({"prompt": "x", "guidance_scale": 3}) == []
    assert len(flux.problems({"prompt": "x", "guidance_scale": "3"})) == 1
    assert len(flux.problems({"prompt": "x", "guidance_scale": 20.5})) == 1


def test_required_that_names_an_absent_property_is_no_demand() -> None:
    schema = {"type": "object", "required": ["image_urls"], "properties": {"images": {"type": "array"}}}
    assert Model("a/b", "model", ["text-to-image"], schema, 1, "output").problems({}) == []


def test_a_page_is_searched_filtered_and_cut() -> None:
    seedream = CATALOGUE.page({"search": "SEEDREAM"})
    assert seedream["total"] == 3
    assert [
        model["model_id"] for model in CATALOGUE.page({"search": "seedream", "limit": "1", "offset": "1"})["models"]
    ] == ["bytedance/seedream-5.0-pro/image-to-image"]
    by_name, by_description = CATALOGUE.page({"search": "ace STEP"}), CATALOGUE.page({"search": "Double of acestep-AI"})
    assert [found["total"] for found in (by_name, by_description)] == [1, 1]
    assert CATALOGUE.page({"search": "no such words"})["total"] == 0
    assert CATALOGUE.page({"category": "text-to-audio"})["total"] == 2
    assert CATALOGUE.page({"kind": "workflow"})["total"] == 0
    assert all("input_schema" in model for model in CATALOGUE.page({"include_schema": "true"})["models"])
    with pytest.raises(ValueError, match="limit must be"):
        CATALOGUE.page({"limit": "501"})
