/**
 * What a policy costs as it grows: to decide a request, to load the file beside requests, and in
 * memory. Runs the built sources in this process; `npm run bench:scale`.
 */
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { monitorEventLoopDelay, performance } from "node:perf_hooks";
import process from "node:process";
import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import { stringify } from "yaml";
import { loadPolicyOffThread } from "../dist/adapters/policy-file/load-off-thread.js";
import { compilePolicy } from "../dist/core/policy/compile-policy.js";
import { decide } from "../dist/core/routing/decide.js";
import { headerViewOf } from "../dist/core/routing/facts.js";
import { scalePolicy } from "./policies.mjs";

const SIZES = [
  [1, 1],
  [1, 10],
  [1, 100],
  [1, 1000],
  [100, 1000],
  [1, 0],
  [10, 0],
  [100, 0],
  [1000, 0],
  [10_000, 0],
  [10_000, 1000],
];
const REQUESTS = 2000;
const ROUNDS = 9;

setFlagsFromString("--expose-gc");
const collectGarbage = runInNewContext("gc");

/** Users of the model in the middle of those that have experiments. */
function requestsFor(models) {
  const path = `/v2/models/m-${Math.floor(Math.min(models, 100) / 2)}/infer`;
  return Array.from({ length: REQUESTS }, (_, at) => ({
    method: "POST",
    path,
    host: "models.example",
    headers: headerViewOf({
      "x-user-id": `user-${at}`,
      "x-tenant": `tenant-${at % 100}`,
      "x-country": at % 2 === 0 ? "AE" : "FR",
    }),
    principal: undefined,
    unhealthy: new Set(),
  }));
}

/** Of several rounds the fastest: what else ran on the machine only ever adds. */
function decisionUs(policy, models) {
  const requests = requestsFor(models);
  const rounds = Array.from({ length: ROUNDS }, () => {
    const startMs = performance.now();
    for (const request of requests) decide(policy, request, 0);
    return ((performance.now() - startMs) * 1000) / REQUESTS;
  });
  return Math.min(...rounds);
}

function heapMb() {
  collectGarbage();
  return process.memoryUsage().heapUsed / 2 ** 20;
}

async function measure(folder, models, experiments) {
  const text = stringify(scalePolicy(models, experiments), { aliasDuplicateObjects: false });
  const file = join(folder, "policy.yaml");
  await writeFile(file, text);
  const beforeMb = heapMb();
  const delay = monitorEventLoopDelay({ resolution: 1 });
  delay.enable();
  const startMs = performance.now();
  const loaded = await loadPolicyOffThread(file);
  const loadMs = performance.now() - startMs;
  delay.disable();
  if (loaded.kind === "refused") throw new Error(loaded.mistakes.join("\n"));
  const memoryMb = heapMb() - beforeMb;
  const compileStartMs = performance.now();
  compilePolicy(loaded.policy.source);
  const compileMs = performance.now() - compileStartMs;
  return {
    models,
    experiments,
    fileKb: text.length / 1024,
    decisionUs: decisionUs(loaded.policy, models),
    loadMs,
    stallMs: delay.max / 1e6,
    compileMs,
    memoryMb,
  };
}

const COLUMNS = [
  ["models", ({ models }) => models],
  ["experiments", ({ experiments }) => experiments],
  ["file KB", ({ fileKb }) => fileKb.toFixed(0)],
  ["decision us", ({ decisionUs }) => decisionUs.toFixed(2)],
  ["ratio", ({ decisionUs }, smallest) => (decisionUs / smallest).toFixed(2)],
  ["load ms", ({ loadMs }) => loadMs.toFixed(0)],
  ["longest stall ms", ({ stallMs }) => stallMs.toFixed(1)],
  ["compile ms", ({ compileMs }) => compileMs.toFixed(1)],
  ["memory MB", ({ memoryMb }) => memoryMb.toFixed(1)],
];

const folder = await mkdtemp(join(tmpdir(), "weir-scale-"));
try {
  // The first run pays for compiling the sources themselves.
  await measure(folder, 1, 10);
  const rows = [];
  for (const [models, experiments] of SIZES) rows.push(await measure(folder, models, experiments));
  console.log(`| ${COLUMNS.map(([title]) => title).join(" | ")} |`);
  console.log(`|${COLUMNS.map(() => " ---: |").join("")}`);
  const smallest = Math.min(...rows.map((row) => row.decisionUs));
  for (const row of rows) {
    console.log(`| ${COLUMNS.map(([, cell]) => cell(row, smallest)).join(" | ")} |`);
  }
} finally {
  await rm(folder, { recursive: true });
}
