//! What turns arkworks' Groth16 setup into one with a committed segment (protocol, section 3).
//!
//! The instance wires are `[1 | x | c]` and gamma is 1. The verifier never sees `c`: the points of `c` are published
//! only over eta, and the prover sends their sum `D`.
//!
//! # Why `c` needs no consistency rows
//!
//! The usual reduction from R1CS to QAP (libsnark) adds a row `z_j * 0 = 0` for every instance wire, which makes the
//! polynomials of the instance wires linearly independent. For `x` that matters. The verifier itself chooses which x
//! it means; were the points of two public wires dependent (or one of them zero), then two different x would have one
//! IC(x), and a proof for the first would be accepted for the second. So each wire of `[1 | x]` keeps its row:
//! `System::new` appends it.
//!
//! Nobody names a value of `c` to the verifier. All that later steps use is that the values of `c` *in the
//! constraints* were fixed when D was hashed. Let two assignments c and c' give one D with independent polynomials
//! apart from a dependency between wires of c, that is `sum (c_j - c'_j) (u_j, v_j, w_j) = 0`. Every constraint sees
//! the wires through those polynomials alone: the value of row i of A at c minus that at c' is `sum (c_j - c'_j)
//! u_j(omega^i) = 0`, likewise for B and C. So each row has the same value under c and c', and any witness for one is
//! a witness for the other: what D fixes is exactly what constraints can tell apart. A wire that stands in no
//! constraint has no point and is bound by nothing; `setup` refuses it.
//!
//! For a statement whose values lie mostly in `c` this can halve the domain.

use ark_ff::PrimeField;
use ark_groth16::r1cs_to_qap::{LibsnarkReduction, R1CSToQAP};
use ark_poly::EvaluationDomain;
use ark_relations::gr1cs::{ConstraintSystemRef, SynthesisError, R1CS_PREDICATE_LABEL};
use ark_relations::utils::matrix::Matrix;

type Outcome<T> = Result<T, SynthesisError>;

/// The libsnark reduction without its consistency rows.
pub struct CommittedReduction;

impl R1CSToQAP for CommittedReduction {
    /// The polynomials of all wires at `t`: the sum of each wire's coefficients against the Lagrange basis.
    fn instance_map_with_evaluation<F: PrimeField, D: EvaluationDomain<F>>(
        cs: ConstraintSystemRef<F>,
        t: &F,
    ) -> Outcome<(Vec<F>, Vec<F>, Vec<F>, F, usize, usize)> {
        let matrices = &cs.to_matrices()?[R1CS_PREDICATE_LABEL];
        let domain = D::new(cs.num_constraints()).ok_or(SynthesisError::PolynomialDegreeTooLarge)?;
        let lagrange = domain.evaluate_all_lagrange_coefficients(*t);
        let wires = cs.num_instance_variables() + cs.num_witness_variables();
        let at_t = |matrix: &Matrix<F>| {
            let mut values = vec![F::zero(); wires];
            for (row, basis) in matrix.iter().zip(&lagrange) {
                for (coefficient, wire) in row {
                    values[*wire] += *basis * coefficient;
                }
            }
            values
        };
        let vanishing = domain.evaluate_vanishing_polynomial(*t);
        Ok((
            at_t(&matrices[0]),
            at_t(&matrices[1]),
            at_t(&matrices[2]),
            vanishing,
            wires - 1,
            domain.size(),
        ))
    }

    /// The quotient h; with zero inputs libsnark's own code adds no row. Our prover has its own (`groth16.rs`), which tests
    /// hold against arkworks' with this one.
    fn witness_map_from_matrices<F: PrimeField, D: EvaluationDomain<F>>(
        matrices: &[Matrix<F>],
        _num_inputs: usize,
        num_constraints: usize,
        assignment: &[F],
    ) -> Outcome<Vec<F>> {
        LibsnarkReduction::witness_map_from_matrices::<F, D>(matrices, 0, num_constraints, assignment)
    }

    fn h_query_scalars<F: PrimeField, D: EvaluationDomain<F>>(
        max_power: usize,
        t: F,
        vanishing: F,
        delta_inverse: F,
    ) -> Outcome<Vec<F>> {
        LibsnarkReduction::h_query_scalars::<F, D>(max_power, t, vanishing, delta_inverse)
    }
}
