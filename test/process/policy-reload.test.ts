import { mkdtemp, rename, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, afterEach, beforeAll, expect, test, vi } from "vitest";
import { loadPolicy } from "../../src/adapters/policy-file/load-policy.js";
import { systemClock } from "../../src/adapters/system/clock.js";
import { extProcClient, mutationOf, requestHeaders } from "../support/ext-proc-client.js";
import { aModel, aPolicyDocument, anExperiment } from "../support/policy-builder.js";
import { startWeir, type WeirProcess } from "../support/weir-process.js";

const MODELS = 2000;
const EXPERIMENTS = 200;
const RELOADS = 4;
const WORKERS = 4;

let folder: string;
let file: string;
let weir: WeirProcess | undefined;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "weir-reload-"));
  file = join(folder, "policy.yaml");
});
afterEach(() => weir?.stop());
afterAll(() => rm(folder, { recursive: true }));

const policyNamed = (name: string) =>
  JSON.stringify(
    aPolicyDocument({
      metadata: { name },
      models: Array.from({ length: MODELS }, (_, at) =>
        aModel({
          name: `m${at}`,
          // The first is the one that the requests are for.
          match: { pathPrefix: at === 0 ? "/v2/models/magika" : `/v2/models/m${at}` },
        }),
      ),
      experiments: Array.from({ length: EXPERIMENTS }, (_, at) =>
        anExperiment({ name: `e${at}`, model: `m${at}`, eligibility: "device.mobile" }),
      ),
    }),
  );

/** A change of the file as one step, as a ConfigMap changes. */
async function put(text: string): Promise<void> {
  await writeFile(`${file}.next`, text);
  await rename(`${file}.next`, file);
}

/** The version of a policy, and how long a thread is busy with its file. */
async function loadOnce(text: string): Promise<{ readonly version: string; readonly ms: number }> {
  await put(text);
  const startMs = systemClock.monotonicMs();
  const loaded = await loadPolicy(file);
  if (loaded.kind === "refused") throw new Error(loaded.mistakes.join("\n"));
  return { version: loaded.policy.version, ms: systemClock.monotonicMs() - startMs };
}

/** Requests one after the other on several streams at once, until it is stopped. */
function steadyRequests(address: string) {
  const client = extProcClient(address);
  const failures: unknown[] = [];
  const versions = new Set<string | undefined>();
  let isOver = false;
  let sent = 0;
  let answered = 0;
  let lastAnswerAtMs = systemClock.monotonicMs();
  let longestGapMs = 0;
  const one = async (at: number) => {
    const stream = client.open();
    stream.send(requestHeaders([["x-user-id", `u${at}`]]));
    const { set } = mutationOf(await stream.next());
    const nowMs = systemClock.monotonicMs();
    longestGapMs = Math.max(longestGapMs, nowMs - lastAnswerAtMs);
    lastAnswerAtMs = nowMs;
    versions.add(set["x-weir-policy"]);
    answered++;
    stream.halfClose();
    await stream.status;
  };
  const work = async () => {
    while (!isOver) await one(sent++).catch((error: unknown) => failures.push(error));
  };
  const workers = Array.from({ length: WORKERS }, work);
  return {
    failures,
    answered: () => answered,
    /** Policies that answered, and the longest time without an answer, since the last call. */
    sinceLast: () => {
      const seen = { versions: new Set(versions), longestGapMs };
      versions.clear();
      longestGapMs = 0;
      return seen;
    },
    versions,
    stop: async () => {
      isOver = true;
      await Promise.all(workers);
      client.close();
      return { sent, answered };
    },
  };
}

test("requests are answered all along while a large policy is reloaded, each by one policy whole", async () => {
  const texts = ["even", "odd"].map(policyNamed);
  const loads = [];
  for (const text of texts) loads.push(await loadOnce(text));
  const loadMs = Math.min(...loads.map(({ ms }) => ms));
  weir = await startWeir("extproc", ["--policy", file]);
  const requests = steadyRequests(weir.address("grpc"));
  await vi.waitFor(
    () => {
      expect(requests.answered()).toBeGreaterThan(200);
    },
    { timeout: 60_000 },
  );
  const gapsMs = [];
  for (let reload = 0; reload < RELOADS; reload++) {
    const before = loads[(reload + 1) % 2]!.version;
    const after = loads[reload % 2]!.version;
    requests.sinceLast();
    await put(texts[reload % 2]!);
    await vi.waitFor(
      () => {
        expect(requests.versions).toContain(after);
      },
      { timeout: 60_000, interval: 20 },
    );
    const { versions, longestGapMs } = requests.sinceLast();
    expect([...versions]).toEqual([before, after]);
    gapsMs.push(longestGapMs);
  }
  const { sent, answered } = await requests.stop();
  expect(requests.failures).toEqual([]);
  expect(answered).toBe(sent);
  // A load in the way of requests would make every gap as long as itself.
  expect(Math.min(...gapsMs)).toBeLessThan(loadMs / 3);
});

test(
  "a file that takes all memory is refused, said so, and the old policy answers meanwhile",
  { timeout: 300_000 },
  async () => {
    const { version } = await loadOnce(policyNamed("good"));
    weir = await startWeir("extproc", ["--policy", file]);
    const requests = steadyRequests(weir.address("grpc"));
    // Four million words in eight megabytes.
    await put(`[${"a,".repeat(4_000_000)}a]`);
    await vi.waitFor(
      async () => {
        expect((await weir!.readyz()).body).toMatchObject({
          state: "ready",
          policy: version,
          refusedPolicy: [
            `${file}: cannot be read: it takes more than 768 MB of memory: shorten it`,
          ],
        });
      },
      { timeout: 280_000, interval: 200 },
    );
    const seen = requests.sinceLast();
    await requests.stop();
    expect(requests.failures).toEqual([]);
    expect([...seen.versions]).toEqual([version]);
  },
);
