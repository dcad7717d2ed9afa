//! Groth16 with a committed segment: arkworks' setup, our keys, prover and verifier.

use ark_bn254::{Bn254, Fr, G1Affine, G2Affine};
use ark_ec::{AffineRepr, CurveGroup};
use ark_ff::{FftField, Field};
use ark_groth16::{Groth16, Proof, ProvingKey as ArkKey};
use ark_poly::{EvaluationDomain, Radix2EvaluationDomain};
use ark_relations::gr1cs::{ConstraintSynthesizer, ConstraintSystemRef, LinearCombination, SynthesisError, Variable};
use rand_chacha::rand_core::RngCore;
use rayon::join;
use rayon::prelude::*;
use zeroize::Zeroizing;

use crate::committed::CommittedReduction;
use crate::error::{bad, CoreError, Result};
use crate::evm::product_is_one;
use crate::msm::sum_of_multiples;
use crate::points::{g1_decode, g1_encode, g2_decode, g2_encode, msm, G1_BYTES, G2_BYTES};
use crate::r1cs::{Shape, System};
use crate::random::{self, SecretRng};
use crate::vectors::GRAIN;

type Scheme = Groth16<Bn254, CommittedReduction>;

pub const PROOF_BYTES: usize = 2 * G1_BYTES + G2_BYTES;

/// Everything the prover and the verifier need for one circuit.
#[derive(Clone, Debug, PartialEq)]
pub struct Key {
    pub shape: Shape,
    /// Digest of the constraint system the key was made for.
    pub circuit: [u8; 32],
    /// arkworks' key; its `gamma_abc_g1` holds the points of `[1 | x]` alone.
    pub ark: ArkKey<Bn254>,
    /// `K_j / eta` for the committed wires.
    pub committed: Vec<G1Affine>,
    /// `[eta]_2`, present exactly when there are committed wires.
    pub eta_g2: Option<G2Affine>,
    /// Made by many (`phase_two.rs`) and not by one dealer.
    pub by_many: bool,
}

/// What a verifier knows of a circuit.
#[derive(Clone, Debug)]
pub struct VerifyingKey {
    pub alpha_g1: G1Affine,
    pub beta_g2: G2Affine,
    pub delta_g2: G2Affine,
    pub eta_g2: Option<G2Affine>,
    pub ic: Vec<G1Affine>,
}

/// Hands the rows of a `System` to arkworks' setup.
struct Circuit<'a>(&'a System);

impl ConstraintSynthesizer<Fr> for Circuit<'_> {
    fn generate_constraints(self, cs: ConstraintSystemRef<Fr>) -> std::result::Result<(), SynthesisError> {
        let Shape { wires, .. } = self.0.shape;
        let mut variables = vec![Variable::one()];
        for wire in 1..wires {
            // The setup never asks for a value.
            let missing = || Err(SynthesisError::AssignmentMissing);
            variables.push(if wire < self.0.shape.instance() {
                cs.new_input_variable(missing)?
            } else {
                cs.new_witness_variable(missing)?
            });
        }
        let row = |matrix, i| {
            LinearCombination(
                self.0
                    .entries(matrix, i)
                    .into_iter()
                    .map(|(c, wire)| (c, variables[wire]))
                    .collect(),
            )
        };
        for i in 0..self.0.constraints() {
            cs.enforce_r1cs_constraint(|| row(0, i), || row(1, i), || row(2, i))?;
        }
        Ok(())
    }
}

/// One dealer's part of a setup that several circuits share: alpha, beta and tau (protocol, section 9, phase 1). Keys of
/// one dealer have one e(alpha, beta), so that a verifier of several proofs pays for it once.
///
/// Sharing them is sound because it is what every ceremony does: BGM17 publishes the powers of tau, also times alpha and
/// beta, to all circuits, and whatever another circuit's key holds undivided lies in their span. What must never be
/// shared is what divides: delta and eta, which `Key::setup` draws anew for each key.
pub struct Dealer {
    alpha: Zeroizing<Fr>,
    beta: Zeroizing<Fr>,
    /// arkworks draws tau itself, so that a dealer keeps the seed it draws from.
    tau: Zeroizing<[u8; 32]>,
}

impl Dealer {
    pub fn random(rng: &mut SecretRng) -> Self {
        let [alpha, beta] = std::array::from_fn(|_| random::nonzero(rng));
        let mut tau = Zeroizing::new([0; 32]);
        rng.fill_bytes(&mut *tau);
        Self { alpha, beta, tau }
    }
}

/// The secrets of a setup; whoever knows them forges. gamma is always 1.
struct Trapdoor {
    alpha: Zeroizing<Fr>,
    beta: Zeroizing<Fr>,
    delta: Zeroizing<Fr>,
    eta: Zeroizing<Fr>,
}

impl Trapdoor {
    fn random(dealer: &Dealer, rng: &mut SecretRng) -> Self {
        let [delta, eta] = std::array::from_fn(|_| random::nonzero(rng));
        Self {
            alpha: dealer.alpha.clone(),
            beta: dealer.beta.clone(),
            delta,
            eta,
        }
    }
}

/// Refuses, before any work, a system with wires that stand in no constraint for sure.
pub fn check_entries(system: &System) -> Result<()> {
    if system.shape.wires > system.matrices.iter().map(|matrix| matrix.cols.len()).sum() {
        return Err(bad("there are more wires than entries, so some stand in no constraint"));
    }
    Ok(())
}

impl Key {
    /// A key by one dealer, who forgets delta and eta afterwards, and the rest after its last key. For development.
    pub fn setup(system: &System, dealer: &Dealer, rng: &mut SecretRng) -> Result<Self> {
        Self::setup_with(
            system,
            &Trapdoor::random(dealer, rng),
            &mut SecretRng::from_seed(&dealer.tau),
        )
    }

    /// `rng` draws tau. arkworks takes the secrets by value, and does not wipe its copies of them.
    fn setup_with(system: &System, trapdoor: &Trapdoor, rng: &mut SecretRng) -> Result<Self> {
        check_entries(system)?;
        let Trapdoor {
            alpha,
            beta,
            delta,
            eta,
        } = trapdoor;
        let mut ark = Scheme::generate_parameters_with_qap(
            Circuit(system),
            **alpha,
            **beta,
            **eta,
            **delta,
            G1Affine::generator().into_group(),
            G2Affine::generator().into_group(),
            rng,
        )
        .map_err(|error| CoreError::Internal(format!("setup: {error}")))?;

        // All instance points came over eta, where the many of `c` belong. The few of `[1 | x]` go back to gamma = 1:
        // the other way round each point of `c` would cost a multiplication of its own.
        let points = ark.vk.gamma_abc_g1.split_off(system.shape.statement());
        for point in &mut ark.vk.gamma_abc_g1 {
            *point = (*point * **eta).into_affine();
        }
        ark.vk.gamma_g2 = G2Affine::generator();
        let key = Self {
            shape: system.shape,
            circuit: system.digest,
            committed: points,
            eta_g2: (system.shape.committed > 0).then(|| (G2Affine::generator() * **eta).into_affine()),
            ark,
            by_many: false,
        };
        key.binds_all_wires()?;
        key.verifying_key().check()?;
        Ok(key)
    }

    /// Refuses a key with a wire that has no point: nothing would hold its value.
    pub fn binds_all_wires(&self) -> Result<()> {
        if let Some(j) = self.committed.iter().position(AffineRepr::is_zero) {
            return Err(bad(format!(
                "committed wire {j} stands in no constraint, so the commitment cannot bind it"
            )));
        }
        if let Some(j) = self.ark.l_query.iter().position(AffineRepr::is_zero) {
            return Err(bad(format!("private wire {j} stands in no constraint")));
        }
        Ok(())
    }

    /// `D = sum c_j K_j / eta`.
    pub fn commit(&self, values: &[Fr]) -> Result<G1Affine> {
        if self.committed.is_empty() {
            return Err(bad("the circuit has no committed wires"));
        }
        if values.len() != self.committed.len() {
            return Err(bad(format!(
                "the circuit has {} committed wires, got {}",
                self.committed.len(),
                values.len()
            )));
        }
        msm(&self.committed, values)
    }

    /// A proof with fresh blinding; refuses another circuit and an assignment that does not satisfy it. What it makes of the
    /// assignment is wiped; the assignment is the caller's.
    pub fn prove(&self, system: &System, z: &[Fr], rng: &mut SecretRng) -> Result<Proof<Bn254>> {
        if system.digest != self.circuit || system.shape != self.shape {
            return Err(bad("the proving key was made for another circuit"));
        }
        if self.ark.h_query.len() + 1 != system.domain_size() {
            return Err(bad("the proving key is damaged: its domain is not the circuit's"));
        }
        let products = Zeroizing::new(system.products(z)?);
        let [a, b, c] = &*products;
        if let Some(row) = (0..a.len()).find(|&i| a[i] * b[i] != c[i]) {
            return Err(bad(format!("the assignment does not satisfy row {row}")));
        }
        let [r, s] = std::array::from_fn(|_| random::nonzero(rng));
        self.proof(products, z, system.shape.instance(), (&r, &s))
    }

    /// The proof of a satisfied system with this blinding: what arkworks' prover makes of it, to the byte.
    fn proof(
        &self,
        products: Zeroizing<[Vec<Fr>; 3]>,
        z: &[Fr],
        instance: usize,
        (r, s): (&Fr, &Fr),
    ) -> Result<Proof<Bn254>> {
        let (pk, vk) = (&self.ark, &self.ark.vk);
        let (private, z) = (&z[instance..], &z[1..]);
        // All five sums at once, so that no core waits at the end of each.
        let ((h, l), (a, (b_g1, b_g2))) = join(
            || {
                join(
                    || Ok(sum_of_multiples(&pk.h_query, &quotient(products)?)),
                    || sum_of_multiples(&pk.l_query, private),
                )
            },
            || {
                join(
                    || sum_of_multiples(&pk.a_query[1..], z),
                    || {
                        join(
                            || sum_of_multiples(&pk.b_g1_query[1..], z),
                            || sum_of_multiples(&pk.b_g2_query[1..], z),
                        )
                    },
                )
            },
        );
        let a = a + pk.a_query[0] + vk.alpha_g1 + pk.delta_g1 * *r;
        let b_g1 = b_g1 + pk.b_g1_query[0] + pk.beta_g1 + pk.delta_g1 * *s;
        let b_g2 = b_g2 + pk.b_g2_query[0] + vk.beta_g2 + vk.delta_g2 * *s;
        let rs = Zeroizing::new(*r * s);
        let c = a * *s + b_g1 * *r - pk.delta_g1 * *rs + l + h?;
        Ok(Proof {
            a: a.into_affine(),
            b: b_g2.into_affine(),
            c: c.into_affine(),
        })
    }

    pub fn verifying_key(&self) -> VerifyingKey {
        VerifyingKey {
            alpha_g1: self.ark.vk.alpha_g1,
            beta_g2: self.ark.vk.beta_g2,
            delta_g2: self.ark.vk.delta_g2,
            eta_g2: self.eta_g2,
            ic: self.ark.vk.gamma_abc_g1.clone(),
        }
    }
}

/// The coefficients of `h = (A B - C) / (X^n - 1)`, from the values of A, B and C on the domain of the n-th roots of 1.
///
/// Where all rows hold, C is A B modulo `X^n - 1`. So with `A B = low + X^n high`, `h = high` and `C = low + high`. On the
/// coset `g w^i`, where `X^n = g^n`, A B interpolates to `low + g^n high`; less C, that is `(g^n - 1) h`. C itself need
/// not be known on the coset, which saves one transform of seven.
fn quotient(mut products: Zeroizing<[Vec<Fr>; 3]>) -> Result<Zeroizing<Vec<Fr>>> {
    let domain = Radix2EvaluationDomain::<Fr>::new(products[0].len())
        .ok_or_else(|| CoreError::Internal("prove: no evaluation domain is large enough".into()))?;
    let coset = domain
        .get_coset(Fr::GENERATOR)
        .ok_or_else(|| CoreError::Internal("prove: the domain has no coset".into()))?;
    let [mut a, mut b, mut c] = products.each_mut().map(|values| Zeroizing::new(std::mem::take(values)));
    for values in [&mut a, &mut b] {
        domain.ifft_in_place(&mut **values);
        coset.fft_in_place(&mut **values);
    }
    a.par_iter_mut().zip(&*b).with_min_len(GRAIN).for_each(|(a, b)| *a *= b);
    drop(b);
    coset.ifft_in_place(&mut *a);
    domain.ifft_in_place(&mut *c);
    let scale = domain
        .evaluate_vanishing_polynomial(Fr::GENERATOR)
        .inverse()
        .ok_or_else(|| CoreError::Internal("prove: the coset meets the domain".into()))?;
    a.par_iter_mut()
        .zip(&*c)
        .with_min_len(GRAIN)
        .for_each(|(a, c)| *a = (*a - c) * scale);
    Ok(a)
}

impl VerifyingKey {
    /// Refuses keys under which proofs without a witness verify. gamma (which is 1), beta, delta and eta must differ in
    /// more than sign, or A, C or D could cancel IC(x); and an IC point at infinity would leave its public input free.
    pub fn check(&self) -> Result<()> {
        if self.alpha_g1.is_zero() || self.beta_g2.is_zero() || self.delta_g2.is_zero() {
            return Err(bad("verifying key: alpha, beta or delta is the point at infinity"));
        }
        if self.eta_g2.is_some_and(|eta| eta.is_zero()) {
            return Err(bad("verifying key: eta is the point at infinity"));
        }
        if let Some(k) = self.ic.iter().position(AffineRepr::is_zero) {
            return Err(bad(format!("verifying key: point {k} of IC is the point at infinity")));
        }
        let mut secrets = vec![
            ("gamma", G2Affine::generator().x),
            ("beta", self.beta_g2.x),
            ("delta", self.delta_g2.x),
        ];
        secrets.extend(self.eta_g2.map(|eta| ("eta", eta.x)));
        for (i, (first, x)) in secrets.iter().enumerate() {
            if let Some((second, _)) = secrets[i + 1..].iter().find(|other| other.1 == *x) {
                return Err(bad(format!("verifying key: {first} and {second} coincide")));
            }
        }
        Ok(())
    }

    /// `e(A,B) = e(alpha,beta) e(IC(x),[1]_2) e(C,delta) e(D,[eta]_2)`; A and B at infinity are never valid.
    pub fn verify(&self, public: &[Fr], proof: &Proof<Bn254>, d: Option<G1Affine>) -> Result<bool> {
        self.check()?;
        if self.ic.len() != public.len() + 1 {
            let expected = self.ic.len().saturating_sub(1);
            return Err(bad(format!(
                "the key takes {expected} public inputs, got {}",
                public.len()
            )));
        }
        let ic = (msm(&self.ic[1..], public)? + self.ic[0]).into_affine();
        let mut left = vec![proof.a, -self.alpha_g1, -ic, -proof.c];
        let mut right = vec![proof.b, self.beta_g2, G2Affine::generator(), self.delta_g2];
        match (d, self.eta_g2) {
            (Some(d), Some(eta)) => {
                left.push(-d);
                right.push(eta);
            }
            (None, None) => {}
            (None, Some(_)) => return Err(bad("the key has a committed segment: D is missing")),
            (Some(_), None) => return Err(bad("the key has no committed segment, but D was given")),
        }
        if proof.a.is_zero() || proof.b.is_zero() {
            return Ok(false);
        }
        product_is_one(left, right)
    }
}

/// A (64), B (128), C (64).
pub fn proof_encode(proof: &Proof<Bn254>) -> Vec<u8> {
    [&g1_encode(&proof.a)[..], &g2_encode(&proof.b), &g1_encode(&proof.c)].concat()
}

pub fn proof_decode(bytes: &[u8]) -> Result<Proof<Bn254>> {
    if bytes.len() != PROOF_BYTES {
        return Err(bad(format!("a proof has {PROOF_BYTES} bytes, got {}", bytes.len())));
    }
    let (a, rest) = bytes.split_at(G1_BYTES);
    let (b, c) = rest.split_at(G2_BYTES);
    Ok(Proof {
        a: g1_decode(a)?,
        b: g2_decode(b)?,
        c: g1_decode(c)?,
    })
}

#[cfg(test)]
pub mod tests {
    use super::*;
    use ark_ff::One;

    use crate::sparse::Rows;

    fn rng() -> SecretRng {
        SecretRng::from_seed(&[7; 32])
    }

    /// Wires 1, x, c0, c1, w with the rows `c0 * x = w` and `c1 * w = c0`.
    pub fn system() -> System {
        let row = |cols: [u32; 2]| Rows {
            starts: vec![0, 1, 2],
            cols: cols.to_vec(),
            ids: vec![0, 0],
        };
        let shape = Shape::new(1, 2, 5).unwrap();
        System::new(shape, &[Fr::one()], [row([2, 3]), row([1, 4]), row([4, 2])]).unwrap()
    }

    /// The key of a dealer with these secrets, and with the tau that a seed gives.
    pub fn dealt(system: &System, [alpha, beta, delta, eta]: [Fr; 4], tau: &[u8; 32]) -> Key {
        let trapdoor = Trapdoor {
            alpha: Zeroizing::new(alpha),
            beta: Zeroizing::new(beta),
            delta: Zeroizing::new(delta),
            eta: Zeroizing::new(eta),
        };
        Key::setup_with(system, &trapdoor, &mut SecretRng::from_seed(tau)).unwrap()
    }

    fn trapdoor(delta: u64, eta: u64) -> Trapdoor {
        let secret = |value: u64| Zeroizing::new(Fr::from(value));
        Trapdoor {
            alpha: secret(3),
            beta: secret(5),
            delta: secret(delta),
            eta: secret(eta),
        }
    }

    #[test]
    fn publishes_points_of_c_over_eta_and_of_x_over_one() {
        let system = system();
        let key = Key::setup_with(&system, &trapdoor(7, 11), &mut rng()).unwrap();
        let stock = Scheme::generate_parameters_with_qap(
            Circuit(&system),
            Fr::from(3u64),
            Fr::from(5u64),
            Fr::one(),
            Fr::from(7u64),
            G1Affine::generator().into_group(),
            G2Affine::generator().into_group(),
            &mut rng(),
        )
        .unwrap();
        let (statement, committed) = stock.vk.gamma_abc_g1.split_at(2);
        assert_eq!(key.ark.vk.gamma_abc_g1, statement);
        assert_eq!(key.committed.len(), 2);
        for (over_eta, point) in key.committed.iter().zip(committed) {
            assert_eq!((*over_eta * Fr::from(11u64)).into_affine(), *point);
        }
    }

    #[test]
    fn refuses_trapdoors_that_coincide() {
        for (delta, eta, names) in [
            (1, 11, "gamma and delta"),
            (7, 1, "gamma and eta"),
            (7, 7, "delta and eta"),
        ] {
            let error = Key::setup_with(&system(), &trapdoor(delta, eta), &mut rng()).unwrap_err();
            assert_eq!(error, bad(format!("verifying key: {names} coincide")));
        }
    }

    #[test]
    fn proves_what_the_stock_prover_proves() {
        let mut rng = rng();
        for private in [1, 6, 700] {
            // w_(i + 1) = (w_i + x) (w_i + c), and the last row squares c
            let wires = 4 + private;
            let mut rows: [Rows; 3] = std::array::from_fn(|_| Rows {
                starts: vec![0],
                ..Rows::default()
            });
            let mut z = vec![Fr::one(), Fr::from(5u64), Fr::from(7u64), Fr::from(11u64)];
            for wire in 3..wires as u32 - 1 {
                for (row, cols) in rows.iter_mut().zip([vec![wire, 1], vec![wire, 2], vec![wire + 1]]) {
                    row.ids.extend(vec![0; cols.len()]);
                    row.cols.extend(cols);
                    row.starts.push(row.cols.len());
                }
                z.push((z[wire as usize] + z[1]) * (z[wire as usize] + z[2]));
            }
            let system = System::new(Shape::new(1, 1, wires).unwrap(), &[Fr::one()], rows).unwrap();
            let key = Key::setup(&system, &Dealer::random(&mut rng), &mut rng).unwrap();
            let [r, s] = std::array::from_fn(|_| random::nonzero(&mut rng));
            let matrices: Vec<_> = (0..3)
                .map(|m| (0..system.constraints()).map(|row| system.entries(m, row)).collect())
                .collect();
            let stock = Scheme::create_proof_with_reduction_and_matrices(
                &key.ark,
                *r,
                *s,
                &matrices,
                system.shape.instance(),
                system.constraints(),
                &z,
            )
            .unwrap();
            let products = Zeroizing::new(system.products(&z).unwrap());
            let ours = key.proof(products, &z, system.shape.instance(), (&r, &s));
            assert_eq!(proof_encode(&ours.unwrap()), proof_encode(&stock));
        }
    }

    /// The reduction's one difference from libsnark's: rows for `[1 | x]` come from the system, none for `c`.
    #[test]
    fn adds_no_row_for_committed_wires() {
        let system = system();
        assert_eq!(system.constraints(), 2 + 2);
        let mut rng = rng();
        let key = Key::setup(&system, &Dealer::random(&mut rng), &mut rng).unwrap();
        assert_eq!(key.ark.h_query.len() + 1, 4);
    }
}
