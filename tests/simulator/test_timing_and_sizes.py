"""Durations, job times, rates and pixel sizes as people and schemas write them."""

import statistics
from typing import Any

import pytest

from batchgen.simulator.catalog import Catalogue
from batchgen.simulator.faults import roll
from batchgen.simulator.sizes import requested_size
from batchgen.simulator.timing import Bucket, Latency, TimingProblem, duration_s, rate_per_s


@pytest.mark.parametrize(("text", "seconds"), [("50ms", 0.05), ("2s", 2), ("1.5min", 90), ("1h", 3600), ("7d", 604800)])
def test_durations_carry_their_unit(text: str, seconds: float) -> None:
    assert duration_s(text) == pytest.approx(seconds)


@pytest.mark.parametrize("text", ["5", "s", "-1s", "1 week", ""])
def test_a_duration_without_number_or_unit_is_refused(text: str) -> None:
    with pytest.raises(TimingProblem, match="write a number and a unit"):
        duration_s(text)


def times(text: str) -> list[float]:
    latency = Latency.parse(text)
    return [latency.seconds(roll(1, n), roll(2, n)) for n in range(4000)]


def test_lognormal_has_the_median_it_names_and_uniform_its_bounds() -> None:
    assert statistics.median(times("lognormal:2s")) == pytest.approx(2, rel=0.05)
    assert statistics.median(times("lognormal:20s:0.1")) == pytest.approx(20, rel=0.02)
    assert 1 <= min(times("uniform:1s:3s")) <= max(times("uniform:1s:3s")) <= 3
    assert set(times("fixed:50ms")) == {0.05}


def test_bimodal_is_half_short_and_half_long() -> None:
    short = [seconds for seconds in times("bimodal:8s:60s") if seconds < 20]
    assert 0.45 < len(short) / 4000 < 0.55
    assert statistics.median(short) == pytest.approx(8, rel=0.05)


@pytest.mark.parametrize("text", ["lognormal", "gauss:1s", "uniform:1s", "fixed:2", "lognormal:2s:x"])
def test_an_unknown_job_time_is_refused(text: str) -> None:
    with pytest.raises(TimingProblem):
        Latency.parse(text)


def test_a_bucket_lets_one_second_through_at_once_and_then_the_rate() -> None:
    bucket = Bucket(rate_per_s("4/s"), 0.0)
    assert [bucket.wait_s(0.0) for _ in range(5)] == [0, 0, 0, 0, 0.25]
    assert bucket.wait_s(0.24) > 0
    assert bucket.wait_s(0.26) == 0
    assert rate_per_s("120/min") == 2
    with pytest.raises(TimingProblem, match="like 50/s"):
        rate_per_s("fast")


SEEDREAM = Catalogue().models["bytedance/seedream-4-0/edit-sequential"].properties


@pytest.mark.parametrize(
    ("submitted", "properties", "size"),
    [
        ({"image_size": "2304:1728 (4:3)"}, SEEDREAM, (2304, 1728)),
        ({}, SEEDREAM, (2560, 1440)),
        ({"image_size": "portrait_16_9"}, {}, (576, 1024)),
        ({"image_size": {"width": 300, "height": 200}}, {}, (300, 200)),
        ({"width": 640, "height": "360"}, {}, (640, 360)),
        ({"size": "2048x1024"}, {}, (2048, 1024)),
        ({"size": "3:4"}, {}, (880, 1184)),
        ({"aspect_ratio": "16:9", "resolution": "2K"}, {}, (2736, 1536)),
        ({"aspect_ratio": "auto"}, {}, (1024, 1024)),
        ({}, {}, (1024, 1024)),
    ],
)
def test_the_size_asked_for_is_found(
    submitted: dict[str, Any], properties: dict[str, Any], size: tuple[int, int]
) -> None:
    assert requested_size(submitted, properties) == size
