//! Where randomness comes from.

use std::hint::black_box;

use ark_bn254::Fr;
use ark_ff::UniformRand;
use rand_chacha::rand_core::{CryptoRng, Error, RngCore, SeedableRng};
use rand_chacha::ChaCha20Rng;
use sha3::{Digest, Keccak256};
use zeroize::{Zeroize, Zeroizing};

use crate::error::{bad, Result};

/// A generator that wipes its key, counter and buffered output when it goes: from them all its draws could be had again,
/// the trapdoor of a setup and the blinding of a proof among them.
pub struct SecretRng(ChaCha20Rng);

impl SecretRng {
    pub fn from_seed(seed: &[u8; 32]) -> Self {
        let copy = Zeroizing::new(*seed);
        Self(ChaCha20Rng::from_seed(*copy))
    }

    fn wipe(&mut self) {
        // `ChaCha20Rng` has no zeroize of its own; another one over it leaves nothing of the first. The black box keeps
        // the compiler from leaving out a store that nobody reads.
        self.0 = ChaCha20Rng::from_seed([0; 32]);
        black_box(&mut self.0);
    }
}

impl Drop for SecretRng {
    fn drop(&mut self) {
        self.wipe();
    }
}

impl RngCore for SecretRng {
    fn next_u32(&mut self) -> u32 {
        self.0.next_u32()
    }

    fn next_u64(&mut self) -> u64 {
        self.0.next_u64()
    }

    fn fill_bytes(&mut self, dest: &mut [u8]) {
        self.0.fill_bytes(dest);
    }

    fn try_fill_bytes(&mut self, dest: &mut [u8]) -> std::result::Result<(), Error> {
        self.0.try_fill_bytes(dest)
    }
}

impl CryptoRng for SecretRng {}

/// A generator seeded by the operating system, or by a 32-byte seed in tests.
pub fn rng(seed: Option<&[u8]>) -> Result<SecretRng> {
    match seed {
        None => Ok(SecretRng(ChaCha20Rng::from_entropy())),
        Some(bytes) => {
            let seed: &[u8; 32] = bytes
                .try_into()
                .map_err(|_| bad(format!("a seed has 32 bytes, got {}", bytes.len())))?;
            Ok(SecretRng::from_seed(seed))
        }
    }
}

/// The same for one purpose: one seed gives unrelated generators for two purposes. Without this a dealer and a key made
/// from one seed would have alpha = delta and beta = eta.
pub fn rng_for(purpose: &[u8], seed: Option<&[u8]>) -> Result<SecretRng> {
    let Some(bytes) = seed else { return rng(None) };
    rng(Some(bytes))?; // its length
    let mut digest = Keccak256::new_with_prefix(purpose).chain_update(bytes).finalize();
    let found = rng(Some(&digest));
    digest.as_mut_slice().zeroize();
    found
}

/// A uniformly random non-zero field element.
pub fn nonzero(rng: &mut SecretRng) -> Zeroizing<Fr> {
    use ark_ff::Zero;
    loop {
        let value = Zeroizing::new(Fr::rand(rng));
        if !value.is_zero() {
            return value;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn leaves_nothing_of_a_generator() {
        let mut rng = rng_for(b"purpose", Some(&[7; 32])).unwrap();
        rng.next_u32(); // fills its buffer
        assert_ne!(rng.0.get_seed(), [0; 32]);
        rng.wipe();
        assert_eq!(rng.0, ChaCha20Rng::from_seed([0; 32]));
    }

    #[test]
    fn draws_what_the_plain_generator_draws() {
        let seed = Keccak256::digest([&b"purpose"[..], &[7; 32]].concat()).into();
        let (mut ours, mut plain) = (
            rng_for(b"purpose", Some(&[7; 32])).unwrap(),
            ChaCha20Rng::from_seed(seed),
        );
        for _ in 0..70 {
            assert_eq!(*nonzero(&mut ours), Fr::rand(&mut plain));
        }
    }
}
