"""How many outputs and seconds a request asks for at most; 0 where nobody can say."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from batchgen.models import ModelSchema, shipped, shipped_model_ids

INTEGER = {"type": "integer"}
BOUNDED = {"type": "integer", "minimum": 5, "maximum": 30}


def units(properties: dict[str, Any], request_input: dict[str, Any], unit: str = "second") -> int:
    return ModelSchema("a/b", {"properties": properties}, price_unit=unit).units(request_input)


@pytest.mark.parametrize(
    ("field", "value", "seconds"),
    [
        (BOUNDED, 12, 12),
        (BOUNDED, 7.5, 8),  # a fraction is rounded up
        (BOUNDED, "7.5", 8),
        (BOUNDED, "10s", 10),
        (BOUNDED, " 10 sec ", 10),
        (BOUNDED, "1500ms", 2),
        (BOUNDED, "2 minutes", 120),
        ({"type": "string"}, "10s", 10),
        (BOUNDED | {"default": 6}, None, 6),
        (BOUNDED | {"default": "6s"}, None, 6),
        (BOUNDED, None, 30),  # left out without a default: the maximum
        (BOUNDED | {"default": None}, None, 30),
        (BOUNDED | {"default": "auto"}, None, 30),
        (BOUNDED | {"default": -1}, None, 30),
        (BOUNDED, -1, 30),  # the model chooses
        (BOUNDED, 0, 30),
        (BOUNDED, "Auto", 30),
        (BOUNDED, True, 30),
        ({"enum": ["auto", "5", "6", "20"]}, "auto", 20),
        ({"enum": ["auto", "5", "20"], "default": "auto"}, None, 20),
        ({"enum": ["auto", "5", "20"], "default": "auto"}, "5", 5),
        ({"enum": ["match", "5s", "1200ms"]}, "match", 5),
        ({"anyOf": [{"type": "integer", "maximum": 15}, {"const": "auto"}]}, "auto", 15),
        ({"oneOf": [{"enum": [4, 8]}, {"type": "null"}]}, None, 8),
        ({"type": "number", "exclusiveMaximum": 12.5}, None, 13),
        (INTEGER, None, 0),  # nothing bounds it
        (INTEGER, -1, 0),
        ({"type": "string"}, "auto", 0),
        ({"enum": ["short", "long"], "default": "short"}, "long", 0),
        ({"enum": ["auto", "5", "0:30"]}, "auto", 0),  # what cannot be read may be the longest
        ({"type": "string"}, "0:30", 0),
        (INTEGER, 10**40, 0),  # no count that anybody could price
        ({"type": "number", "maximum": float("inf")}, None, 0),
    ],
)
def test_a_length_is_its_number_else_the_most_that_the_schema_offers_else_unknown(
    field: dict[str, Any], value: Any, seconds: int
) -> None:
    assert units({"duration": field}, {} if value is None else {"duration": value}) == seconds


@pytest.mark.parametrize("name", ["duration", "video_length", "seconds", "audioDuration", "target_duration_seconds"])
def test_a_length_is_known_by_its_name(name: str) -> None:
    assert units({name: BOUNDED}, {name: 9}) == 9


@pytest.mark.parametrize(
    ("properties", "request_input", "seconds"),
    [
        (
            {"music_length_ms": {"type": "integer", "minimum": 3000, "maximum": 300_000}},
            {"music_length_ms": 30_500},
            31,
        ),
        ({"music_length_ms": {"type": "integer", "maximum": 300_000, "default": None}}, {}, 300),
        ({"music_length_ms": INTEGER}, {}, 0),
        ({"duration_minutes": INTEGER}, {"duration_minutes": 2}, 120),
        ({"length": {"type": "integer", "description": "The song's length in minutes."}}, {"length": 3}, 180),
        ({"length": {"type": "integer", "description": "How long the text is, in words."}}, {"length": 300}, 0),
        ({"num_frames": {"type": "integer", "default": 121}}, {}, 0),  # of how many a second?
        ({"num_frames": {"type": "integer", "default": 121}, "fps": {"default": 24}}, {}, 6),
        ({"num_frames": {"type": "integer", "default": 121}, "fps": {"default": 24}}, {"fps": 12}, 11),
        ({"num_frames": {"maximum": 240}, "frames_per_second": {"default": "auto"}}, {}, 0),
        ({"length": {"title": "Number of frames", "maximum": 81}, "frame_rate": {"default": 16}}, {}, 6),
        ({"duration": {"default": 5}, "num_frames": INTEGER}, {}, 5),  # what is left out and has no default is silent
        ({"duration": {"default": 5}, "num_frames": INTEGER}, {"num_frames": 500}, 0),
        ({"duration": {"default": 5}, "num_frames": INTEGER, "fps": {"default": 10}}, {"num_frames": 500}, 50),
        ({"min_duration": INTEGER, "fade_duration": BOUNDED}, {"min_duration": 3, "fade_duration": 9}, 0),
        ({"video": {"type": "string", "format": "video_uri"}}, {"video": "https://e.com/a.mp4"}, 0),
        ({"duration": BOUNDED, "num_videos": {"type": "integer", "maximum": 4}}, {"duration": 6, "num_videos": 3}, 18),
        ({"duration": BOUNDED, "num_videos": INTEGER}, {"duration": 6}, 0),
    ],
)
def test_other_units_are_seconds_where_the_schema_gives_the_rate(
    properties: dict[str, Any], request_input: dict[str, Any], seconds: int
) -> None:
    assert units(properties, request_input) == seconds


def test_shots_with_a_length_each_add_up() -> None:
    shots = {"type": "array", "items": {"properties": {"prompt": {"type": "string"}, "duration": INTEGER}}}
    properties = {"duration": {"default": 5}, "multi_prompt": shots}
    assert units(properties, {}) == 5
    assert units(properties, {"multi_prompt": [{"duration": 4}, {"duration": "6s"}, {"duration": 1}]}) == 11
    assert units(properties, {"multi_prompt": [{"duration": 4}, {"prompt": "a dune"}]}) == 0


@pytest.mark.parametrize(
    ("properties", "request_input", "outputs"),
    [
        ({"prompt": {"type": "string"}}, {}, 1),
        ({"num_images": {"type": "integer", "maximum": 4}}, {}, 4),
        ({"num_images": {"type": "integer", "maximum": 4, "default": 2}}, {}, 2),
        ({"num_images": INTEGER}, {}, 0),
        ({"num_images": INTEGER}, {"num_images": "3"}, 3),
        ({"num_images": INTEGER}, {"num_images": 2.0}, 2),
        ({"num_outputs": {"maximum": 4}}, {"num_outputs": 3}, 3),
        ({"n": {"enum": [1, 2, 10]}}, {}, 10),
        ({"image_count": {"enum": ["auto", "9"]}}, {"image_count": "auto"}, 9),
        ({"num_images": {"default": 2}, "max_images": {"default": 3}}, {}, 6),  # so many generations of so many
        ({"num_inference_steps": {"default": 30}, "max_tokens": {"default": 9}}, {}, 1),
    ],
)
def test_outputs_are_the_count_else_the_default_else_the_maximum_else_unknown(
    properties: dict[str, Any], request_input: dict[str, Any], outputs: int
) -> None:
    schema = ModelSchema("a/b", {"properties": properties}, price_unit="output")
    assert schema.units(request_input) == outputs
    assert schema.outputs_asked(request_input) == max(outputs, 1)


@pytest.mark.parametrize("unit", ["image", "megapixel", "request", "Second", None, "['output']"])
def test_a_price_of_anything_else_than_outputs_and_seconds_is_unknown(unit: str) -> None:
    assert units({"duration": BOUNDED, "num_images": {"default": 1}}, {"duration": 5}, unit) == 0


def test_every_shipped_model_is_priced_by_what_it_makes_and_bounded_where_its_schema_is() -> None:
    unbounded = set()
    for model_id in shipped_model_ids():
        schema = shipped(model_id)
        assert schema is not None
        assert schema.price_unit == ("second" if model_id.endswith(("video", "audio", "720p")) else "output")
        if not schema.units({}):
            unbounded.add(model_id)
    assert unbounded == {
        "bytedance/seed-audio-1.0/text-to-audio",
        "runwayml/runway-aleph-2/video-to-video",
        "google/nano-banana-2/text-to-image",  # a count without default and maximum
    }


@given(st.integers(1, 10**6), st.integers(1, 60))
def test_frames_are_never_counted_as_less_than_they_last(frames: int, fps: int) -> None:
    seconds = units({"num_frames": INTEGER, "fps": INTEGER}, {"num_frames": frames, "fps": fps})
    assert seconds - 1 < frames / fps <= seconds
