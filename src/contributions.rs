//! Who had a part in a setup of many, and how everybody checks it (protocol, section 9).
//!
//! Each contributor multiplies the secrets of a setup by factors of its own and forgets them; the product is unknown as
//! long as one of all forgot. What it leaves behind is Kohlweiss, Maller, Siim and Volkhov's update proof ("Snarky
//! Ceremonies", ePrint 2021/219, sections 3 and 4): the factor in both groups, and a proof that somebody knew it. They
//! show such ceremonies safe without a beacon; ours end with one nevertheless, so that the last contributor has chosen
//! nothing. Only the secrets' places in G1 are followed from record to record: the powers that hang on them are checked
//! against the last ones, once.

use std::collections::BTreeSet;

use ark_bn254::{Fq, Fr, G1Affine, G2Affine};
use ark_ec::{AffineRepr, CurveGroup};
use ark_ff::PrimeField;
use sha3::{Digest, Keccak256};
use zeroize::Zeroizing;

use crate::codec::{put_count, Reader};
use crate::error::{bad, CoreError, Result};
use crate::evm::product_is_one;
use crate::points::{g1_decode, g1_encode, g2_decode, g2_encode, G1_BYTES, G2_BYTES};
use crate::random::{self, SecretRng};

/// Bytes of a contributor's name.
const MAX_NAME: usize = 100;

/// One contributor is one dealer.
const MIN_PEOPLE: usize = 2;

/// Contributions to one setup; each costs a verifier some pairings.
const MAX_RECORDS: usize = 1000;

/// A beacon's hash is taken 2^24 times at most: some ten seconds, as long again for each verifier.
const MAX_BEACON_LOG: u8 = 24;

/// How one secret `s` became `s x`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Update {
    /// `[s x]_1`.
    pub head: G1Affine,
    /// `[x]_1` and `[x]_2`.
    pub factor: (G1Affine, G2Affine),
    /// x times a point of G1 that the transcript so far, the head and the factor hash to.
    pub proof: G1Affine,
}

/// A public value that was unknown when the last contribution was made, as the seed of one more.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Beacon {
    pub value: [u8; 32],
    /// The value is hashed 2^log times.
    pub log: u8,
}

/// One contribution: who says so, or which beacon, and an update of each secret.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    pub name: String,
    pub beacon: Option<Beacon>,
    pub updates: Vec<Update>,
}

/// All contributions to one setup, in order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Transcript {
    /// What the setup is of.
    origin: [u8; 32],
    secrets: usize,
    pub records: Vec<Record>,
}

impl Transcript {
    /// The empty transcript of a setup with so many secrets; `parts` say what it is of.
    pub fn new(secrets: usize, parts: &[&[u8]]) -> Self {
        Self {
            origin: hash(b"fedproof/ceremony/origin/v1", parts),
            secrets,
            records: Vec::new(),
        }
    }

    /// One digest of the setup and of all contributions, after each of them; the first is of none.
    pub fn digests(&self) -> Vec<[u8; 32]> {
        let mut all = vec![self.origin];
        for record in &self.records {
            let updates = record.updates.iter().flat_map(Update::to_bytes).collect::<Vec<u8>>();
            all.push(hash(
                b"fedproof/ceremony/record/v1",
                &[&all[all.len() - 1], &record.description(), &updates],
            ));
        }
        all
    }

    /// The digest after the last contribution.
    pub fn digest(&self) -> [u8; 32] {
        self.digests().pop().unwrap_or(self.origin)
    }

    /// Where each secret is now: 1 before the first contribution.
    pub fn heads(&self) -> Vec<G1Affine> {
        match self.records.last() {
            Some(record) => record.updates.iter().map(|update| update.head).collect(),
            None => vec![G1Affine::generator(); self.secrets],
        }
    }

    /// Appends a contribution, and gives its factors. They come from `rng`, or from the beacon alone.
    pub fn contribute(
        &mut self,
        name: &str,
        beacon: Option<Beacon>,
        rng: &mut SecretRng,
    ) -> Result<Vec<Zeroizing<Fr>>> {
        check_name(name)?;
        if self.records.last().is_some_and(|record| record.beacon.is_some()) {
            return Err(bad("the beacon was the last contribution: nobody can add another"));
        }
        if self.records.len() >= MAX_RECORDS {
            return Err(bad(format!("a setup takes {MAX_RECORDS} contributions at most")));
        }
        let mut record = Record {
            name: name.into(),
            beacon,
            updates: Vec::new(),
        };
        let before = self.digest();
        let factors = match &record.beacon {
            Some(beacon) => beacon.factors(&before, self.secrets)?,
            None => (0..self.secrets).map(|_| random::nonzero(rng)).collect(),
        };
        let description = record.description();
        record.updates = self
            .heads()
            .into_iter()
            .zip(&factors)
            .enumerate()
            .map(|(place, (head, x))| Update::new(head, x, &[&before, &description, &[place as u8]]))
            .collect::<Result<_>>()?;
        self.records.push(record);
        Ok(factors)
    }

    /// Refuses a transcript in which some contribution does not follow from the one before it.
    pub fn verify(&self) -> Result<()> {
        let mut heads = vec![G1Affine::generator(); self.secrets];
        for (number, (record, before)) in self.records.iter().zip(self.digests()).enumerate() {
            let wrong = |what: &str| bad(format!("contribution {} ({:?}): {what}", number + 1, record.name));
            let description = record.description();
            for (place, (update, head)) in record.updates.iter().zip(&heads).enumerate() {
                if !update.follows(head, &[&before, &description, &[place as u8]])? {
                    return Err(wrong("its update does not follow from the one before it"));
                }
            }
            if let Some(beacon) = &record.beacon {
                if number + 1 != self.records.len() {
                    return Err(wrong("contributions follow the beacon"));
                }
                for (update, x) in record.updates.iter().zip(beacon.factors(&before, self.secrets)?) {
                    if update.factor.0 != G1Affine::generator() * *x {
                        return Err(wrong("its factors are not those of its beacon"));
                    }
                }
            }
            heads = record.updates.iter().map(|update| update.head).collect();
        }
        Ok(())
    }

    /// The values of its beacons.
    pub fn beacons(&self) -> impl Iterator<Item = &[u8; 32]> {
        let beacons = self.records.iter().filter_map(|record| record.beacon.as_ref());
        beacons.map(|beacon| &beacon.value)
    }

    /// Refuses a setup that has contributions under fewer than two names, or no beacon. Whether two names are two
    /// people, and whether the beacon's value was unknown before, is for those to say who were there.
    pub fn check_finished(&self, which: &str) -> Result<()> {
        let people = self.records.iter().filter(|record| record.beacon.is_none());
        let people = people.map(|record| &record.name).collect::<BTreeSet<_>>().len();
        if people < MIN_PEOPLE {
            return Err(bad(format!(
                "the {which} phase has contributions under {people} names, and needs those of {MIN_PEOPLE} or more"
            )));
        }
        if self.records.last().is_none_or(|record| record.beacon.is_none()) {
            return Err(bad(format!("the {which} phase does not end with a beacon yet")));
        }
        Ok(())
    }

    pub fn write(&self, out: &mut Vec<u8>) -> Result<()> {
        put_count(out, self.records.len())?;
        for record in &self.records {
            put_count(out, record.name.len())?;
            out.extend_from_slice(record.name.as_bytes());
            match &record.beacon {
                None => out.push(0),
                Some(beacon) => {
                    out.extend_from_slice(&[1, beacon.log]);
                    out.extend_from_slice(&beacon.value);
                }
            }
            out.extend(record.updates.iter().flat_map(Update::to_bytes));
        }
        Ok(())
    }

    /// Reads what `write` wrote into the transcript of a setup that has none yet.
    pub fn read(mut self, reader: &mut Reader<&[u8]>) -> Result<Self> {
        let count = reader.count()?;
        if count > MAX_RECORDS {
            return Err(bad(format!(
                "{count} contributions are above the limit of {MAX_RECORDS}"
            )));
        }
        for _ in 0..count {
            let length = reader.count()?;
            if length > MAX_NAME {
                return Err(bad("a contributor's name is too long"));
            }
            let name = String::from_utf8(reader.take(length)?.to_vec())
                .map_err(|_| bad("a contributor's name is not UTF-8"))?;
            check_name(&name)?;
            let beacon = match reader.array()? {
                [0] => None,
                [1] => {
                    let [log] = reader.array()?;
                    let beacon = Beacon {
                        value: reader.array()?,
                        log,
                    };
                    beacon.check()?;
                    Some(beacon)
                }
                _ => return Err(bad("a contribution is neither somebody's nor a beacon's")),
            };
            let updates = (0..self.secrets)
                .map(|_| {
                    // always tested, and written as EIP-196 and EIP-197 have points, whatever the rest of the file does
                    Ok(Update {
                        head: g1_decode(reader.take(G1_BYTES)?)?,
                        factor: (g1_decode(reader.take(G1_BYTES)?)?, g2_decode(reader.take(G2_BYTES)?)?),
                        proof: g1_decode(reader.take(G1_BYTES)?)?,
                    })
                })
                .collect::<Result<_>>()?;
            self.records.push(Record { name, beacon, updates });
        }
        Ok(self)
    }
}

impl Record {
    /// All of it but the updates.
    fn description(&self) -> Vec<u8> {
        let (kind, log, value) = match &self.beacon {
            None => (0, 0, [0; 32]),
            Some(beacon) => (1, beacon.log, beacon.value),
        };
        [&[kind, log][..], &value, self.name.as_bytes()].concat()
    }
}

impl Update {
    fn new(head: G1Affine, x: &Fr, context: &[&[u8]]) -> Result<Self> {
        let head = (head * x).into_affine();
        let factor = (
            (G1Affine::generator() * x).into_affine(),
            (G2Affine::generator() * x).into_affine(),
        );
        let proof = (challenge(context, &head, &factor)? * x).into_affine();
        Ok(Self { head, factor, proof })
    }

    /// Whether `before` times a factor that somebody knew is the head.
    fn follows(&self, before: &G1Affine, context: &[&[u8]]) -> Result<bool> {
        let (in_g1, in_g2) = self.factor;
        if in_g1.is_zero() || in_g2.is_zero() || self.head.is_zero() {
            return Ok(false);
        }
        let (one, generator) = (G1Affine::generator(), G2Affine::generator());
        for (times_x, base) in [
            (in_g1, one),
            (self.proof, challenge(context, &self.head, &self.factor)?),
            (self.head, *before),
        ] {
            if !product_is_one(vec![times_x, -base], vec![generator, in_g2])? {
                return Ok(false);
            }
        }
        Ok(true)
    }

    fn to_bytes(&self) -> Vec<u8> {
        let (in_g1, in_g2) = &self.factor;
        [
            &g1_encode(&self.head)[..],
            &g1_encode(in_g1),
            &g2_encode(in_g2),
            &g1_encode(&self.proof),
        ]
        .concat()
    }
}

impl Beacon {
    pub fn check(&self) -> Result<()> {
        if self.log > MAX_BEACON_LOG {
            return Err(bad(format!("a beacon is hashed 2^{MAX_BEACON_LOG} times at most")));
        }
        Ok(())
    }

    /// The factors that the value stands for after these contributions.
    pub(crate) fn factors(&self, before: &[u8; 32], count: usize) -> Result<Vec<Zeroizing<Fr>>> {
        self.check()?;
        let mut seed = hash(b"fedproof/ceremony/beacon/v1", &[before, &self.value]);
        for _ in 0..1u64 << self.log {
            seed = Keccak256::digest(seed).into();
        }
        let mut rng = random::rng_for(b"beacon", Some(&seed))?;
        Ok((0..count).map(|_| random::nonzero(&mut rng)).collect())
    }
}

fn check_name(name: &str) -> Result<()> {
    if name.is_empty() || name.len() > MAX_NAME || name.chars().any(char::is_control) {
        return Err(bad(format!(
            "a contributor's name has 1 to {MAX_NAME} bytes on one line"
        )));
    }
    Ok(())
}

/// Each part behind its length.
fn hash(purpose: &[u8], parts: &[&[u8]]) -> [u8; 32] {
    let mut digest = Keccak256::new();
    for part in std::iter::once(&purpose).chain(parts) {
        digest.update((part.len() as u64).to_be_bytes());
        digest.update(part);
    }
    digest.finalize().into()
}

/// A point of G1 whose logarithm nobody knows. All that goes in is public, so it may take as long as it takes.
fn challenge(context: &[&[u8]], head: &G1Affine, factor: &(G1Affine, G2Affine)) -> Result<G1Affine> {
    let points = [&g1_encode(head)[..], &g1_encode(&factor.0), &g2_encode(&factor.1)].concat();
    let context = context.concat();
    // each try succeeds with a half
    for attempt in 0..u8::MAX {
        let [high, low] = [0u8, 1].map(|half| {
            hash(
                b"fedproof/ceremony/challenge/v1",
                &[&context, &points, &[attempt, half]],
            )
        });
        let x = Fq::from_be_bytes_mod_order(&[high, low].concat());
        if let Some(point) = G1Affine::get_point_from_x_unchecked(x, low[31] & 1 == 1) {
            return Ok(point);
        }
    }
    Err(CoreError::Internal("ceremony: no point was found".into()))
}
