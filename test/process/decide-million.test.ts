import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Readable } from "node:stream";
import { afterAll, beforeAll, expect, test } from "vitest";
import { aPolicyDocument, anExperiment } from "../support/policy-builder.js";
import { runWeir } from "../support/weir-process.js";

/** The acceptance run uses 1000000. */
const UNITS = Number(process.env["WEIR_DECIDE_COUNT"] ?? 100_000);
const DEADLINE_MS = 120_000 + UNITS;
const CHUNK = 1000;

const OUTSIDE = 0;
const CONTROL = 1;
const TREATMENT = 2;
const SHARES = { [CONTROL]: 0.25, [TREATMENT]: 0.25, [OUTSIDE]: 0.5 } as const;

let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "weir-million-"));
});
afterAll(() => rm(folder, { recursive: true }));

async function policyFile(name: string, treatmentShare: number): Promise<string> {
  const arms = [
    { name: "control", version: "v1", start: 0, share: 2500 },
    { name: "treatment", version: "v2", start: 5000, share: treatmentShare },
  ];
  const file = join(folder, `${name}.yaml`);
  const policy = aPolicyDocument({ experiments: [anExperiment({ arms })] });
  await writeFile(file, JSON.stringify(policy));
  return file;
}

/** The arm of every unit, by a process of its own that is asked in the order given. */
async function decideAll(file: string, unitAt: (n: number) => number): Promise<Uint8Array> {
  const arms = new Uint8Array(UNITS);
  let next = 0;
  const { code, stderr } = await runWeir(["decide", "-p", file], {
    input: Readable.from(requests(unitAt)),
    onLine: (line) => {
      arms[unitAt(next)] = armOf(line);
      next += 1;
    },
  });
  expect({ code, stderr, answers: next }).toEqual({ code: 0, stderr: "", answers: UNITS });
  return arms;
}

function* requests(unitAt: (n: number) => number): Generator<string> {
  for (let from = 0; from < UNITS; from += CHUNK) {
    let chunk = "";
    for (let n = from; n < Math.min(from + CHUNK, UNITS); n += 1) {
      chunk += `{"path":"/v2/models/m/infer","headers":{"x-user-id":"user-${unitAt(n)}"}}\n`;
    }
    yield chunk;
  }
}

/** Parsing a million decisions whole would take longer than making them. */
function armOf(line: string): number {
  if (line.includes('"arm":"control"')) return CONTROL;
  if (line.includes('"arm":"treatment"')) return TREATMENT;
  if (line.includes('"arm":null')) return OUTSIDE;
  throw new Error(`no decision: ${line}`);
}

const forwards = (n: number) => n;
const backwards = (n: number) => UNITS - 1 - n;

function differences(left: Uint8Array, right: Uint8Array): number {
  return left.reduce((count, arm, unit) => (arm === right[unit] ? count : count + 1), 0);
}

const countOf = (arms: Uint8Array, wanted: number) =>
  arms.reduce((count, arm) => (arm === wanted ? count + 1 : count), 0);

const claim = `${UNITS} units: no flip between processes and runs, and growing an arm only moves units into it`;
test(claim, { timeout: DEADLINE_MS }, async () => {
  const [before, grown] = [await policyFile("before", 2500), await policyFile("grown", 4000)];
  const [first, second] = await Promise.all([
    decideAll(before, forwards),
    decideAll(before, backwards),
  ]);
  const [again, after] = await Promise.all([
    decideAll(before, forwards),
    decideAll(grown, forwards),
  ]);
  const moves = new Map<string, number>();
  for (const [unit, arm] of first.entries()) {
    if (arm === after[unit]) continue;
    const move = `${arm} to ${String(after[unit])}`;
    moves.set(move, (moves.get(move) ?? 0) + 1);
  }
  const grew = moves.get(`${OUTSIDE} to ${TREATMENT}`) ?? 0;
  const moved = [...moves.values()].reduce((sum, count) => sum + count, 0);
  const sigmas = [CONTROL, TREATMENT, OUTSIDE].map((arm) => {
    const share = SHARES[arm as keyof typeof SHARES];
    return (countOf(first, arm) - UNITS * share) / Math.sqrt(UNITS * share * (1 - share));
  });
  const rounded = sigmas.map((sigma) => Math.round(sigma * 100) / 100);
  console.table({
    units: UNITS,
    "flips between processes": differences(first, second),
    "flips between runs": differences(first, again),
    "sigma of control, treatment, outside": rounded.join(", "),
    "moved into treatment when it grew by 15 %": grew,
    "moved otherwise": moved - grew,
  });
  expect(differences(first, second)).toBe(0);
  expect(differences(first, again)).toBe(0);
  expect(grew).toBeGreaterThan(0);
  expect(moved - grew).toBe(0);
  for (const sigma of sigmas) expect(Math.abs(sigma)).toBeLessThan(3);
});
