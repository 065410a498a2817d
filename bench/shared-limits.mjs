/* global console, performance, setImmediate */
import { cpus } from "node:os";
import process from "node:process";
import { memoryLimitStore } from "../dist/adapters/memory/limit-store.js";
import { redisLimitStore } from "../dist/adapters/redis/limit-store.js";
import { parseRedisUrl } from "../dist/adapters/redis/redis-url.js";
import { systemClock } from "../dist/adapters/system/clock.js";
import { systemRandom } from "../dist/adapters/system/random.js";
import { startRedis, until } from "./redis.mjs";

/**
 * What a charge costs the request path: in memory, shared with Redis up, and with Redis stopped
 * (SIGSTOP: it takes connections and commands, and answers nothing). Rounds take turns.
 */
const ROUNDS = Number(process.env["ROUNDS"] ?? 7);
const ROUND_MS = Number(process.env["ROUND_MS"] ?? 2000);
const KEYS = 100;
/** So many charges, then a turn of the event loop, as with requests. */
const BURST = 20;

const limits = new Map(
  [
    { name: "tenant", requests: 1e6, burst: 1e6 },
    { name: "all", requests: 1e8, burst: 1e8 },
  ].map((limit) => [
    limit.name,
    { ...limit, periodMs: 1000, enforce: true, overshoot: 0.1, onStoreFailure: "local" },
  ]),
);
const charges = Array.from({ length: KEYS }, (_, at) => [
  { limit: "tenant", key: `t${at}`, cost: 1 },
  { limit: "all", key: "", cost: 1 },
]);

const redis = await startRedis();
const shared = redisLimitStore({
  target: parseRedisUrl(`redis+unix://${redis.socket}`),
  ...{ ca: undefined, namespace: "bench", maxKeys: 1000 },
  ...{ clock: systemClock, random: systemRandom() },
  events: { changed: (isUp) => (redis.isSeen = isUp), renewed: () => {}, failed: () => {} },
});
const memory = memoryLimitStore(1000);
try {
  await until("Redis to be found", () => redis.isSeen);
  const setups = { memory: [], up: [], stopped: [] };
  for (let round = -1; round < ROUNDS; round++) {
    // The first round warms the compiler up.
    const keep = (name, measured) => round >= 0 && setups[name].push(measured);
    keep("memory", await measure(memory));
    keep("up", await measure(shared));
    redis.child.kill("SIGSTOP");
    await until("the loss to be seen", () => !redis.isSeen);
    keep("stopped", await measure(shared));
    redis.child.kill("SIGCONT");
    await until("Redis to be found again", () => redis.isSeen);
  }
  report(setups);
} finally {
  redis.child.kill("SIGCONT");
  await shared.close(500);
  await redis.stop();
}

async function measure(store) {
  const endMs = performance.now() + ROUND_MS;
  const took = new Float64Array(5_000_000);
  let count = 0;
  let limited = 0;
  while (performance.now() < endMs && count + BURST < took.length) {
    for (let at = 0; at < BURST; at++) {
      const startNs = process.hrtime.bigint();
      const verdicts = store.charge(charges[count % KEYS], limits, systemClock.nowMs());
      took[count++] = Number(process.hrtime.bigint() - startNs);
      if (verdicts[0].kind !== "admitted") limited += 1;
    }
    await new Promise((resolve) => setImmediate(resolve));
  }
  const sorted = took.subarray(0, count).sort();
  const at = (share) => sorted[Math.floor(share * (count - 1))];
  return { p50: at(0.5), p99: at(0.99), p999: at(0.999), limited: limited / count };
}

function report(setups) {
  const median = (name, figure) => {
    const values = setups[name].map((one) => one[figure]).sort((a, b) => a - b);
    const middle = values[values.length >> 1];
    return {
      middle,
      text: `${middle.toFixed(0)} (${values[0].toFixed(0)} to ${values.at(-1).toFixed(0)})`,
    };
  };
  const ratio = (name, to, figure) =>
    (median(name, figure).middle / median(to, figure).middle).toFixed(2);
  const lines = [
    `${ROUNDS} rounds of ${ROUND_MS} ms in turns, two limits per request, ${KEYS} keys; ${cpus()[0]?.model}, Node ${process.version}`,
    "",
    "| one charge, ns | in memory | Redis up | Redis stopped | stopped to up | up to memory |",
    "| --- | --- | --- | --- | --- | --- |",
    ...["p50", "p99", "p999"].map((figure) => {
      const cells = ["memory", "up", "stopped"].map((name) => median(name, figure).text);
      return `| ${[figure, ...cells, ratio("stopped", "up", figure), ratio("up", "memory", figure)].join(" | ")} |`;
    }),
  ];
  console.log(lines.join("\n"));
}
