import numpy as np

from patchcore_dual.banks.backend import codes


def test_codes_are_within_half_a_step():
    x = np.random.default_rng(0).standard_normal((30, 300)).astype(np.float32)
    encoded, scales = codes.encode(x)
    assert (np.abs(x - encoded * scales[:, None]) <= 0.501 * scales[:, None]).all()
    assert (np.abs(encoded).max(axis=1) == codes.LEVELS).all()


def test_rows_of_zeros_have_no_code():
    encoded, scales = codes.encode(np.zeros((2, 4), np.float32))
    assert not encoded.any()
    assert not scales.any()


def test_a_bank_uses_the_largest_codes_whose_products_are_exact(monkeypatch):
    assert codes.bank_levels() in (63, 127)

    class Saturating:
        """Pairs of products in 16 bits, as on processors without 8-bit dot products."""

        def code_product(self, queries, bank, out):
            pairs = queries[:, None].astype(int) * bank[None]
            pairs = pairs[..., ::2] + pairs[..., 1::2]
            # The unsigned factor is larger by 128, which is taken off again afterwards.
            shift = 128 * bank.astype(int)
            shifted = pairs + shift[:, ::2] + shift[:, 1::2]
            out[:] = np.clip(shifted, -(2**15), 2**15 - 1).sum(axis=-1) - shift.sum(axis=-1)

    monkeypatch.setattr(codes, "get_backend", Saturating)
    codes.bank_levels.cache_clear()
    assert codes.bank_levels() == 63
    codes.bank_levels.cache_clear()
