/* global console */
/**
 * What limits cost a request, with the same Envoy and the same Redis: ours by ext_proc and by the
 * rate limit service, and envoyproxy/ratelimit's. Rounds take turns. docs/rate-limit-service.md has
 * the figures.
 */
import { mkdtemp, rm } from "node:fs/promises";
import { cpus, tmpdir } from "node:os";
import { join } from "node:path";
import process from "node:process";
import { setTimeout as delay } from "node:timers/promises";
import { envoyBinary } from "../dist/adapters/toolchain/envoy-binary.js";
import { cpuMicroseconds, machineBusyMicroseconds } from "./cpu-time.mjs";
import { goPrograms, ratelimitService } from "./go-programs.mjs";
import { AMPLE_PATH, SCARCE, SCARCE_PATH, SETUPS, startSetup } from "./limit-setups.mjs";
import { output, start } from "./programs.mjs";
import { startRedis } from "./redis.mjs";

const ROUNDS = Number(process.env["ROUNDS"] ?? 3);
const SECONDS = Number(process.env["SECONDS"] ?? 5);
const RATE = 1000;
const CONNECTIONS = 32;
const REFUSED = "HTTP/1.1 429 Too Many Requests";

const programs = await goPrograms();
const folder = await mkdtemp(join(tmpdir(), "weir-bench-"));
const redis = await startRedis();
const upstream = await start(programs.upstream, []);
const lab = {
  ...{ folder, redis, envoy: await envoyBinary(), ratelimit: await ratelimitService() },
  upstreamPort: Number(upstream.ready.address.split(":").at(-1)),
};
const running = [];
try {
  for (const setup of SETUPS) running.push(await startSetup(setup, lab));
  for (const one of running) await load(one, { path: AMPLE_PATH, seconds: SECONDS, rate: 0 });
  const rounds = [];
  for (let round = 0; round < ROUNDS; round++) {
    const first = round % running.length;
    const measured = {};
    for (const one of [...running.slice(first), ...running.slice(0, first)]) {
      measured[one.setup.name] = await measure(one);
      console.error(
        `${round + 1}/${ROUNDS} ${one.setup.name}: ${JSON.stringify(measured[one.setup.name])}`,
      );
    }
    rounds.push(measured);
  }
  console.log(report(rounds));
} finally {
  redis.child.kill("SIGCONT");
  for (const one of running) await one.stop();
  await upstream.stop();
  await redis.stop();
  await rm(folder, { recursive: true, force: true });
}

async function measure(one) {
  const closed = await load(one, { path: AMPLE_PATH, seconds: SECONDS, rate: 0 });
  const open = await load(one, { path: AMPLE_PATH, seconds: SECONDS, rate: RATE });
  if (one.server === undefined) return { closed, open };
  const scarce = await load(one, { path: SCARCE_PATH, seconds: SECONDS, rate: RATE });
  redis.child.kill("SIGSTOP");
  // Who asks Redis for every request makes each wait for the filter's timeout: a few show it.
  const few = one.setup.asksRedis
    ? { seconds: 1, rate: RATE / 10 }
    : { seconds: SECONDS, rate: RATE };
  const stopped = await load(one, { path: AMPLE_PATH, ...few });
  redis.child.kill("SIGCONT");
  // What waits for it is answered, and leases are taken again.
  await delay(1500);
  return { closed, open, scarce, stopped };
}

async function load({ server, envoy }, { path, seconds, rate }) {
  const read = async () => ({
    server: server === undefined ? 0 : await cpuMicroseconds(server.pid),
    envoy: await cpuMicroseconds(envoy.pid),
    redis: await cpuMicroseconds(redis.child.pid),
    run: await cpuMicroseconds(process.pid),
    machine: await machineBusyMicroseconds(),
  });
  const before = await read();
  const args = ["-address", envoy.address, "-path", path, "-connections", String(CONNECTIONS)];
  args.push("-duration", `${seconds}s`, "-rate", String(rate));
  const sent = JSON.parse(await output(programs.load, args));
  const after = await read();
  const { [REFUSED]: refused = 0, ...failures } = sent.failures;
  const failed = Object.values(failures).reduce((sum, count) => sum + count, 0);
  const all = sent.requests + refused + failed;
  const spent = (what) => (after[what] - before[what]) / all;
  return {
    ...{ admitted: sent.requests, refused, failed, seconds: sent.seconds },
    requestsPerSecond: all / sent.seconds,
    ...{ serverUs: spent("server"), envoyUs: spent("envoy"), redisUs: spent("redis") },
    othersShare: Math.max(0, 1 - spent("run") / spent("machine")),
    latencyMs: sent.latencyMs,
  };
}

/** Of what one exact limit with a burst of a second's worth admits meanwhile. */
function toExact({ admitted, seconds }) {
  return admitted / (SCARCE + SCARCE * seconds);
}

function report(rounds) {
  const cpu = ({ serverUs, envoyUs, redisUs }) => serverUs + envoyUs + redisUs;
  const theirs = (round) => round.theirs;
  const rows = [
    [
      "CPU of all three to theirs, closed loop",
      2,
      (one, round) => cpu(one.closed) / cpu(theirs(round).closed),
    ],
    [
      "CPU of the server to theirs, closed loop",
      2,
      (one, round) => one.closed.serverUs / theirs(round).closed.serverUs,
    ],
    [
      "Requests per second to theirs",
      2,
      (one, round) => one.closed.requestsPerSecond / theirs(round).closed.requestsPerSecond,
    ],
    [
      "p99 to theirs, open loop",
      2,
      (one, round) => one.open.latencyMs.p99 / theirs(round).open.latencyMs.p99,
    ],
    [
      "p50, Redis stopped to up",
      2,
      ({ open, stopped }) => stopped?.latencyMs?.p50 / open.latencyMs.p50,
    ],
    [
      "p99, Redis stopped to up",
      2,
      ({ open, stopped }) => stopped?.latencyMs?.p99 / open.latencyMs.p99,
    ],
    [
      "Failed with Redis stopped, %",
      1,
      ({ stopped }) =>
        (100 * stopped?.failed) / (stopped?.failed + stopped?.refused + stopped?.admitted),
    ],
    [
      "Admitted of twice the quota, % of the exact limit",
      1,
      ({ scarce }) => (scarce === undefined ? NaN : 100 * toExact(scarce)),
    ],
    ["Requests per second, closed loop", 0, ({ closed }) => closed.requestsPerSecond],
    ["CPU of the server per request, us", 0, ({ closed }) => closed.serverUs || NaN],
    ["CPU of Envoy per request, us", 0, ({ closed }) => closed.envoyUs],
    ["CPU of Redis per request, us", 1, ({ closed }) => closed.redisUs],
    ...["p50", "p90", "p99", "p999"].map((name) => [
      `${name}, open loop, ms`,
      2,
      ({ open }) => open.latencyMs[name],
    ]),
    ["CPU of other programs, % of all used", 0, ({ closed }) => 100 * closed.othersShare],
  ];
  const cells = (digits, value) =>
    SETUPS.map(({ name }) =>
      spread(
        rounds.map((round) => value(round[name], round)),
        digits,
      ),
    );
  const lines = [
    `${ROUNDS} rounds in turns, ${SECONDS} s each of closed loop (${CONNECTIONS} connections), open loop (${RATE} requests per second), a quota of ${SCARCE} per second, Redis stopped; ${cpus().length} cores, ${cpus()[0]?.model}, Node ${process.version}`,
    "",
    ["", ...SETUPS.map(({ title }) => title)],
    ["---", ...SETUPS.map(() => "---:")],
    ...rows.map(([title, digits, value]) => [title, ...cells(digits, value)]),
  ];
  return lines.map((line) => (Array.isArray(line) ? `| ${line.join(" | ")} |` : line)).join("\n");
}

/** `median (min..max)`; a dash where there is no figure. */
function spread(values, digits) {
  const sorted = values.toSorted((a, b) => a - b);
  if (!sorted.every(Number.isFinite)) return "-";
  const middle = sorted[sorted.length >> 1].toFixed(digits);
  return `${middle} (${sorted[0].toFixed(digits)}..${sorted.at(-1).toFixed(digits)})`;
}
