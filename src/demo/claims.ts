import { mintOverrideToken } from "../core/experiment/override.js";
import { systemClock } from "../adapters/system/clock.js";
import { HEADER } from "../schema/headers.js";
import { BUCKET_COUNT } from "../schema/values.js";
import { classify, inParallel } from "./classify.js";
import type { Answer } from "./classify.js";
import type { DemoMesh } from "./demo-mesh.js";
import { DEMO_KEY, DEMO_LIMIT, DEMO_SHARES } from "./demo-policy.js";
import type { DemoEvents } from "./read-events.js";
import type { SampleFile } from "./sample-files.js";

/** Something the demo says about itself, with the figures that show it. */
export type Claim = { readonly claim: string; readonly holds: boolean; readonly figures: string };

export type Served = { readonly user: string; readonly file: SampleFile; readonly answer: Answer };

/** Every request was answered, and by the same version for every request of a caller. */
export function callersKeepTheirArm(served: readonly Served[]): Claim {
  const versions = versionsByUser(served);
  const failed = served.filter(({ answer }) => answer.status !== 200).length;
  const flipped = [...versions.values()].filter((seen) => seen.size > 1).length;
  return {
    claim: "callers keep their arm",
    holds: failed === 0 && flipped === 0,
    figures: `${served.length} requests of ${versions.size} callers: ${failed} failed, ${flipped} callers changed arm`,
  };
}

/** The share of callers in treatment is the configured one, within 3 standard deviations. */
export function splitIsAsConfigured(served: readonly Served[]): Claim {
  const versions = [...versionsByUser(served).values()];
  const treated = versions.filter((seen) => seen.has("v3")).length;
  const expected = DEMO_SHARES.treatment / BUCKET_COUNT;
  const sigmas = deviation(treated, versions.length, expected);
  return {
    claim: "the split is as configured",
    holds: Math.abs(sigmas) <= 3,
    figures: `treatment ${treated} of ${versions.length} callers, expected ${percent(expected)}: ${sigmas.toFixed(1)} sigma`,
  };
}

/** What each arm got right, by the type that the file's name tells. A figure, not a promise. */
export function accuracyByArm(served: readonly Served[]): Claim {
  const accuracy = (version: string) => {
    const mine = served.filter(({ answer }) => answer.version === version);
    const right = mine.filter(({ answer, file }) => answer.label === file.type).length;
    return { text: `${version} ${percent(right / mine.length)} of ${mine.length}`, right };
  };
  const arms = [accuracy("v1"), accuracy("v3")];
  return {
    claim: "both arms classify real files",
    holds: arms.every(({ right }) => right > 0),
    figures: `right by file name: ${arms.map(({ text }) => text).join(", ")}`,
  };
}

/** Copies went where the policy says, were answered, and none of them became an exposure. */
export function shadowsAreComparedNotCounted(events: DemoEvents, served: number): Claim {
  const copied = events.assignments.filter(({ shadow }) => shadow !== null);
  const labels = (role: string) =>
    new Map(
      events.predictions
        .filter((prediction) => prediction.role === role)
        .map(({ decision, outputs }) => [decision, JSON.stringify(outputs["label"])]),
    );
  const primary = labels("primary");
  const shadow = labels("shadow");
  const pairs = copied.filter(({ decision }) => shadow.has(decision) && primary.has(decision));
  const agreed = pairs.filter(({ decision }) => shadow.get(decision) === primary.get(decision));
  const { exposures, shadowPredictions } = events.exposures;
  return {
    claim: "shadows are compared, not counted",
    holds:
      shadow.size === copied.length &&
      shadowPredictions === copied.length &&
      exposures === served &&
      copied.length > 0,
    figures: `${copied.length} copies asked, ${shadow.size} answered, agreement with the primary ${percent(agreed.length / pairs.length)}; ${exposures} exposures of ${served} requests`,
  };
}

/** A tenant over its quota gets 429 with the standard headers; later it is admitted again. */
export async function overLimitTenantGets429(mesh: DemoMesh, file: SampleFile): Promise<Claim> {
  const requests = 3 * DEMO_LIMIT.burst;
  const answers = await inParallel(Array.from({ length: requests }), 32, () =>
    classify(mesh.url, file, { "x-tenant": "acme" }),
  );
  const limited = answers.filter(({ status }) => status === 429);
  const admitted = answers.filter(({ status }) => status === 200).length;
  const headers = limited[0]?.headers;
  const shown = [HEADER.retryAfter, HEADER.rateLimit, HEADER.rateLimitPolicy].map(
    (name) => `${name}: ${headers?.get(name) ?? "missing"}`,
  );
  const other = await classify(mesh.url, file, { "x-tenant": "other" });
  return {
    claim: "an over-limit tenant gets 429",
    holds:
      limited.length > 0 &&
      admitted >= DEMO_LIMIT.burst &&
      admitted + limited.length === requests &&
      shown.every((header) => !header.endsWith("missing")) &&
      other.status === 200,
    figures: `${admitted} admitted, ${limited.length} limited; ${shown.join("; ")}; another tenant: ${other.status}`,
  };
}

/** A signed override moves a control caller to treatment; a forged one, and a forged arm, do not. */
export async function overrideWorks(
  mesh: DemoMesh,
  served: readonly Served[],
  file: SampleFile,
): Promise<Claim> {
  const user = served.find(({ answer }) => answer.version === "v1")?.user ?? "";
  const headers = overrideHeaders(mesh);
  const ask = async (extra: Readonly<Record<string, string>>) =>
    (await classify(mesh.url, file, { "x-user-id": user, ...extra })).version;
  const overridden = await ask(headers);
  const forged = await ask({
    ...headers,
    [HEADER.overrideToken]: `${headers[HEADER.overrideToken].slice(0, -4)}0000`,
  });
  const spoofed = await ask({
    [HEADER.version]: "magika/v3",
    [HEADER.arms]: "magika-v3=treatment",
  });
  return {
    claim: "a QA override works, a forged one does not",
    holds: overridden === "v3" && forged === "v1" && spoofed === "v1",
    figures: `control caller with token: ${overridden}; forged token: ${forged}; forged x-weir-version: ${spoofed}`,
  };
}

/** Valid for an hour. */
export function overrideHeaders(mesh: DemoMesh) {
  const override = "magika-v3=treatment";
  const token = mintOverrideToken({
    ...{ policyName: mesh.policy.name, keyName: DEMO_KEY, key: mesh.key, override },
    expiresAtMs: systemClock.nowMs() + 3_600_000,
  });
  return { [HEADER.override]: override, [HEADER.overrideToken]: token } as const;
}

function versionsByUser(served: readonly Served[]): ReadonlyMap<string, ReadonlySet<string>> {
  const byUser = new Map<string, Set<string>>();
  for (const { user, answer } of served) {
    const versions = byUser.get(user) ?? new Set<string>();
    byUser.set(user, versions.add(answer.version));
  }
  return byUser;
}

/** Standard deviations of a binomial count from its mean. */
function deviation(count: number, trials: number, probability: number): number {
  const sigma = Math.sqrt(trials * probability * (1 - probability));
  return (count - trials * probability) / sigma;
}

const percent = (ratio: number) => `${(100 * ratio).toFixed(1)} %`;
