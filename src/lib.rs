//! `fedproof._core`: the arithmetic of fedproof over BN254, without any opinion about what is proven.
#![forbid(unsafe_code)]

mod ceremony;
mod classes;
mod codec;
mod committed;
mod contributions;
mod error;
mod evm;
mod field;
#[cfg(fuzzing)]
pub mod fuzzing;
mod groth16;
mod keyfile;
mod kzg;
mod msm;
mod phase_one;
mod phase_two;
mod points;
mod poly;
mod poseidon;
mod r1cs;
mod random;
mod sparse;
mod vectors;

use pyo3::prelude::*;

/// Adds every kernel to the module; `python/fedproof/_core.pyi` lists the same names.
#[pymodule]
fn _core(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add("MODULUS", field::modulus())?;

    module.add_function(wrap_pyfunction!(vectors::fr_from_i64, module)?)?;
    module.add_function(wrap_pyfunction!(vectors::fr_from_ints, module)?)?;
    module.add_function(wrap_pyfunction!(vectors::fr_to_ints, module)?)?;
    module.add_function(wrap_pyfunction!(vectors::fr_from_bytes, module)?)?;
    module.add_function(wrap_pyfunction!(vectors::fr_to_bytes, module)?)?;
    module.add_function(wrap_pyfunction!(vectors::fr_to_i64, module)?)?;
    module.add_function(wrap_pyfunction!(vectors::fr_add, module)?)?;
    module.add_function(wrap_pyfunction!(vectors::fr_sub, module)?)?;
    module.add_function(wrap_pyfunction!(vectors::fr_mul, module)?)?;
    module.add_function(wrap_pyfunction!(vectors::fr_neg, module)?)?;
    module.add_function(wrap_pyfunction!(vectors::fr_inverse, module)?)?;
    module.add_function(wrap_pyfunction!(vectors::fr_sum, module)?)?;
    module.add_function(wrap_pyfunction!(vectors::fr_dot, module)?)?;
    module.add_function(wrap_pyfunction!(vectors::fr_powers, module)?)?;
    module.add_function(wrap_pyfunction!(vectors::fr_random, module)?)?;
    module.add_function(wrap_pyfunction!(poly::poly_eval, module)?)?;
    module.add_function(wrap_pyfunction!(poly::poly_divide_linear, module)?)?;
    module.add_function(wrap_pyfunction!(sparse::sparse_apply, module)?)?;

    module.add_function(wrap_pyfunction!(points::g1_add, module)?)?;
    module.add_function(wrap_pyfunction!(points::g1_mul, module)?)?;
    module.add_function(wrap_pyfunction!(points::g1_neg, module)?)?;
    module.add_function(wrap_pyfunction!(points::g1_msm, module)?)?;
    module.add_function(wrap_pyfunction!(points::g1_multiples, module)?)?;
    module.add_function(wrap_pyfunction!(points::g2_multiples, module)?)?;
    module.add_function(wrap_pyfunction!(points::g1_generator, module)?)?;
    module.add_function(wrap_pyfunction!(points::g2_generator, module)?)?;
    module.add_function(wrap_pyfunction!(points::g1_check, module)?)?;
    module.add_function(wrap_pyfunction!(points::g2_check, module)?)?;
    module.add_function(wrap_pyfunction!(evm::ec_add, module)?)?;
    module.add_function(wrap_pyfunction!(evm::ec_mul, module)?)?;
    module.add_function(wrap_pyfunction!(evm::ec_pairing, module)?)?;

    module.add_function(wrap_pyfunction!(poseidon::poseidon, module)?)?;
    module.add_function(wrap_pyfunction!(poseidon::poseidon_parameters, module)?)?;
    module.add_function(wrap_pyfunction!(poseidon::keccak256, module)?)?;

    module.add_class::<classes::Srs>()?;
    module.add_class::<classes::R1cs>()?;
    module.add_class::<classes::Dealer>()?;
    module.add_class::<classes::ProvingKey>()?;
    module.add_class::<ceremony::PhaseOne>()?;
    module.add_class::<ceremony::PhaseTwo>()?;
    module.add_function(wrap_pyfunction!(classes::groth16_verify, module)?)?;
    Ok(())
}
