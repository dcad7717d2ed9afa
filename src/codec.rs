//! Reading and writing the core's own files: fixed-width little-endian counts, and points in one of two forms.

use std::io::Read;

use ark_bn254::{G1Affine, G2Affine};
use ark_ec::AffineRepr;
use rayon::prelude::*;

use crate::error::{bad, Result};
use crate::points::{
    g1_decode_unchecked, g1_encode, g1_pack, g1_unpack, g1_valid, g2_decode_unchecked, g2_encode, g2_pack, g2_unpack,
    g2_valid, G1_BYTES, G2_BYTES,
};

/// Points that one thread decodes at a time; a multiple of 8.
const GRAIN: usize = 1024;

/// Points that are read at a time: few enough to stay in a core's cache from their bytes to their coordinates.
const BLOCK: usize = 8 * GRAIN;

/// How a file writes points.
#[derive(Clone, Copy, PartialEq)]
pub enum Form {
    /// EIP-196 and EIP-197.
    Eip,
    /// `g1_pack` and `g2_pack`: read without a multiplication.
    Packed,
}

/// A cursor over so many bytes that never allocates more than these justify.
pub struct Reader<R> {
    input: R,
    left: usize,
    /// What `take` read last.
    taken: Vec<u8>,
    what: &'static str,
    check: bool,
    form: Form,
    magic: Vec<u8>,
}

impl<'a> Reader<&'a [u8]> {
    /// Starts after `magic`; `what` stands in messages, `check` says whether points are validated.
    pub fn new(bytes: &'a [u8], magic: &[u8], what: &'static str, check: bool) -> Result<Self> {
        Self::of(bytes, bytes.len(), &[(magic, Form::Eip)], what, check)
    }
}

impl<R: Read> Reader<R> {
    /// Reads the first `length` bytes of `input`, which begin with one of the versions' magics, all of one length.
    pub fn of(input: R, length: usize, versions: &[(&[u8], Form)], what: &'static str, check: bool) -> Result<Self> {
        let mut reader = Self {
            input,
            left: length,
            taken: Vec::new(),
            what,
            check,
            form: Form::Eip,
            magic: Vec::new(),
        };
        let begun = reader.take(versions[0].0.len().min(length))?;
        let Some(version) = versions.iter().find(|(magic, _)| begun == *magic) else {
            return Err(bad(format!("not a {what}, or one of another version")));
        };
        (reader.magic, reader.form) = (version.0.to_vec(), version.1);
        Ok(reader)
    }

    /// Whether this is the magic that the bytes begin with.
    pub fn begun_with(&self, magic: &[u8]) -> bool {
        self.magic == magic
    }

    /// That `count` items of `size` bytes can follow.
    fn fits(&self, count: usize, size: usize) -> Result<usize> {
        match count.checked_mul(size) {
            Some(bytes) if bytes <= self.left => Ok(bytes),
            _ => Err(bad(format!("the {} ends too early", self.what))),
        }
    }

    pub fn take(&mut self, count: usize) -> Result<&[u8]> {
        self.fits(count, 1)?;
        self.taken.resize(count, 0);
        self.input
            .read_exact(&mut self.taken)
            .map_err(|_| bad(format!("the {} ends too early", self.what)))?;
        self.left -= count;
        Ok(&self.taken)
    }

    /// `count` items of `size` bytes each.
    pub fn items(&mut self, count: usize, size: usize) -> Result<&[u8]> {
        let bytes = self.fits(count, size)?;
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
        self.g1_decoder()(self.take(G1_BYTES)?)
    }

    pub fn g2(&mut self) -> Result<G2Affine> {
        self.g2_decoder()(self.take(G2_BYTES)?)
    }

    /// A count and that many points.
    pub fn g1s(&mut self) -> Result<Vec<G1Affine>> {
        let decode = self.g1_decoder();
        self.list(G1_BYTES, decode)
    }

    /// A count and that many points.
    pub fn g2s(&mut self) -> Result<Vec<G2Affine>> {
        let decode = self.g2_decoder();
        self.list(G2_BYTES, decode)
    }

    fn list<P: AffineRepr>(&mut self, size: usize, decode: impl Fn(&[u8]) -> Result<P> + Sync) -> Result<Vec<P>> {
        let count = self.count()?;
        self.fits(count, size)?;
        let mut all = Vec::with_capacity(count);
        while all.len() < count {
            let start = all.len();
            let end = count.min(start + BLOCK);
            let bytes = self.take((end - start) * size)?;
            all.resize(end, P::zero());
            all[start..]
                .par_iter_mut()
                .zip(bytes.par_chunks_exact(size))
                .with_min_len(GRAIN)
                .try_for_each(|(slot, point)| decode(point).map(|point| *slot = point))?;
        }
        Ok(all)
    }

    /// `length` points, of which many may be at infinity.
    pub fn sparse_g1s(&mut self, length: usize) -> Result<Vec<G1Affine>> {
        let decode = self.g1_decoder();
        self.sparse(length, G1_BYTES, decode)
    }

    /// `length` points, of which many may be at infinity.
    pub fn sparse_g2s(&mut self, length: usize) -> Result<Vec<G2Affine>> {
        let decode = self.g2_decoder();
        self.sparse(length, G2_BYTES, decode)
    }

    fn g1_decoder(&self) -> impl Fn(&[u8]) -> Result<G1Affine> + Copy + Sync + use<R> {
        let (check, form) = (self.check, self.form);
        move |bytes| {
            let point = match form {
                Form::Eip => g1_decode_unchecked(bytes)?,
                Form::Packed => g1_unpack(bytes)?,
            };
            if check {
                g1_valid(&point)?;
            }
            Ok(point)
        }
    }

    fn g2_decoder(&self) -> impl Fn(&[u8]) -> Result<G2Affine> + Copy + Sync + use<R> {
        let (check, form) = (self.check, self.form);
        move |bytes| {
            let point = match form {
                Form::Eip => g2_decode_unchecked(bytes)?,
                Form::Packed => g2_unpack(bytes)?,
            };
            if check {
                g2_valid(&point)?;
            }
            Ok(point)
        }
    }

    /// A bitmap of the points that are not at infinity, then those points. The caller has made sure that `length` is
    /// justified by the bytes at hand: a point at infinity takes one bit here, but its full size in memory.
    fn sparse<P: AffineRepr>(
        &mut self,
        length: usize,
        size: usize,
        decode: impl Fn(&[u8]) -> Result<P> + Sync,
    ) -> Result<Vec<P>> {
        let what = self.what;
        let bitmap = self.take(length.div_ceil(8))?.to_vec();
        let is_set = |i: &usize| bitmap[i / 8] >> (i % 8) & 1 == 1;
        if (length..8 * bitmap.len()).any(|i| is_set(&i)) {
            return Err(bad(format!("the {what} marks points beyond its wires")));
        }
        let set = |bits: &[u8]| bits.iter().map(|bits| bits.count_ones() as usize).sum::<usize>();
        self.fits(set(&bitmap), size)?;
        let mut all = Vec::with_capacity(length);
        for block in bitmap.chunks(BLOCK / 8) {
            let grains: Vec<&[u8]> = block.chunks(GRAIN / 8).collect();
            let mut starts = vec![0];
            for bits in &grains {
                starts.push(starts[starts.len() - 1] + set(bits));
            }
            let bytes = self.take(starts[grains.len()] * size)?;
            let first = all.len();
            all.resize(length.min(first + BLOCK), P::zero());
            all[first..]
                .par_chunks_mut(GRAIN)
                .zip(grains)
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
        }
        Ok(all)
    }

    pub fn end(self) -> Result<()> {
        if self.left > 0 {
            return Err(bad(format!("{} bytes follow the {}", self.left, self.what)));
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
pub fn put_g1s(out: &mut Vec<u8>, points: &[G1Affine], form: Form) -> Result<()> {
    put_count(out, points.len())?;
    let encode = match form {
        Form::Eip => g1_encode,
        Form::Packed => g1_pack,
    };
    out.extend(points.iter().flat_map(encode));
    Ok(())
}

/// What `Reader::g2s` reads, in the form of EIP-197.
pub fn put_g2s(out: &mut Vec<u8>, points: &[G2Affine]) -> Result<()> {
    put_count(out, points.len())?;
    out.extend(points.iter().flat_map(g2_encode));
    Ok(())
}

/// What `Reader::sparse_g1s` reads in the packed form.
pub fn put_sparse_g1s(out: &mut Vec<u8>, points: &[G1Affine]) {
    put_sparse(out, points, g1_pack);
}

/// What `Reader::sparse_g2s` reads in the packed form.
pub fn put_sparse_g2s(out: &mut Vec<u8>, points: &[G2Affine]) {
    put_sparse(out, points, g2_pack);
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

#[cfg(test)]
mod tests {
    use super::*;
    use ark_bn254::{Fr, G1Projective, G2Projective};
    use ark_ec::{CurveGroup, PrimeGroup, ScalarMul};

    /// Blocks, grains and a rest, with holes of every kind: whole blocks, whole bytes, single points.
    #[test]
    fn lists_of_several_blocks_go_there_and_back() {
        let length = 3 * BLOCK + 2 * GRAIN + 5;
        let scalars: Vec<Fr> = (0..length as u64)
            .map(|i| {
                let hole = i / BLOCK as u64 == 1 || i % 64 < 8 || i % 7 == 3;
                Fr::from(if hole { 0 } else { i })
            })
            .collect();
        let g1 = G1Projective::generator().batch_mul(&scalars);
        let g2: Vec<G2Affine> = (scalars.iter().take(2 * GRAIN + 3))
            .map(|scalar| (G2Projective::generator() * scalar).into_affine())
            .collect();
        for form in [Form::Eip, Form::Packed] {
            let mut out = b"x".to_vec();
            put_g1s(&mut out, &g1, form).unwrap();
            let mut reader = Reader::of(&out[..], out.len(), &[(b"x", form)], "file", true).unwrap();
            assert_eq!(reader.g1s().unwrap(), g1);
            reader.end().unwrap();
        }
        let mut out = b"x".to_vec();
        put_sparse_g1s(&mut out, &g1);
        put_sparse_g2s(&mut out, &g2);
        let mut reader = Reader::of(&out[..], out.len(), &[(b"x", Form::Packed)], "file", true).unwrap();
        assert_eq!(reader.sparse_g1s(g1.len()).unwrap(), g1);
        assert_eq!(reader.sparse_g2s(g2.len()).unwrap(), g2);
        reader.end().unwrap();
    }
}
