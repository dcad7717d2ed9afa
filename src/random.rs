//! Where randomness comes from.

use ark_bn254::Fr;
use ark_ff::UniformRand;
use rand_chacha::rand_core::SeedableRng;
use rand_chacha::ChaCha20Rng;

use crate::error::{bad, Result};

/// A generator seeded by the operating system, or by a 32-byte seed in tests.
pub fn rng(seed: Option<&[u8]>) -> Result<ChaCha20Rng> {
    match seed {
        None => Ok(ChaCha20Rng::from_entropy()),
        Some(bytes) => {
            let seed: [u8; 32] = bytes
                .try_into()
                .map_err(|_| bad(format!("a seed has 32 bytes, got {}", bytes.len())))?;
            Ok(ChaCha20Rng::from_seed(seed))
        }
    }
}

/// A uniformly random non-zero field element.
pub fn nonzero(rng: &mut ChaCha20Rng) -> Fr {
    use ark_ff::Zero;
    loop {
        let value = Fr::rand(rng);
        if !value.is_zero() {
            return value;
        }
    }
}
