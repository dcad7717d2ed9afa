//! Sums of multiples of points: Pippenger's buckets over signed digits, filled by affine additions that share inversions.
//!
//! Most scalars of a witness are small, of either sign, and many are 0 or 1. So a scalar above r/2 is taken as the
//! negative of its complement, points are grouped by how many bits their scalars have, and each group has windows of
//! its own width. In a window the points are sorted by bucket, and neighbours in a bucket are added in pairs until each
//! bucket holds one: an affine addition costs six multiplications with its share of an inversion, where one into a
//! projective sum costs ten.
//!
//! Nothing here depends on the points being on their curve: others give another point, never a panic. Time depends on
//! the scalars, as with every prover that profits from small ones.

use ark_bn254::Fr;
use ark_ec::short_weierstrass::{Affine, Bucket, Projective, SWCurveConfig};
use ark_ec::{AdditiveGroup, AffineRepr};
use ark_ff::{serial_batch_inversion_and_mul, BigInt, BigInteger, Field, One, PrimeField, Zero};
use rayon::prelude::*;

/// Additions that share one inversion: enough to make it cheap, few enough to stay in the second cache.
const BATCH: usize = 2048;

/// Terms of one window that a thread takes at a time: its copy of their points is what a sum costs in memory.
const MOST_TERMS: usize = 1 << 20;

/// With fewer pairs than this in a round, an inversion costs more than it saves.
const FEW_PAIRS: usize = 96;

/// Upper ends of the groups, in bits of the scalar's magnitude.
const GROUPS: [u32; 3] = [16, 64, Fr::MODULUS_BIT_SIZE];

/// A point's place among the bases, and its scalar as sign and magnitude.
#[derive(Clone, Copy)]
struct Term {
    place: u32,
    negative: bool,
    magnitude: BigInt<4>,
}

/// Terms whose scalars are about as long, and how their digits are cut.
struct Group {
    terms: Vec<Term>,
    width: usize,
    windows: usize,
}

/// `sum k_i * P_i` over the shorter of the two slices.
pub fn sum_of_multiples<P: SWCurveConfig<ScalarField = Fr>>(bases: &[Affine<P>], scalars: &[Fr]) -> Projective<P> {
    let groups = grouped(bases, scalars);
    let threads = rayon::current_num_threads();
    let tasks: Vec<(usize, usize, &[Term])> = groups
        .iter()
        .enumerate()
        .flat_map(|(g, group)| {
            let parts = threads.div_ceil(group.windows);
            let length = group.terms.len().div_ceil(parts).clamp(1, MOST_TERMS);
            (0..group.windows)
                .rev()
                .flat_map(move |window| group.terms.chunks(length).map(move |terms| (g, window, terms)))
        })
        .collect();
    let sums: Vec<Bucket<P>> = tasks
        .par_iter()
        .with_max_len(1)
        .map(|&(g, window, terms)| window_sum(bases, terms, window, &groups[g]))
        .collect();
    let mut result = Projective::<P>::zero();
    for (g, group) in groups.iter().enumerate() {
        let mut total = Projective::<P>::zero();
        // tasks run from the highest window of a group to its lowest
        for window in (0..group.windows).rev() {
            for _ in 0..group.width {
                total.double_in_place();
            }
            for (task, sum) in tasks.iter().zip(&sums) {
                if (task.0, task.1) == (g, window) {
                    total += &Projective::from(*sum);
                }
            }
        }
        result += &total;
    }
    result
}

/// Terms that matter, by length; each scalar with the offset that makes its digits signed without a carry.
fn grouped<P: SWCurveConfig<ScalarField = Fr>>(bases: &[Affine<P>], scalars: &[Fr]) -> Vec<Group> {
    let half = Fr::MODULUS_MINUS_ONE_DIV_TWO;
    let terms: Vec<Term> = bases
        .par_iter()
        .zip(scalars)
        .with_min_len(1024)
        .enumerate()
        .filter(|(_, (base, scalar))| !scalar.is_zero() && !base.is_zero())
        .map(|(place, (_, scalar))| {
            let value = scalar.into_bigint();
            let negative = value > half;
            Term {
                place: place as u32,
                negative,
                magnitude: if negative { (-*scalar).into_bigint() } else { value },
            }
        })
        .collect();
    let mut by_length: [Vec<Term>; GROUPS.len()] = Default::default();
    for term in terms {
        let bits = term.magnitude.num_bits();
        let group = GROUPS.iter().position(|most| bits <= *most).unwrap_or(GROUPS.len() - 1);
        by_length[group].push(term);
    }
    by_length
        .into_iter()
        .filter(|terms| !terms.is_empty())
        .map(|mut terms| {
            let bits = terms.iter().map(|term| term.magnitude.num_bits()).max().unwrap_or(1) as usize;
            let (width, windows) = cut(terms.len(), bits);
            // half of each window but the top one: a digit is what the window then holds, less that half
            let mut offset = BigInt::<4>::zero();
            for window in 0..windows - 1 {
                let bit = width * window + width - 1;
                offset.0[bit / 64] |= 1 << (bit % 64);
            }
            for term in &mut terms {
                term.magnitude.add_with_carry(&offset);
            }
            Group { terms, width, windows }
        })
        .collect()
}

/// The width and number of windows with the fewest multiplications: 6 for each point in a window, 24 for each bucket.
///
/// `windows * width > bits`, so that the top digit, which is not signed, is at most `2^(width - 1)`.
fn cut(points: usize, bits: usize) -> (usize, usize) {
    let price = |width: usize| (bits + 1).div_ceil(width) * (6 * points + (24 << (width - 1)));
    let width = (2..=17).min_by_key(|width| price(*width)).unwrap_or(2);
    (width, (bits + 1).div_ceil(width))
}

impl Group {
    /// The digit of a term in a window, in `-2^(width-1) ..= 2^(width-1)`, with the term's sign.
    fn digit(&self, term: &Term, window: usize) -> i32 {
        let limbs = &term.magnitude.0;
        let (limb, shift) = (window * self.width / 64, window * self.width % 64);
        let mut bits = limbs[limb] >> shift;
        if shift + self.width > 64 && limb + 1 < limbs.len() {
            bits |= limbs[limb + 1] << (64 - shift);
        }
        let held = (bits & ((1 << self.width) - 1)) as i32;
        let digit = if window + 1 < self.windows {
            held - (1 << (self.width - 1))
        } else {
            held
        };
        if term.negative {
            -digit
        } else {
            digit
        }
    }
}

/// `sum digit_i * P_i` for one window.
fn window_sum<P: SWCurveConfig<ScalarField = Fr>>(
    bases: &[Affine<P>],
    terms: &[Term],
    window: usize,
    group: &Group,
) -> Bucket<P> {
    let buckets = 1 << (group.width - 1);
    let mut lengths = vec![0u32; buckets];
    let mut present = 0;
    for term in terms {
        let digit = group.digit(term, window);
        if digit != 0 {
            lengths[digit.unsigned_abs() as usize - 1] += 1;
            present += 1;
        }
    }
    let mut ends: Vec<u32> = lengths
        .iter()
        .scan(0, |end, length| {
            let start = *end;
            *end += length;
            Some(start)
        })
        .collect();
    let mut points = vec![Affine::<P>::identity(); present];
    for term in terms {
        let digit = group.digit(term, window);
        if digit != 0 {
            let end = &mut ends[digit.unsigned_abs() as usize - 1];
            let base = bases[term.place as usize];
            points[*end as usize] = if digit < 0 { -base } else { base };
            *end += 1;
        }
    }
    add_in_pairs(&mut points, &mut lengths);
    let mut end = lengths.iter().map(|length| *length as usize).sum::<usize>();
    let (mut running, mut sum) = (Bucket::<P>::ZERO, Bucket::<P>::ZERO);
    for length in lengths.iter().rev() {
        let start = end - *length as usize;
        for point in &points[start..end] {
            running += point;
        }
        end = start;
        sum += &running;
    }
    sum
}

/// Adds neighbours in each bucket until a round would have few pairs. Afterwards the points of all buckets stand at the
/// front, without gaps.
fn add_in_pairs<P: SWCurveConfig>(points: &mut [Affine<P>], lengths: &mut [u32]) {
    let mut slopes: Vec<P::BaseField> = Vec::with_capacity(BATCH);
    let mut sums: Vec<(u32, bool)> = Vec::with_capacity(BATCH);
    while lengths.iter().map(|length| *length as usize / 2).sum::<usize>() >= FEW_PAIRS {
        let (mut from, mut to) = (0, 0);
        for length in lengths.iter_mut() {
            for at in (0..*length).step_by(2) {
                let pair = at + 1 < *length;
                sums.push((from + at, pair));
                slopes.push(if pair {
                    divisor(&points[(from + at) as usize], &points[(from + at + 1) as usize])
                } else {
                    P::BaseField::ZERO
                });
                if sums.len() == BATCH {
                    to = finish(points, &mut sums, &mut slopes, to);
                }
            }
            from += *length;
            *length = length.div_ceil(2);
        }
        finish(points, &mut sums, &mut slopes, to);
    }
}

/// What the slope of a sum is divided by; zero where there is no slope.
fn divisor<P: SWCurveConfig>(left: &Affine<P>, right: &Affine<P>) -> P::BaseField {
    if left.is_zero() || right.is_zero() {
        return P::BaseField::ZERO;
    }
    let run = right.x - left.x;
    if !run.is_zero() {
        run
    } else if left.y == right.y {
        left.y.double()
    } else {
        P::BaseField::ZERO
    }
}

/// Writes the sums of a batch behind each other from `to` on, which is never behind what is still to be read.
fn finish<P: SWCurveConfig>(
    points: &mut [Affine<P>],
    sums: &mut Vec<(u32, bool)>,
    slopes: &mut Vec<P::BaseField>,
    mut to: usize,
) -> usize {
    serial_batch_inversion_and_mul(slopes, &P::BaseField::one());
    for ((from, pair), inverse) in sums.drain(..).zip(slopes.drain(..)) {
        let left = points[from as usize];
        points[to] = if pair {
            sum(left, points[from as usize + 1], inverse)
        } else {
            left
        };
        to += 1;
    }
    to
}

fn sum<P: SWCurveConfig>(left: Affine<P>, right: Affine<P>, inverse: P::BaseField) -> Affine<P> {
    if inverse.is_zero() {
        return match (left.is_zero(), right.is_zero()) {
            (true, _) => right,
            (_, true) => left,
            _ => Affine::identity(),
        };
    }
    let rise = if left.x == right.x {
        let square = left.x.square();
        square.double() + square + P::COEFF_A
    } else {
        right.y - left.y
    };
    let slope = rise * inverse;
    let x = slope.square() - left.x - right.x;
    Affine::new_unchecked(x, slope * (left.x - x) - left.y)
}

#[cfg(test)]
mod tests {
    use super::*;
    use ark_bn254::{G1Affine, G1Projective, G2Affine, G2Projective};
    use ark_ec::{CurveGroup, PrimeGroup, ScalarMul};
    use ark_ff::UniformRand;
    use rand_chacha::rand_core::{RngCore, SeedableRng};
    use rand_chacha::ChaCha20Rng;

    /// Multiples of the generator and their scalars' inner product, so that nothing is compared with another MSM.
    fn check<G: PrimeGroup<ScalarField = Fr> + ScalarMul>(
        logarithms: &[Fr],
        scalars: &[Fr],
        sum: impl Fn(&[G::MulBase], &[Fr]) -> G,
    ) {
        let bases = G::generator().batch_mul(logarithms);
        let expected: Fr = logarithms.iter().zip(scalars).map(|(a, b)| *a * b).sum();
        assert_eq!(sum(&bases, scalars), G::generator() * expected);
    }

    fn check_both(logarithms: &[Fr], scalars: &[Fr]) {
        check::<G1Projective>(logarithms, scalars, sum_of_multiples);
        check::<G2Projective>(logarithms, scalars, sum_of_multiples);
    }

    fn random(rng: &mut ChaCha20Rng, count: usize) -> Vec<Fr> {
        (0..count).map(|_| Fr::rand(rng)).collect()
    }

    #[test]
    fn sums_random_multiples_of_every_count() {
        let mut rng = ChaCha20Rng::from_seed([1; 32]);
        for count in [0, 1, 2, 3, 31, 100, 1000, 5000] {
            let (logarithms, scalars) = (random(&mut rng, count), random(&mut rng, count));
            check_both(&logarithms, &scalars);
        }
    }

    #[test]
    fn sums_scalars_of_every_length_and_sign() {
        let mut rng = ChaCha20Rng::from_seed([2; 32]);
        let scalars: Vec<Fr> = (0..3000u32)
            .map(|i| {
                let mut bits = BigInt::<4>([(); 4].map(|()| rng.next_u64()));
                bits >>= 2 + i % 254;
                let value = Fr::from_bigint(bits).unwrap_or(Fr::one());
                if i % 3 == 0 {
                    -value
                } else {
                    value
                }
            })
            .collect();
        check_both(&random(&mut rng, 3000), &scalars);
    }

    #[test]
    fn sums_scalars_at_the_ends_of_windows_and_of_the_field() {
        let mut rng = ChaCha20Rng::from_seed([3; 32]);
        let mut scalars = vec![Fr::zero(), Fr::one(), -Fr::one()];
        for bit in 0..254u64 {
            let power = Fr::from(2u64).pow([bit]);
            scalars.extend([power, power - Fr::one(), -power, power + Fr::one()]);
        }
        let half = Fr::from_bigint(Fr::MODULUS_MINUS_ONE_DIV_TWO).unwrap();
        scalars.extend([half, half + Fr::one(), half - Fr::one()]);
        let logarithms = random(&mut rng, scalars.len());
        check_both(&logarithms, &scalars);
        for (logarithm, scalar) in logarithms.iter().zip(&scalars) {
            check::<G1Projective>(&[*logarithm], &[*scalar], sum_of_multiples);
        }
    }

    /// One bucket for all: doublings, points that cancel, and points at infinity on both sides of a pair.
    #[test]
    fn sums_equal_and_opposite_points_and_points_at_infinity() {
        let mut rng = ChaCha20Rng::from_seed([4; 32]);
        let one = Fr::rand(&mut rng);
        for count in [2, 3, 500, 1001] {
            for scalar in [Fr::one(), Fr::from(77u64), Fr::rand(&mut rng)] {
                let scalars = vec![scalar; count];
                check_both(&vec![one; count], &scalars);
                let signs: Vec<Fr> = (0..count).map(|i| if i % 2 == 0 { one } else { -one }).collect();
                check_both(&signs, &scalars);
                let holes: Vec<Fr> = (0..count).map(|i| if i % 3 == 0 { Fr::zero() } else { one }).collect();
                check_both(&holes, &scalars);
                let doubled: Vec<Fr> = (0..count).map(|i| [one, -one, -one, one, one][i % 5]).collect();
                check_both(&doubled, &scalars);
            }
        }
    }

    #[test]
    fn takes_the_shorter_length_and_survives_points_off_the_curve() {
        let g = G1Affine::generator();
        assert_eq!(sum_of_multiples(&[g; 3], &[Fr::one()]), g.into_group());
        assert_eq!(sum_of_multiples(&[g], &[Fr::one(); 3]), g.into_group());
        let off = G1Affine::new_unchecked(g.x, ark_bn254::Fq::zero());
        for scalar in [Fr::one(), Fr::from(1u64 << 40)] {
            let _ = sum_of_multiples(&vec![off; 1000], &vec![scalar; 1000]).into_affine();
        }
        let off = G2Affine::new_unchecked(G2Affine::generator().x, ark_bn254::Fq2::zero());
        let _ = sum_of_multiples(&vec![off; 1000], &vec![Fr::one(); 1000]).into_affine();
    }
}
