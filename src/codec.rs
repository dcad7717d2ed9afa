//! Reading and writing the core's own files: fixed-width little-endian counts, points in their EIP encodings.

use ark_bn254::{G1Affine, G2Affine};
use ark_ec::AffineRepr;
use rayon::prelude::*;

use crate::error::{bad, Result};
use crate::points::{
    g1_decode, g1_decode_unchecked, g1_encode, g1s_decode, g2_decode, g2_decode_unchecked, g2_encode, G1_BYTES,
    G2_BYTES,
};

/// Points of a sparse list that one thread decodes at a time; a multiple of 8.
const BLOCK: usize = 4096;

/// A cursor that never allocates more than the bytes at hand justify.
pub struct Reader<'a> {
    rest: &'a [u8],
    what: &'static str,
    check: bool,
}

impl<'a> Reader<'a> {
    /// Starts after `magic`; `what` stands in messages, `check` says whether points are validated.
    pub fn new(bytes: &'a [u8], magic: &[u8], what: &'static str, check: bool) -> Result<Self> {
        match bytes.strip_prefix(magic) {
            Some(rest) => Ok(Self { rest, what, check }),
            None => Err(bad(format!("not a {what}, or one of another version"))),
        }
    }

    pub fn take(&mut self, count: usize) -> Result<&'a [u8]> {
        let Some((taken, rest)) = self.rest.split_at_checked(count) else {
            return Err(bad(format!("the {} ends too early", self.what)));
        };
        self.rest = rest;
        Ok(taken)
    }

    /// `count` items of `size` bytes each.
    pub fn items(&mut self, count: usize, size: usize) -> Result<&'a [u8]> {
        let bytes = count
            .checked_mul(size)
            .ok_or_else(|| bad(format!("the {} ends too early", self.what)))?;
        self.take(bytes)
    }

    pub fn array<const N: usize>(&mut self) -> Result<[u8; N]> {
        let mut array = [0u8; N];
        array.copy_from_slice(self.take(N)?);
        Ok(array)
    }

    pub fn count(&mut self) -> Result<usize> {
        Ok(u32::from_le_bytes(self.array()?) as usize)
    }

    pub fn u32s(&mut self, count: usize) -> Result<Vec<u32>> {
        let (words, _) = self.items(count, 4)?.as_chunks::<4>();
        Ok(words.iter().map(|word| u32::from_le_bytes(*word)).collect())
    }

    pub fn g1(&mut self) -> Result<G1Affine> {
        let decode = if self.check { g1_decode } else { g1_decode_unchecked };
        decode(self.take(G1_BYTES)?)
    }

    pub fn g2(&mut self) -> Result<G2Affine> {
        let decode = if self.check { g2_decode } else { g2_decode_unchecked };
        decode(self.take(G2_BYTES)?)
    }

    /// A count and that many points.
    pub fn g1s(&mut self) -> Result<Vec<G1Affine>> {
        let count = self.count()?;
        g1s_decode(self.items(count, G1_BYTES)?, self.check)
    }

    /// `length` points, of which many may be at infinity.
    pub fn sparse_g1s(&mut self, length: usize) -> Result<Vec<G1Affine>> {
        let decode = if self.check { g1_decode } else { g1_decode_unchecked };
        self.sparse(length, G1_BYTES, decode)
    }

    /// `length` points, of which many may be at infinity.
    pub fn sparse_g2s(&mut self, length: usize) -> Result<Vec<G2Affine>> {
        let decode = if self.check { g2_decode } else { g2_decode_unchecked };
        self.sparse(length, G2_BYTES, decode)
    }

    /// A bitmap of the points that are not at infinity, then those points. The caller has made sure that `length` is
    /// justified by the bytes at hand: a point at infinity takes one bit here, but its full size in memory.
    fn sparse<P: AffineRepr>(&mut self, length: usize, size: usize, decode: fn(&[u8]) -> Result<P>) -> Result<Vec<P>> {
        let what = self.what;
        let bitmap = self.take(length.div_ceil(8))?;
        let is_set = |i: &usize| bitmap[i / 8] >> (i % 8) & 1 == 1;
        if (length..8 * bitmap.len()).any(|i| is_set(&i)) {
            return Err(bad(format!("the {what} marks points beyond its wires")));
        }
        let blocks: Vec<&[u8]> = bitmap.chunks(BLOCK / 8).collect();
        let counts = blocks
            .iter()
            .map(|block| block.iter().map(|bits| bits.count_ones() as usize).sum::<usize>());
        let mut starts: Vec<usize> = vec![0];
        for count in counts {
            starts.push(starts[starts.len() - 1] + count);
        }
        let bytes = self.items(starts[blocks.len()], size)?;
        let mut all = vec![P::zero(); length];
        all.par_chunks_mut(BLOCK)
            .zip(blocks)
            .zip(&starts)
            .try_for_each(|((slots, bits), start)| {
                let mut points = bytes[start * size..].chunks_exact(size);
                for (i, slot) in slots.iter_mut().enumerate() {
                    if bits[i / 8] >> (i % 8) & 1 == 0 {
                        continue;
                    }
                    // the counts above are of the same bits, so that there is a point for each
                    let Some(point) = points.next() else { break };
                    *slot = decode(point)?;
                    if slot.is_zero() {
                        return Err(bad(format!("the {what} lists a point at infinity as a finite one")));
                    }
                }
                Ok(())
            })?;
        Ok(all)
    }

    pub fn end(self) -> Result<()> {
        if !self.rest.is_empty() {
            return Err(bad(format!("{} bytes follow the {}", self.rest.len(), self.what)));
        }
        Ok(())
    }
}

/// Appends a count.
pub fn put_count(out: &mut Vec<u8>, count: usize) -> Result<()> {
    let count = u32::try_from(count).map_err(|_| bad(format!("{count} items are too many for one file")))?;
    out.extend_from_slice(&count.to_le_bytes());
    Ok(())
}

pub fn put_u32s(out: &mut Vec<u8>, values: &[u32]) {
    out.extend(values.iter().flat_map(|value| value.to_le_bytes()));
}

/// What `Reader::g1s` reads.
pub fn put_g1s(out: &mut Vec<u8>, points: &[G1Affine]) -> Result<()> {
    put_count(out, points.len())?;
    out.extend(points.iter().flat_map(g1_encode));
    Ok(())
}

/// What `Reader::sparse_g1s` reads.
pub fn put_sparse_g1s(out: &mut Vec<u8>, points: &[G1Affine]) {
    put_sparse(out, points, g1_encode);
}

/// What `Reader::sparse_g2s` reads.
pub fn put_sparse_g2s(out: &mut Vec<u8>, points: &[G2Affine]) {
    put_sparse(out, points, g2_encode);
}

fn put_sparse<P: AffineRepr, const N: usize>(out: &mut Vec<u8>, points: &[P], encode: fn(&P) -> [u8; N]) {
    out.extend(points.chunks(8).map(|eight| {
        eight
            .iter()
            .enumerate()
            .fold(0u8, |bits, (i, point)| bits | (u8::from(!point.is_zero()) << i))
    }));
    out.extend(points.iter().filter(|point| !point.is_zero()).flat_map(encode));
}
