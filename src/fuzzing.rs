//! The readers of the core as `fuzz/core` gives them bytes: in no other build (`--cfg fuzzing`).
//!
//! Each may refuse its input and must not panic; what it reads, it writes as the same bytes, and what can be had in two
//! ways must come out the same. libFuzzer ends at the first panic, in whichever thread.

use std::io::{self, Read};

use ark_bn254::{Fr, G1Affine, G1Projective};
use ark_ec::{AffineRepr, CurveGroup};
use ark_ff::{BigInt, One, PrimeField, Zero};

use crate::contributions::Transcript;
use crate::error::{bad, CoreError, Result};
use crate::evm;
use crate::field::{fr_to_be, frs_from_be};
use crate::groth16::{proof_decode, proof_encode, Dealer, Key, VerifyingKey};
use crate::kzg::Powers;
use crate::msm::sum_of_multiples;
use crate::phase_one::PhaseOne;
use crate::phase_two::PhaseTwo;
use crate::points::{
    g1_decode, g1_decode_unchecked, g1_encode, g1_pack, g1_unpack, g1s_decode, g2_decode, g2_decode_unchecked,
    g2_encode, g2_pack, g2_unpack, G1_BYTES, G2_BYTES,
};
use crate::poly::{divide_linear, evaluate};
use crate::r1cs::{Shape, System};
use crate::random::SecretRng;
use crate::sparse::Rows;

/// A reader and its name, which is also that of its seeds.
pub struct Harness {
    pub name: &'static str,
    pub read: fn(&[u8]),
}

pub const HARNESSES: [Harness; 12] = [
    harness("field", |data| field(data)),
    harness("points", |data| points(data)),
    harness("precompiles", |data| precompiles(data)),
    harness("powers", |data| powers(data)),
    harness("phase-one", |data| phase_one(data)),
    harness("phase-two", |data| phase_two(data)),
    harness("system", |data| system(data)),
    harness("rows", |data| rows(data)),
    harness("key", |data| key(data)),
    harness("key-made", |data| key_made(data)),
    harness("proof", |data| proof(data)),
    harness("sums", |data| sums(data)),
];

const fn harness(name: &'static str, read: fn(&[u8])) -> Harness {
    Harness { name, read }
}

/// What was refused, or nothing: a failure that its caller cannot cause is a finding.
fn ours<T>(answer: Result<T>) -> Option<T> {
    match answer {
        Ok(value) => Some(value),
        Err(CoreError::Value(_)) => None,
        Err(CoreError::Internal(message)) => panic!("{message}"),
    }
}

fn rng() -> SecretRng {
    SecretRng::from_seed(&[7; 32])
}

fn field(data: &[u8]) {
    let Some(values) = ours(frs_from_be(data)) else { return };
    assert_eq!(values.iter().flat_map(fr_to_be).collect::<Vec<u8>>(), data);
    if let Some((x, coeffs)) = values.split_first() {
        // f = (X - x) q + f(x), seen at another place
        let (quotient, at) = (divide_linear(coeffs, *x), Fr::from(3u64));
        let rebuilt = (at - x) * evaluate(&quotient, at) + evaluate(coeffs, *x);
        assert_eq!(rebuilt, evaluate(coeffs, at));
    }
}

fn points(data: &[u8]) {
    if let Some(point) = ours(g1_decode_unchecked(data)) {
        assert_eq!(g1_encode(&point)[..], *data);
        assert_eq!(ours(g1_decode(data)).is_some(), point.is_on_curve());
    }
    if let Some(point) = ours(g1_unpack(data)) {
        assert_eq!(g1_pack(&point)[..], *data);
        assert_eq!(g1_decode_unchecked(&g1_encode(&point)).as_ref(), Ok(&point));
    }
    if let Some(point) = ours(g2_decode_unchecked(data)) {
        assert_eq!(g2_encode(&point)[..], *data);
        if ours(g2_decode(data)).is_some() {
            // by its definition, not by the endomorphism that the check uses
            assert!(point.is_on_curve() && point.mul_bigint(Fr::MODULUS).is_zero());
        }
    }
    if let Some(point) = ours(g2_unpack(data)) {
        assert_eq!(g2_pack(&point)[..], *data);
        assert_eq!(g2_decode_unchecked(&g2_encode(&point)).as_ref(), Ok(&point));
    }
    for check in [false, true] {
        if let Some(list) = ours(g1s_decode(data, check)) {
            assert_eq!(list.iter().flat_map(g1_encode).collect::<Vec<u8>>(), data);
        }
    }
}

fn precompiles(data: &[u8]) {
    for call in [evm::add, evm::mul] {
        if let Some(answer) = ours(call(data)) {
            assert!(g1_decode(&answer).is_ok());
        }
    }
    ours(evm::pairing(data));
}

fn powers(data: &[u8]) {
    let unchecked = ours(Powers::from_bytes(data, false));
    let checked = ours(Powers::from_bytes(data, true));
    if let Some(powers) = &unchecked {
        assert_eq!(powers.to_bytes().as_deref(), Ok(data));
        let some: Vec<Fr> = (0..powers.size().min(40) as u64).map(|i| -Fr::from(i)).collect();
        let _ = powers.commit(&some, 0).unwrap();
        let _ = powers.open(&some, Fr::from(5u64)).unwrap();
    }
    if checked.is_some() {
        assert_eq!(checked, unchecked);
    }
}

/// Whether it is verified soon: pairings for each contribution, and as many hashes as a beacon says.
fn is_quick(transcript: &Transcript) -> bool {
    let beacons = transcript.records.iter().filter_map(|record| record.beacon.as_ref());
    transcript.records.len() <= 3 && beacons.map(|beacon| beacon.log).all(|log| log <= 10)
}

fn phase_one(data: &[u8]) {
    let unchecked = ours(PhaseOne::from_bytes(data, false));
    let checked = ours(PhaseOne::from_bytes(data, true));
    if let Some(phase) = &unchecked {
        assert_eq!(phase.to_bytes().as_deref(), Ok(data));
        assert_eq!(phase.transcript.digests().len(), phase.transcript.records.len() + 1);
        ours(phase.powers(2, &[1]));
    }
    let Some(phase) = checked else { return };
    assert_eq!(Some(&phase), unchecked.as_ref());
    if is_quick(&phase.transcript) && ours(phase.verify(&mut rng())).is_some() {
        // what holds holds with one more, unless a beacon ended it
        if let Some(next) = ours(phase.contribute("more", None, &mut rng())) {
            next.verify(&mut rng()).unwrap();
        }
    }
}

fn phase_two(data: &[u8]) {
    let unchecked = ours(PhaseTwo::from_bytes(data, false));
    let checked = ours(PhaseTwo::from_bytes(data, true));
    if let Some(phase) = &unchecked {
        assert_eq!(phase.to_bytes().as_deref(), Ok(data));
    }
    let Some(phase) = checked else { return };
    assert_eq!(Some(&phase), unchecked.as_ref());
    if is_quick(&phase.transcript) {
        ours(phase.transcript.verify());
    }
}

fn system(data: &[u8]) {
    let Some(system) = ours(System::from_bytes(data)) else {
        return;
    };
    assert_eq!(system.to_bytes(), data);
    used(&system);
}

/// What is done with a system once it is read.
fn used(system: &System) {
    // a few bytes may name many wires, and who assigns them brings their values
    if system.shape.wires <= 1 << 12 {
        let z: Vec<Fr> = (1..=system.shape.wires as u64).map(Fr::from).collect();
        system.first_unsatisfied(&z).unwrap();
    }
}

/// Numbers as Python brings them: counts, then for each matrix the lengths of its rows, columns and coefficients.
fn rows(data: &[u8]) {
    let mut numbers = data.chunks_exact(2).map(|two| i16::from_be_bytes([two[0], two[1]]));
    let mut next = || numbers.next().map(i64::from);
    let mut given = || -> Option<(Shape, [Rows; 3])> {
        let [public, committed, wires] = [next()?, next()?, next()?].map(|count| count as usize);
        let rows = next()?.clamp(0, 64);
        let mut matrix = |name| {
            let starts: Vec<i64> = (0..rows).map(|_| next()).collect::<Option<_>>()?;
            let entries = next()?.clamp(0, 64);
            let cols: Vec<i64> = (0..entries).map(|_| next()).collect::<Option<_>>()?;
            let ids: Vec<i32> = (0..entries)
                .map(|_| next().map(|id| id as i32))
                .collect::<Option<_>>()?;
            ours(Rows::new(name, &starts, &cols, &ids, wires, 4))
        };
        let matrices = [matrix("a")?, matrix("b")?, matrix("c")?];
        Some((ours(Shape::new(public, committed, wires))?, matrices))
    };
    let Some((shape, matrices)) = given() else { return };
    let pool = [Fr::one(), -Fr::one(), Fr::zero(), Fr::from(7u64)];
    let plain = matrices.clone();
    let Some(system) = ours(System::new(shape, &pool, matrices)) else {
        return;
    };
    let read = System::from_bytes(system.to_bytes()).unwrap();
    assert_eq!((read.digest, read.shape), (system.digest, system.shape));
    used(&system);
    if shape.wires <= 1 << 12 {
        // the canonical form computes what the rows said
        let z: Vec<Fr> = (1..=shape.wires as u64).map(Fr::from).collect();
        let pool = pool.map(From::from);
        for (rows, products) in plain.iter().zip(system.products(&z).unwrap()) {
            assert_eq!(rows.apply(&pool, &z), products[..rows.len()]);
        }
    }
}

/// Gives its bytes in pieces of odd sizes.
struct Pieces<'a>(&'a [u8], usize);

impl Read for Pieces<'_> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        self.1 = self.1 % 97 + 1;
        let taken = self.1.min(out.len()).min(self.0.len());
        out[..taken].copy_from_slice(&self.0[..taken]);
        self.0 = &self.0[taken..];
        Ok(taken)
    }
}

fn key(data: &[u8]) {
    let checked = ours(Key::from_bytes(data, true));
    let unchecked = ours(Key::from_bytes(data, false));
    assert_eq!(ours(Key::read(Pieces(data, 0), data.len(), true)), checked);
    if checked.is_some() {
        assert_eq!(checked, unchecked);
    }
    let Some(key) = unchecked else { return };
    let written = key.to_bytes().unwrap();
    assert_eq!(Key::from_bytes(&written, false).as_ref(), Ok(&key));
    if data.starts_with(b"fedproof/key/v2") || data.starts_with(b"fedproof/key/v3") {
        assert_eq!(written, data);
    }
    let values: Vec<Fr> = (1..=key.committed.len() as u64).map(Fr::from).collect();
    ours(key.commit(&values));
}

/// A key for whatever system was read, and a proof where the system holds.
fn key_made(data: &[u8]) {
    let Some(system) = ours(System::from_bytes(data)) else {
        return;
    };
    if system.constraints() > 128 {
        return;
    }
    let dealer = Dealer::random(&mut rng());
    let Some(key) = ours(Key::setup(&system, &dealer, &mut rng())) else {
        return;
    };
    let written = key.to_bytes().unwrap();
    assert_eq!(Key::from_bytes(&written, true).as_ref(), Ok(&key));
    // all ones, or all zeros behind the constant, satisfy the simplest systems
    for rest in [Fr::one(), Fr::zero()] {
        let mut z = vec![rest; system.shape.wires];
        z[0] = Fr::one();
        if let Some(proof) = ours(key.prove(&system, &z, &mut rng())) {
            let (public, committed) = z[1..system.shape.instance()].split_at(system.shape.public);
            let d = (!committed.is_empty()).then(|| key.commit(committed).unwrap());
            assert_eq!(key.verifying_key().verify(public, &proof, d), Ok(true));
        }
    }
}

/// alpha, beta, delta, eta, points of IC twice, a proof, D and one public input.
fn proof(data: &[u8]) {
    let whole = |data: &[u8]| -> Result<()> {
        let mut rest = data;
        let mut take = |count| rest.split_off(..count).ok_or_else(|| bad("too short"));
        let vk = VerifyingKey {
            alpha_g1: g1_decode(take(G1_BYTES)?)?,
            beta_g2: g2_decode(take(G2_BYTES)?)?,
            delta_g2: g2_decode(take(G2_BYTES)?)?,
            eta_g2: Some(g2_decode(take(G2_BYTES)?)?).filter(|eta| !eta.is_zero()),
            ic: vec![g1_decode(take(G1_BYTES)?)?, g1_decode(take(G1_BYTES)?)?],
        };
        let bytes = take(2 * G1_BYTES + G2_BYTES)?;
        let proof = proof_decode(bytes)?;
        assert_eq!(proof_encode(&proof), bytes);
        let d = Some(g1_decode(take(G1_BYTES)?)?).filter(|d| !d.is_zero());
        vk.verify(&frs_from_be(take(32)?)?, &proof, d).map(drop)
    };
    ours(whole(data));
}

/// Scalars and points that need not be on the curve: a sum never fails, and one of points on the curve is right.
fn sums(data: &[u8]) {
    let (mut bases, mut scalars) = (Vec::new(), Vec::new());
    for term in data.chunks_exact(40) {
        let limbs = std::array::from_fn(|i| u64::from_le_bytes(std::array::from_fn(|j| term[8 + 8 * i + j])));
        let Some(scalar) = Fr::from_bigint(BigInt(limbs)) else {
            continue;
        };
        let tag = u64::from_le_bytes(std::array::from_fn(|i| term[i]));
        bases.push(match tag % 8 {
            0 => G1Affine::identity(),
            1 => -G1Affine::generator(),
            2 => bases.last().copied().unwrap_or_default(),
            _ => (G1Affine::generator() * Fr::from(tag)).into_affine(),
        });
        scalars.push(if tag & 8 == 0 { scalar } else { -scalar });
    }
    let sum = sum_of_multiples(&bases, &scalars);
    let naive: G1Projective = bases.iter().zip(&scalars).map(|(base, scalar)| *base * scalar).sum();
    assert_eq!(sum, naive);
    let off: Vec<G1Affine> = bases
        .iter()
        .map(|base| G1Affine::new_unchecked(base.x, base.x))
        .collect();
    let _ = sum_of_multiples(&off, &scalars);
}
