"""Sound: reading (soundfile) and the log-mel front end of the spoken-digit tasks."""

from __future__ import annotations

import functools
import io
from dataclasses import dataclass

import numpy as np

from bimhw.tasks.checks import check_finite, extra
from simulator.base.arrays import F32, AnyFloats, Floats
from simulator.base.errors import InputError
from simulator.base.reading import boundary, unheard
from simulator.base.unpacking import check_unpacked

FLOOR = 1e-3
_MAGIC = (b"RIFF", b"RIFX", b"RF64", b"fLaC")  # other formats, such as MP3, have decoders that print


@dataclass(frozen=True)
class FrontEnd:
    """Log-mel frames: Hann window, |FFT|² over the window's energy, triangular mel bands (HTK scale), log(P + 1e-3).

    The floor of 1e-3 sits 30 dB below the mean band power of white noise at the signal's RMS level of 1.
    """

    rate_hz: int = 8000
    window: int = 200
    hop: int = 100
    fft: int = 256
    bands: int = 32
    low_hz: float = 60.0
    high_hz: float = 3900.0

    def frames(self, signal: AnyFloats) -> F32:
        """Compute log power [T, bands] of [samples], the signal scaled to RMS 1 first (not causal: over the whole file)."""
        exact = np.asarray(signal, np.float64)
        rms = float(np.sqrt((exact**2).mean())) if exact.size else 0.0
        return self.raw_frames(exact / rms if rms > 0 else exact)

    def raw_frames(self, signal: Floats) -> F32:
        """Compute log power [T, bands] of [samples] without scaling; a last part below a window is padded with zeros."""
        count = max(1, -(-max(len(signal) - self.window, 0) // self.hop) + 1)
        padded = np.zeros((count - 1) * self.hop + self.window)
        padded[: min(len(signal), len(padded))] = signal[: len(padded)]
        at = np.arange(count)[:, None] * self.hop + np.arange(self.window)
        hann = np.hanning(self.window + 1)[:-1]
        power = np.abs(np.fft.rfft(padded[at] * hann, self.fft)) ** 2 / (hann**2).sum()
        return np.asarray(np.log(power @ mel_bank(self).T + FLOOR), np.float32)

    @property
    def silence(self) -> float:
        """The value of a frame of zeros."""
        return float(np.log(FLOOR))


@functools.cache
def mel_bank(front: FrontEnd) -> Floats:
    """Return [bands, fft/2+1] triangles with sum 1, equally wide in mel = 2595 log10(1 + f/700)."""
    edges = np.linspace(_mel(front.low_hz), _mel(front.high_hz), front.bands + 2)
    hertz = 700.0 * (10.0 ** (edges / 2595.0) - 1.0)
    bins = np.fft.rfftfreq(front.fft, 1.0 / front.rate_hz)
    low, mid, high = hertz[:-2, None], hertz[1:-1, None], hertz[2:, None]
    bank = np.maximum(0.0, np.minimum((bins - low) / (mid - low), (high - bins) / (high - mid)))
    # A band narrower than the bin spacing may hold no bin: it takes the nearest one.
    empty = np.flatnonzero(bank.sum(1) == 0)
    bank[empty, np.abs(bins - mid[empty]).argmin(1)] = 1.0
    return np.asarray(bank / bank.sum(1, keepdims=True))


def _mel(hertz: float) -> float:
    return float(2595.0 * np.log10(1.0 + hertz / 700.0))


def decode_sound(data: bytes, where: str, rate_hz: int) -> F32:
    """Decode bytes of a WAV or FLAC file to [samples], mono.

    Raises:
        InputError: truncated, not sound, several channels, another sampling rate, NaN, no sample.
        MissingExtraError: soundfile is not installed.
    """
    if data[:4] == b"RIFF" and int.from_bytes(data[4:8], "little") + 8 > len(data):
        raise InputError(
            where, f"its header announces {int.from_bytes(data[4:8], 'little') + 8} bytes, {len(data)} are there"
        )
    if data[:4] not in _MAGIC:
        raise InputError(
            where, f"not a whole sound file: begins with {data[:4]!r}, is neither WAV nor FLAC", "Convert it"
        )
    soundfile = extra("soundfile", "reading sound files")
    whole = boundary(where, "a whole sound file", "Copy it again")
    with whole, unheard(), soundfile.SoundFile(io.BytesIO(data)) as file:
        announced = file.frames
        check_unpacked(4 * announced * file.channels, len(data), where)
        signal, rate = file.read(dtype="float32", always_2d=True), file.samplerate
    if rate != rate_hz or signal.shape[1] != 1:
        raise InputError(where, f"{rate} Hz with {signal.shape[1]} channels, must be {rate_hz} Hz mono", "Convert it")
    if len(signal) == 0 or len(signal) < announced:
        raise InputError(
            where, f"holds {len(signal)} of {announced} announced samples", "It is truncated: copy it again"
        )
    check_finite(signal, where)
    return np.asarray(signal[:, 0], np.float32)
