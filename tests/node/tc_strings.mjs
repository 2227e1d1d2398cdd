// Writes consent strings with what the framework's own library reads in them:
//   node tests/node/tc_strings.mjs COUNT SEED > tests/vectors/tc_strings.json
// The library is npm's @iabtcf/core, of the IAB Tech Lab; the strings are drawn
// from the seed. What a purpose comes to is asked of the decoded model, by the
// rules of the specification.
import {
  GVL,
  PurposeRestriction,
  RestrictionType,
  Segment,
  SegmentEncoder,
  TCModel,
  TCString,
} from '@iabtcf/core';

const [count, seed] = process.argv.slice(2).map(Number);
const DAY = 86_400_000;
const PURPOSES = 24;

// mulberry32: small, and the same everywhere.
let state = seed >>> 0;
function random(below) {
  state = (state + 0x6d2b79f5) >>> 0;
  let mixed = Math.imul(state ^ (state >>> 15), state | 1);
  mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
  return ((mixed ^ (mixed >>> 14)) >>> 0) % below;
}

function fill(vector, most, oneIn) {
  for (let id = 1; id <= most; id += 1) if (random(oneIn) === 0) vector.set(id);
}

// Vendors here and there, or in long runs, so that both encodings come up.
function vendors(vector) {
  if (random(5) === 0) return;
  if (random(2) === 0) return fill(vector, 1 + random(900), 1 + random(4));
  for (let runs = random(6); runs > 0; runs -= 1) {
    const first = 1 + random(3_000);
    for (let id = first; id < first + 1 + random(200); id += 1) vector.set(id);
  }
}

// A vendor list of which the library lets restrictions be made.
const vendorIds = Array.from({ length: 40 }, (_, at) => at + 1);
const list = new GVL({
  gvlSpecificationVersion: 3,
  vendorListVersion: 50,
  tcfPolicyVersion: 4,
  lastUpdated: '2024-01-01T00:00:00Z',
  purposes: Object.fromEntries(Array.from({ length: 11 }, (_, at) => [at + 1, { id: at + 1 }])),
  specialPurposes: {},
  features: {},
  specialFeatures: {},
  stacks: {},
  dataCategories: {},
  vendors: Object.fromEntries(
    vendorIds.map((id) => [
      id,
      {
        id,
        name: `Vendor ${id}`,
        purposes: [1, 3, 5, 7, 9, 11],
        legIntPurposes: [2, 8, 10],
        flexiblePurposes: [2, 7, 8, 9, 10, 11],
        specialPurposes: [],
        features: [],
        specialFeatures: [],
      },
    ]),
  ),
});

function made() {
  const model = new TCModel(list);
  const created = DAY * (19_000 + random(1_500)) + 100 * random(DAY / 100);
  model.created = new Date(created);
  model.lastUpdated = new Date(created + 100 * random(3 * DAY));
  [model.cmpId, model.cmpVersion, model.consentScreen] = [1 + random(4_000), random(4_000), random(60)];
  model.consentLanguage = ['EN', 'DE', 'FR', 'SQ', 'ZH'][random(5)];
  model.publisherCountryCode = ['AA', 'DE', 'ZZ'][random(3)];
  model.policyVersion = 2 + random(4);
  model.isServiceSpecific = random(2) === 0;
  fill(model.specialFeatureOptins, 2, 2);
  fill(model.purposeConsents, PURPOSES, 2);
  fill(model.purposeLegitimateInterests, PURPOSES, 2);
  vendors(model.vendorConsents);
  vendors(model.vendorLegitimateInterests);
  for (let left = random(6); left > 0; left -= 1) {
    const restriction = new PurposeRestriction(1 + random(11), RestrictionType.NOT_ALLOWED + random(3));
    for (let many = 1 + random(4); many > 0; many -= 1) {
      model.publisherRestrictions.add(1 + random(40), restriction);
    }
  }
  const segments = [SegmentEncoder.encode(model, Segment.CORE)];
  if (random(3) === 0) {
    vendors(model.vendorsDisclosed);
    segments.push(SegmentEncoder.encode(model, Segment.VENDORS_DISCLOSED));
  }
  if (random(3) === 0) {
    fill(model.publisherConsents, PURPOSES, 2);
    fill(model.publisherLegitimateInterests, PURPOSES, 2);
    model.numCustomPurposes = random(8);
    fill(model.publisherCustomConsents, model.numCustomPurposes, 2);
    segments.push(SegmentEncoder.encode(model, Segment.PUBLISHER_TC));
  }
  return segments.join('.');
}

// The bits in which purposes are a yes, the first purpose lowest.
function bits(says) {
  let all = 0;
  for (let purpose = 1; purpose <= PURPOSES; purpose += 1) if (says(purpose)) all |= 1 << (purpose - 1);
  return all >>> 0;
}

function read(string) {
  const model = TCString.decode(string);
  const parts = string.split('.').map((part) => Buffer.from(part, 'base64url'));
  const segment = (type) => parts.slice(1).some((part) => part[0] >> 5 === type);
  const [disclosed, publisher] = [segment(1), segment(3)];
  const restricted = (purpose, vendor) =>
    model.publisherRestrictions.getRestrictions(vendor).filter((one) => one.purposeId === purpose);
  const shown = (vendor) => !disclosed || model.vendorsDisclosed.has(vendor);
  const own = [2, 17, 38, 700].map((vendor) => ({
    vendor,
    consents: bits(
      (purpose) =>
        model.purposeConsents.has(purpose) &&
        model.vendorConsents.has(vendor) &&
        shown(vendor) &&
        restricted(purpose, vendor).every((one) => one.restrictionType === RestrictionType.REQUIRE_CONSENT),
    ),
    interests: bits(
      (purpose) =>
        model.purposeLegitimateInterests.has(purpose) &&
        model.vendorLegitimateInterests.has(vendor) &&
        shown(vendor) &&
        restricted(purpose, vendor).every((one) => one.restrictionType === RestrictionType.REQUIRE_LI),
    ),
  }));
  const also = (vector) => (purpose) => !publisher || vector.has(purpose);
  const consents = also(model.publisherConsents);
  const interests = also(model.publisherLegitimateInterests);
  return {
    string,
    created: model.created.getTime(),
    updated: model.lastUpdated.getTime(),
    consents: bits((purpose) => model.purposeConsents.has(purpose) && consents(purpose)),
    interests: bits((purpose) => model.purposeLegitimateInterests.has(purpose) && interests(purpose)),
    vendors: own,
  };
}

const strings = Array.from({ length: count }, made);
console.log(`[\n${strings.map((string) => JSON.stringify(read(string))).join(',\n')}\n]`);
