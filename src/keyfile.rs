//! The bytes of a proving key.

use std::io::Read;

use ark_ec::AffineRepr;
use ark_groth16::{ProvingKey as ArkKey, VerifyingKey as ArkVerifyingKey};

use crate::codec::{put_count, put_g1s, put_sparse_g1s, put_sparse_g2s, Form, Reader};
use crate::error::{bad, Result};
use crate::groth16::Key;
use crate::points::{g1_pack, g2_pack, G1_BYTES};
use crate::r1cs::Shape;

/// Version 2 writes coordinates as the prover takes them, so that reading multiplies nothing; version 1 is still read.
/// Version 3 is the same for a key that many made, so that nothing older takes such a key for a dealer's.
const ONE_DEALER: &[u8] = b"fedproof/key/v2\0";
const BY_MANY: &[u8] = b"fedproof/key/v3\0";
const VERSIONS: [(&[u8], Form); 3] = [
    (ONE_DEALER, Form::Packed),
    (BY_MANY, Form::Packed),
    (b"fedproof/key/v1\0", Form::Eip),
];

impl Key {
    /// Counts, the circuit's digest, single points, then lists, the queries with their points at infinity left out.
    pub fn to_bytes(&self) -> Result<Vec<u8>> {
        let mut out = if self.by_many { BY_MANY } else { ONE_DEALER }.to_vec();
        self.write_body(&mut out)?;
        Ok(out)
    }

    /// What `read_body` reads.
    pub fn write_body(&self, out: &mut Vec<u8>) -> Result<()> {
        for count in [self.shape.public, self.shape.committed, self.shape.wires] {
            put_count(out, count)?;
        }
        out.extend_from_slice(&self.circuit);
        let (pk, vk) = (&self.ark, &self.ark.vk);
        for point in [&vk.alpha_g1, &pk.beta_g1, &pk.delta_g1] {
            out.extend_from_slice(&g1_pack(point));
        }
        for point in [&vk.beta_g2, &vk.delta_g2].into_iter().chain(&self.eta_g2) {
            out.extend_from_slice(&g2_pack(point));
        }
        for list in [&vk.gamma_abc_g1, &self.committed, &pk.h_query] {
            put_g1s(out, list, Form::Packed)?;
        }
        for query in [&pk.a_query, &pk.b_g1_query, &pk.l_query] {
            put_sparse_g1s(out, query);
        }
        put_sparse_g2s(out, &pk.b_g2_query);
        Ok(())
    }

    /// Reads what `to_bytes` wrote. Without `check`, points are not tested for curve and subgroup: a key file is
    /// loaded by its digest, and testing takes a hundred times longer than reading.
    pub fn from_bytes(bytes: &[u8], check: bool) -> Result<Self> {
        Self::read(bytes, bytes.len(), check)
    }

    /// `from_bytes` of the next `length` bytes of `input`, of which it holds no more than a block at a time.
    pub fn read(input: impl Read, length: usize, check: bool) -> Result<Self> {
        let mut reader = Reader::of(input, length, &VERSIONS, "proving key", check)?;
        let key = Self::read_body(&mut reader, length)?;
        reader.end()?;
        key.verifying_key().check()?;
        Ok(key)
    }

    /// A key that need not be fit for use yet, from a reader of `length` bytes that stands behind its magic.
    pub fn read_body(reader: &mut Reader<impl Read>, length: usize) -> Result<Self> {
        let shape = Shape::new(reader.count()?, reader.count()?, reader.count()?)?;
        // Every wire stands in a constraint, so it has a point in a list of its kind. This bounds what the bitmaps may ask for.
        if shape.wires.saturating_mul(G1_BYTES) > length {
            return Err(bad("the proving key names more wires than it holds points"));
        }
        let circuit = reader.array()?;
        let (alpha_g1, beta_g1, delta_g1) = (reader.g1()?, reader.g1()?, reader.g1()?);
        let (beta_g2, delta_g2) = (reader.g2()?, reader.g2()?);
        let eta_g2 = if shape.committed > 0 { Some(reader.g2()?) } else { None };
        let (gamma_abc_g1, committed, h_query) = (reader.g1s()?, reader.g1s()?, reader.g1s()?);
        if [gamma_abc_g1.len(), committed.len()] != [shape.statement(), shape.committed]
            || !(h_query.len() + 1).is_power_of_two()
        {
            return Err(bad("the proving key's lists do not have the lengths its header says"));
        }
        let (a_query, b_g1_query) = (reader.sparse_g1s(shape.wires)?, reader.sparse_g1s(shape.wires)?);
        let l_query = reader.sparse_g1s(shape.wires - shape.instance())?;
        let b_g2_query = reader.sparse_g2s(shape.wires)?;
        let vk = ArkVerifyingKey {
            alpha_g1,
            beta_g2,
            gamma_g2: AffineRepr::generator(),
            delta_g2,
            gamma_abc_g1,
        };
        let ark = ArkKey {
            vk,
            beta_g1,
            delta_g1,
            a_query,
            b_g1_query,
            b_g2_query,
            h_query,
            l_query,
        };
        Ok(Self {
            shape,
            circuit,
            ark,
            committed,
            eta_g2,
            by_many: reader.begun_with(BY_MANY),
        })
    }
}
