//! The consent string of the IAB Transparency and Consent Framework, version 2
//! ("Transparency and Consent String with Global Vendor and CMP List Formats"):
//! segments of bit fields in base64url, joined by dots. Read whole and strictly:
//! what is cut off, in doubt or beyond a bound is refused, since a consent is
//! made of it.

use crate::clock::Instant;
use crate::limits;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

/// Why a string is refused: a rule, for people.
type Read<T> = Result<T, &'static str>;

const CUT_OFF: &str = "must be whole: a segment ends before its last field";

/// What a consent string says. Purposes are those of the framework, from 1.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TcString {
    /// When it was first made (Created).
    pub created: Instant,
    /// When the customer last said something (LastUpdated). From TCF 2.2 on this
    /// is the beginning of a day, UTC.
    pub updated: Instant,
    consents: Bits24,
    interests: Bits24,
    vendor_consents: Vendors,
    vendor_interests: Vendors,
    restrictions: Vec<Restriction>,
    disclosed: Option<Vendors>,
    publisher: Option<(Bits24, Bits24)>,
}

/// One bit for each of 24 purposes, purpose 1 first.
type Bits24 = u64;

/// Vendors, as ranges of first and last.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Vendors(Vec<(u16, u16)>);

/// What the publisher does not let vendors do.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Restriction {
    purpose: u8,
    kind: u64,
    vendors: Vendors,
}

/// RestrictionType: the purpose needs consent.
const CONSENT_REQUIRED: u64 = 1;
/// RestrictionType: the purpose needs a legitimate interest.
const INTEREST_REQUIRED: u64 = 2;

fn has(bits: Bits24, purpose: u8) -> bool {
    (1..=limits::TCF_PURPOSES).contains(&purpose)
        && bits >> (limits::TCF_PURPOSES - purpose) & 1 == 1
}

impl Vendors {
    fn has(&self, vendor: u16) -> bool {
        let mut ranges = self.0.iter();
        ranges.any(|(first, last)| (*first..=*last).contains(&vendor))
    }
}

impl TcString {
    /// Reads a string as it stands now. The error is the rule that it broke.
    pub fn read(text: &str, now: Instant) -> Read<Self> {
        if text.len() > limits::TC_STRING_BYTES {
            return Err("must be at most 4,096 bytes");
        }
        let mut segments = text.split('.');
        let core = bytes(segments.next().unwrap_or_default())?;
        let mut read = Self::core(&mut Bits::of(&core), now)?;
        for segment in segments {
            let segment = bytes(segment)?;
            read.segment(&mut Bits::of(&segment))?;
        }
        Ok(read)
    }

    /// Whether it consents to a purpose: for the vendor, or for the publisher.
    pub fn consents(&self, purpose: u8, vendor: Option<u16>) -> bool {
        let told = has(self.consents, purpose);
        match vendor {
            None => told && self.publisher.is_none_or(|(bits, _)| has(bits, purpose)),
            Some(vendor) => {
                told && self.vendor_consents.has(vendor)
                    && self.allows(purpose, vendor, CONSENT_REQUIRED)
            }
        }
    }

    /// Whether it lets a purpose rest on a legitimate interest: the customer was
    /// told and has not objected.
    pub fn lets(&self, purpose: u8, vendor: Option<u16>) -> bool {
        let told = has(self.interests, purpose);
        match vendor {
            None => told && self.publisher.is_none_or(|(_, bits)| has(bits, purpose)),
            Some(vendor) => {
                told && self.vendor_interests.has(vendor)
                    && self.allows(purpose, vendor, INTEREST_REQUIRED)
            }
        }
    }

    /// Whether the vendor was shown to the customer and the publisher lets it
    /// act on that basis.
    fn allows(&self, purpose: u8, vendor: u16, basis: u64) -> bool {
        let mut against = self.restrictions.iter().filter(|restriction| {
            restriction.purpose == purpose && restriction.vendors.has(vendor)
        });
        let disclosed = self.disclosed.as_ref();
        disclosed.is_none_or(|vendors| vendors.has(vendor))
            && against.all(|restriction| restriction.kind == basis)
    }

    fn core(bits: &mut Bits<'_>, now: Instant) -> Read<Self> {
        if bits.take(6)? != 2 {
            return Err("must be of version 2");
        }
        let (created, updated) = (bits.instant()?, bits.instant()?);
        if updated < created {
            return Err("must have a LastUpdated that is not before its Created");
        }
        if updated > now {
            return Err("must not have a LastUpdated in the future");
        }
        // CmpId, CmpVersion, ConsentScreen.
        bits.take(12 + 12 + 6)?;
        bits.letters("must have a ConsentLanguage of two letters")?;
        // VendorListVersion, TcfPolicyVersion, IsServiceSpecific,
        // UseNonStandardStacks, SpecialFeatureOptIns.
        bits.take(12 + 6 + 1 + 1 + 12)?;
        let (consents, interests) = (bits.take(24)?, bits.take(24)?);
        // PurposeOneTreatment.
        bits.take(1)?;
        bits.letters("must have a PublisherCC of two letters")?;
        let (vendor_consents, vendor_interests) = (bits.vendors()?, bits.vendors()?);
        let mut restrictions = Vec::new();
        for _ in 0..bits.take(12)? {
            restrictions.push(Restriction {
                purpose: u8::try_from(bits.take(6)?).unwrap_or(u8::MAX),
                kind: bits.take(2)?,
                vendors: bits.ranges(u16::MAX)?,
            });
        }
        bits.end()?;
        Ok(Self {
            created,
            updated,
            consents,
            interests,
            vendor_consents,
            vendor_interests,
            restrictions,
            disclosed: None,
            publisher: None,
        })
    }

    /// Another segment: SegmentType says which. None comes twice.
    fn segment(&mut self, bits: &mut Bits<'_>) -> Read<()> {
        const TWICE: &str = "must not have a segment twice";
        match bits.take(3)? {
            1 if self.disclosed.is_some() => return Err(TWICE),
            1 => self.disclosed = Some(bits.vendors()?),
            // Allowed vendors: those that may act outside the framework.
            2 => {
                bits.vendors()?;
            }
            3 if self.publisher.is_some() => return Err(TWICE),
            3 => {
                self.publisher = Some((bits.take(24)?, bits.take(24)?));
                let own = usize::try_from(bits.take(6)?).unwrap_or(usize::MAX);
                // Purposes of the publisher's own, twice.
                bits.skip(own.saturating_mul(2))?;
            }
            _ => return Err("must have segments of type 1, 2 or 3 after the first"),
        }
        bits.end()
    }
}

fn bytes(segment: &str) -> Read<Vec<u8>> {
    let decoded = URL_SAFE_NO_PAD.decode(segment);
    decoded.map_err(|_| "must be segments in base64url without padding, joined by dots")
}

/// What is still to be read, bit by bit, the highest of a byte first.
struct Bits<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Bits<'a> {
    fn of(bytes: &'a [u8]) -> Self {
        Self { bytes, at: 0 }
    }

    fn bit(&mut self) -> Read<bool> {
        let byte = self.bytes.get(self.at / 8).ok_or(CUT_OFF)?;
        let bit = byte >> (7 - self.at % 8) & 1;
        self.at += 1;
        Ok(bit == 1)
    }

    /// A whole number of at most 64 bits.
    fn take(&mut self, count: usize) -> Read<u64> {
        let mut number = 0;
        for _ in 0..count {
            number = number << 1 | u64::from(self.bit()?);
        }
        Ok(number)
    }

    fn number(&mut self) -> Read<u16> {
        Ok(u16::try_from(self.take(16)?).unwrap_or(u16::MAX))
    }

    fn skip(&mut self, count: usize) -> Read<()> {
        self.at = self.at.saturating_add(count);
        let is_there = self.at <= self.bytes.len().saturating_mul(8);
        is_there.then_some(()).ok_or(CUT_OFF)
    }

    /// Tenths of a second since 1970, in 36 bits.
    fn instant(&mut self) -> Read<Instant> {
        let tenths = i64::try_from(self.take(36)?).unwrap_or(i64::MAX);
        Ok(Instant::from_micros(tenths.saturating_mul(100_000)))
    }

    /// Two letters of six bits, from A.
    fn letters(&mut self, rule: &'static str) -> Read<()> {
        for _ in 0..2 {
            if self.take(6)? > 25 {
                return Err(rule);
            }
        }
        Ok(())
    }

    /// A vendor section: one bit each, or ranges.
    fn vendors(&mut self) -> Read<Vendors> {
        let most = self.number()?;
        if self.bit()? {
            return self.ranges(most);
        }
        let mut ranges: Vec<(u16, u16)> = Vec::new();
        for vendor in 1..=most {
            if !self.bit()? {
                continue;
            }
            match ranges.last_mut() {
                Some((_, last)) if *last + 1 == vendor => *last = vendor,
                _ => ranges.push((vendor, vendor)),
            }
        }
        Ok(Vendors(ranges))
    }

    fn ranges(&mut self, most: u16) -> Read<Vendors> {
        let mut ranges = Vec::new();
        for _ in 0..self.take(12)? {
            let is_range = self.bit()?;
            let first = self.number()?;
            let last = if is_range { self.number()? } else { first };
            if first == 0 || last < first || last > most {
                return Err("must have ranges of vendors that rise from 1 to MaxVendorId");
            }
            ranges.push((first, last));
        }
        Ok(Vendors(ranges))
    }

    /// Nothing follows but what fills up.
    fn end(&mut self) -> Read<()> {
        while self.at < self.bytes.len().saturating_mul(8) {
            if self.bit()? {
                return Err("must end with its last field");
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
