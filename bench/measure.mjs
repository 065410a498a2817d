/* global fetch */
import process from "node:process";
import { cpuMicroseconds, machineBusyMicroseconds } from "./cpu-time.mjs";
import { sideStreams } from "./envoy.mjs";
import { output } from "./programs.mjs";

const PATH = "/v2/models/magika/infer";

/**
 * @typedef {object} Window  what one stretch of load cost
 * @property {number} requests
 * @property {number} requestsPerSecond
 * @property {number} serverUs  CPU of the ext_proc servers per request
 * @property {number} envoyUs   CPU of Envoy per request
 * @property {number} othersShare  of all CPU time used meanwhile, that of programs outside of this run
 * @property {{ p50: number, p90: number, p99: number, p999: number }} latencyMs
 */

/**
 * Loads a setup and measures it; every request must have been answered with 200, and decided.
 *
 * @param {Awaited<ReturnType<import("./setups.mjs").startSetup>>} running
 * @param {object} load
 * @param {string} load.program
 * @param {number} load.connections
 * @param {number} load.seconds
 * @param {number} load.rate  requests per second; 0: as many as come back
 * @returns {Promise<Window>}
 */
export async function measure(running, load) {
  const { setup, servers, envoy } = running;
  const before = await reading(running);
  const { requests, failures, seconds, latencyMs } = await sendLoad(envoy.address, load);
  const after = await reading(running);
  const spent = (what) => after[what] - before[what];
  checkAnswers(setup, requests, failures);
  if (servers.length > 0) checkCount(setup, "side streams", requests, spent("streams"));
  if (setup.server === "weir") checkCount(setup, "decisions", requests, spent("decisions"));
  return {
    requests,
    requestsPerSecond: requests / seconds,
    serverUs: spent("server") / requests,
    envoyUs: spent("envoy") / requests,
    othersShare: Math.max(0, 1 - spent("run") / spent("machine")),
    latencyMs,
  };
}

async function sendLoad(address, { program, connections, seconds, rate }) {
  const args = ["-address", address, "-path", PATH, "-connections", String(connections)];
  args.push("-duration", `${seconds}s`, "-rate", String(rate));
  return JSON.parse(await output(program, args));
}

async function reading({ servers, envoy }) {
  const sumOf = async (read) => {
    const values = await Promise.all(servers.map(read));
    return values.reduce((sum, value) => sum + value, 0);
  };
  return {
    server: await sumOf(({ pid }) => cpuMicroseconds(pid)),
    envoy: await cpuMicroseconds(envoy.pid),
    // Everything that this run started, the load generator that has ended included.
    run: await cpuMicroseconds(process.pid),
    machine: await machineBusyMicroseconds(),
    streams: await sideStreams(envoy.admin),
    decisions: await sumOf(({ admin }) => (admin === undefined ? 0 : decisions(admin))),
  };
}

/** Requests that extproc decided and admitted so far, by its own count. */
async function decisions(admin) {
  const text = await (await fetch(`http://${admin}/metrics`)).text();
  const admitted = text.matchAll(/^weir_requests_total\{[^}]*outcome="admitted"[^}]*\} (\d+)/gm);
  return [...admitted].reduce((sum, [, count]) => sum + Number(count), 0);
}

function checkAnswers({ name }, requests, failures) {
  if (requests > 0 && Object.keys(failures).length === 0) return;
  throw new Error(
    `${name}: ${requests} requests were answered with 200, others were not: ${JSON.stringify(failures)}`,
  );
}

function checkCount({ name }, what, requests, counted) {
  if (counted === requests) return;
  throw new Error(`${name}: ${requests} requests were answered, but ${counted} ${what} counted`);
}
