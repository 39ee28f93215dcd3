from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from simulator.base.random import philox4x32, random_word

M = 0xFFFFFFFF


def _philox(counter: list[int], key: list[int]) -> list[int]:
    """Philox4x32-10 in plain Python integers."""
    c, k = list(counter), list(key)
    for _ in range(10):
        a, b = 0xD2511F53 * c[0], 0xCD9E8D57 * c[2]
        c = [(b >> 32) ^ c[1] ^ k[0], b & M, (a >> 32) ^ c[3] ^ k[1], a & M]
        k = [(k[0] + 0x9E3779B9) & M, (k[1] + 0xBB67AE85) & M]
    return c


# The known answers published with Random123 (kat_vectors, philox4x32 with 10 rounds).
KNOWN = [
    ([0] * 4, [0] * 2, [0x6627E8D5, 0xE169C58D, 0xBC57AC4C, 0x9B00DBD8]),
    ([M] * 4, [M] * 2, [0x408F276D, 0x41C83B0E, 0xA20BC7C6, 0x6D5451FD]),
    (
        [0x243F6A88, 0x85A308D3, 0x13198A2E, 0x03707344],
        [0xA4093822, 0x299F31D0],
        [0xD16CFE09, 0x94FDCCEB, 0x5001E420, 0x24126EA1],
    ),
]


def test_known_answers() -> None:
    for counter, key, expected in KNOWN:
        assert [int(x) for x in philox4x32(*counter, *key)] == expected
        assert _philox(counter, key) == expected


@settings(deadline=None, max_examples=50)
@given(st.lists(st.integers(0, M), min_size=6, max_size=6))
def test_equals_plain_python(words: list[int]) -> None:
    assert [int(x) for x in philox4x32(*words)] == _philox(words[:4], words[4:])


@settings(deadline=None, max_examples=50)
@given(st.integers(0, 2**63 - 1), st.integers(0, 2**32 - 1), st.integers(0, 2**31), st.integers(0, 2000))
def test_random_word_is_the_first_word_of_its_key(seed: int, step: int, neuron: int, stream: int) -> None:
    expected = _philox([step, neuron, stream, 0], [seed & M, seed >> 32])[0]
    assert int(random_word(seed, step, neuron, stream)) == expected
