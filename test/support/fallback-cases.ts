import fc from "fast-check";
import { aModel, type ExperimentInput, type PolicyInput } from "./policy-builder.js";

/** A request's headers as they come over the wire: bytes, which need not be text. */
export type WireHeader = readonly [name: string, value: Buffer];

const VERSIONS = ["v1", "v2", "v3"] as const;
const COUNTRIES = ["AE", "SA", "ğ日😀", ""] as const;
const HASHES = ["fnv1a32-fmix", "fnv1a32-mod", "growthbook-v2", "murmur3-flagd"] as const;
const UNITS = ["user", "tenant"] as const;
/** Width of an experiment's slots, and of an arm's room, of 10,000. */
const SLOTS = 2000;
const ARM = 2500;

const basisPoints = (max: number) => fc.integer({ min: 0, max });
const conditions = fc
  .array(
    fc.oneof(
      fc
        .tuple(fc.constantFrom("x-country", "x-plan"), fc.constantFrom(...COUNTRIES))
        .map(([name, value]) => `request.headers[${JSON.stringify(name)}] == "${value}"`),
      fc
        .uniqueArray(fc.constantFrom(...COUNTRIES), { maxLength: 3 })
        .map((values) => `request.headers["x-country"] in ${JSON.stringify(values)}`),
    ),
    { minLength: 1, maxLength: 2 },
  )
  .map((all) => all.join(" && "));

const often = <T>(value: T, arbitrary: fc.Arbitrary<T>) =>
  fc.oneof({ weight: 3, arbitrary: fc.constant(value) }, { weight: 1, arbitrary });
const arms = fc.array(
  fc.record({
    share: often(ARM, basisPoints(ARM)),
    version: fc.option(fc.constantFrom(...VERSIONS)),
  }),
  { minLength: 1, maxLength: 4 },
);

/** The n-th experiment of a policy; its place keeps its slots apart from the others'. */
const experiment = (at: number) =>
  fc
    .record({
      hash: fc.constantFrom(...HASHES),
      unit: fc.constantFrom(...UNITS),
      seed: fc.option(fc.string({ unit: "grapheme", minLength: 1, maxLength: 20 })),
      isLayered: often(false, fc.constant(true)),
      eligibility: often<string | null>(null, conditions),
      arms,
    })
    .map(({ hash, unit, seed, isLayered, eligibility, ...drawn }): ExperimentInput => {
      const anchored = hash === "fnv1a32-fmix" || hash === "growthbook-v2";
      return {
        ...{ name: `e${at}`, model: "m", unit, hash },
        ...(seed === null ? {} : { seed }),
        ...(isLayered
          ? { layer: { name: `${unit}-layer`, slots: [[at * SLOTS, (at + 1) * SLOTS]] } }
          : {}),
        ...(eligibility === null ? {} : { eligibility }),
        arms: drawn.arms.map(({ share, version }, index) => ({
          ...{ name: `a${index}`, share },
          ...(anchored ? { start: index * ARM } : {}),
          ...(version === null ? {} : { version }),
        })),
      };
    });

/** Policies of which Envoy can compute everything. */
const policies: fc.Arbitrary<Partial<PolicyInput>> = fc
  .record({
    experiments: fc
      .integer({ min: 1, max: 5 })
      .chain((count) => fc.tuple(...Array.from({ length: count }, (_, at) => experiment(at)))),
    holdouts: fc.array(fc.record({ unit: fc.constantFrom(...UNITS), share: basisPoints(2000) }), {
      maxLength: 2,
    }),
    residency: often<{ when: string; versionsIn: string[] }[]>(
      [],
      fc
        .tuple(conditions, fc.constantFrom("me", "polar"))
        .map(([when, region]) => [{ when, versionsIn: [region] }]),
    ),
    fallback: fc.option(fc.constantFrom(...VERSIONS), { nil: undefined }),
  })
  .map(({ experiments, holdouts, residency, fallback }) => ({
    models: [aModel(fallback === undefined ? {} : { fallback })],
    layers: UNITS.map((unit) => ({ name: `${unit}-layer`, unit })),
    holdouts: holdouts.map((holdout, at) => ({ ...holdout, name: `h${at}` })),
    experiments,
    residency,
  }));

/** Mostly ids, some of them with any character; the rest is what no id may be. */
const idBytes = fc.oneof(
  { weight: 6, arbitrary: fc.nat({ max: 1_000_000 }).map((n) => Buffer.from(`user-${n}`)) },
  {
    weight: 6,
    arbitrary: fc
      .string({ unit: "grapheme", minLength: 1, maxLength: 40 })
      .map((text) => Buffer.from(text)),
  },
  {
    weight: 2,
    arbitrary: fc.string({ unit: "binary", maxLength: 300 }).map((text) => Buffer.from(text)),
  },
  { weight: 1, arbitrary: fc.uint8Array({ maxLength: 12 }).map((bytes) => Buffer.from(bytes)) },
  {
    weight: 1,
    arbitrary: fc
      .tuple(fc.constantFrom("x", "é", "日", "😀"), fc.integer({ min: 120, max: 260 }))
      .map(([character, count]) => Buffer.from(character.repeat(count))),
  },
);

const cookie = fc
  .tuple(
    fc.constantFrom("", "a=1; ", "uid2=x;", "=; ;\t"),
    fc.constantFrom("uid=", " uid = ", 'uid="', "uid"),
    idBytes,
    fc.constantFrom("", " ; b=2", '"', "\u00a0", "; uid=again"),
  )
  .map(([before, name, id, after]) =>
    Buffer.concat([Buffer.from(before + name), id, Buffer.from(after)]),
  );

const oneOrTwo = <T>(arbitrary: fc.Arbitrary<T>): fc.Arbitrary<readonly T[]> =>
  fc.oneof(
    { weight: 3, arbitrary: fc.constant([]) },
    { weight: 9, arbitrary: arbitrary.map((value) => [value]) },
    { weight: 1, arbitrary: fc.tuple(arbitrary, arbitrary) },
  );

const headers: fc.Arbitrary<readonly WireHeader[]> = fc
  .record({
    "x-user-id": oneOrTwo(idBytes),
    cookie: oneOrTwo(cookie),
    "x-tenant": oneOrTwo(idBytes),
    "x-country": oneOrTwo(fc.constantFrom(...COUNTRIES).map((text) => Buffer.from(text))),
    "x-plan": oneOrTwo(fc.constantFrom(...COUNTRIES).map((text) => Buffer.from(text))),
  })
  .map((record) =>
    Object.entries(record).flatMap(([name, values]) =>
      values.map((value): WireHeader => [name, value]),
    ),
  );

/** The same policies and requests for the same seed, everywhere. */
export const fallbackPolicies = (seed: number, count: number) =>
  fc.sample(policies, { seed, numRuns: count });
export const fallbackRequests = (seed: number, count: number) =>
  fc.sample(headers, { seed, numRuns: count });
