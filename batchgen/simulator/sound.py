"""A real WAV: a quiet tune on five notes, a seed's own."""

import io
import struct
import wave

import numpy as np

RATE = 24_000
NOTE_S = 0.25
LONGEST_S = 20.0
SCALE = (0, 2, 4, 7, 9, 12, 14, 16)  # pentatonic: any order of these sounds well


def melody(seed: int, wanted_s: float, note: str) -> bytes:
    """16-bit mono at 24 kHz, *wanted_s* long but at most 20 s; *note* stands in its comment chunk."""
    rng = np.random.default_rng(seed)
    length = round(min(max(wanted_s, 0.1), LONGEST_S) * RATE)
    sound = np.zeros(length + RATE, np.float32)
    step, base_hz = round(NOTE_S * RATE), 220.0 * 2 ** (int(rng.integers(0, 6)) / 12)
    t = np.arange(RATE, dtype=np.float32) / RATE
    fade = np.exp(-4.0 * t) * np.clip(t / 0.01, 0, 1)
    for start in range(0, length, step):
        hz = base_hz * 2 ** (SCALE[int(rng.integers(len(SCALE)))] / 12)
        tone = np.sin(2 * np.pi * hz * t) + 0.3 * np.sin(4 * np.pi * hz * t)
        sound[start : start + RATE] += (tone * fade * 0.22).astype(np.float32)[: len(sound) - start]
    samples = (np.clip(sound[:length], -1, 1) * 32_000).astype("<i2").tobytes()
    file = io.BytesIO()
    with wave.open(file, "wb") as out:
        out.setnchannels(1)
        out.setsampwidth(2)
        out.setframerate(RATE)
        out.writeframes(samples)
    return _with_comment(file.getvalue(), note.encode())


def _with_comment(riff: bytes, text: bytes) -> bytes:
    text += b"\x00" * (2 - len(text) % 2)
    chunk = b"INFO" + b"ICMT" + struct.pack("<I", len(text)) + text
    riff += b"LIST" + struct.pack("<I", len(chunk)) + chunk
    return riff[:4] + struct.pack("<I", len(riff) - 8) + riff[8:]
