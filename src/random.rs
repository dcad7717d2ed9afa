//! Where randomness comes from.

use ark_bn254::Fr;
use ark_ff::UniformRand;
use rand_chacha::rand_core::SeedableRng;
use rand_chacha::ChaCha20Rng;
use sha3::{Digest, Keccak256};

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

/// The same for one purpose: one seed gives unrelated generators for two purposes. Without this a dealer and a key made
/// from one seed would have alpha = delta and beta = eta.
pub fn rng_for(purpose: &[u8], seed: Option<&[u8]>) -> Result<ChaCha20Rng> {
    let Some(bytes) = seed else { return rng(None) };
    rng(Some(bytes))?; // its length
    rng(Some(&Keccak256::digest([purpose, bytes].concat())))
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
