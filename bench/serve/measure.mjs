/* global fetch */
import { readFile } from "node:fs/promises";
import process from "node:process";
import { cpuMicroseconds, machineBusyMicroseconds } from "../cpu-time.mjs";
import { output } from "../programs.mjs";

/** Of a probability: a swapped row is off by far more. */
const TOLERANCE = 1e-4;

/**
 * @typedef {object} Window  what one stretch of load cost
 * @property {number} requests
 * @property {number} requestsPerSecond
 * @property {number} cpuUs  of the server, with all its processes, per request
 * @property {number} othersShare  of all CPU time used meanwhile, that of programs outside of this run
 * @property {{ p50: number, p90: number, p99: number, p999: number }} latencyMs
 */

/**
 * @param {import("./contenders.mjs").Running} running
 * @param {object} load
 * @param {string} load.program
 * @param {number} load.connections
 * @param {number} load.seconds
 * @param {number} load.rate  requests per second; 0: as many as come back
 * @param {boolean} load.isGrpc
 * @param {import("./models.mjs").Model} model
 * @returns {Promise<Window>}
 */
export async function measure(running, load, model) {
  const before = await reading(running);
  const { requests, failures, seconds, latencyMs } = await sendLoad(running, load, model);
  const after = await reading(running);
  const spent = (what) => after[what] - before[what];
  if (requests === 0 || Object.keys(failures).length > 0) {
    throw new Error(
      `${requests} requests were answered, others failed: ${JSON.stringify(failures)}`,
    );
  }
  return {
    requests,
    requestsPerSecond: requests / seconds,
    cpuUs: spent("server") / requests,
    othersShare: Math.max(0, 1 - spent("run") / spent("machine")),
    latencyMs,
  };
}

async function sendLoad(running, { program, connections, seconds, rate, isGrpc }, { bodies }) {
  const target = isGrpc
    ? ["-grpc", "-address", running.grpc, "-bodies", bodies.grpc]
    : ["-address", running.http, "-path", running.path, "-bodies", bodies[running.bodies]];
  const shape = ["-connections", String(connections), "-duration", `${seconds}s`];
  return JSON.parse(await output(program, [...target, ...shape, "-rate", String(rate)]));
}

async function reading({ pid }) {
  return {
    server: await cpuMicroseconds(pid),
    // Everything that this run started, the load generator that has ended included.
    run: await cpuMicroseconds(process.pid),
    machine: await machineBusyMicroseconds(),
  };
}

/** Sends every body, all at once: each must be answered with its own row. */
export async function checkAnswers({ http, path, bodies }, model) {
  const lines = (await readFile(model.bodies[bodies], "utf8")).split("\n");
  await Promise.all(
    lines.map(async (line, index) => {
      const url = `http://${http}${path}`;
      const headers = { "content-type": "application/json" };
      const response = await fetch(url, { method: "POST", headers, body: line });
      const text = await response.text();
      if (response.status !== 200) throw new Error(`${url} answered ${response.status}: ${text}`);
      const answer = JSON.parse(text);
      const values = bodies === "oip" ? answer.outputs[0].data.flat() : answer.y;
      const wanted = model.expected[index];
      const fits = values.length === wanted.length && wanted.every(closeTo(values));
      if (!fits) throw new Error(`${url} answered another row for body ${index}`);
    }),
  );
}

const closeTo = (values) => (value, at) => Math.abs(value - values[at]) < TOLERANCE;
