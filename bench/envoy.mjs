/* global fetch */
/** Envoy with the configuration that `weir render` writes. */
import { existsSync } from "node:fs";
import { readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { performance } from "node:perf_hooks";
import process from "node:process";
import { setTimeout as delay } from "node:timers/promises";
import { fileURLToPath, URL } from "node:url";
import { parse, stringify } from "yaml";
import { launch, output } from "./programs.mjs";

export const CLI = fileURLToPath(new URL("../dist/processes/cli.js", import.meta.url));
const EXT_PROC = "envoy.filters.http.ext_proc";
const COARSE_LIMIT = "envoy.filters.http.local_ratelimit";
const FALLBACK = "envoy.filters.http.lua";
const EXT_PROC_CLUSTER = "weir-extproc";
const START_DEADLINE_MS = 20_000;

/**
 * What `weir render` writes, with three changes: it fails closed and waits long, so that a request
 * that was not decided is an error and cannot hide among the fast ones; the limit of 20,000 requests
 * per second is away; and without weir extproc its stand-in is, without a server the filter and its
 * cluster too.
 *
 * @param {string} policyFile
 * @param {readonly string[]} extprocs  HOST:PORT of each replica; none: no ext_proc
 * @param {boolean} isWeir
 */
export async function renderedConfig(policyFile, extprocs, isWeir) {
  const yaml = await output(process.execPath, [
    ...[CLI, "render", "--target", "envoy", policyFile, "--message-timeout-ms", "1000"],
    ...["--listener", "127.0.0.1:0", "--admin", "127.0.0.1:0", "--access-log", "/dev/null"],
    ...(extprocs.length === 0 ? [] : ["--extproc", ...extprocs]),
  ]);
  const config = parse(yaml);
  const { listeners, clusters } = config.static_resources;
  const manager = listeners[0].filter_chains[0].filters[0].typed_config;
  const extProc = manager.http_filters.find(({ name }) => name === EXT_PROC).typed_config;
  extProc.failure_mode_allow = false;
  const away = [
    ...[COARSE_LIMIT, ...(isWeir ? [] : [FALLBACK])],
    ...(extprocs.length === 0 ? [EXT_PROC] : []),
  ];
  manager.http_filters = manager.http_filters.filter(({ name }) => !away.includes(name));
  if (extprocs.length === 0) {
    config.static_resources.clusters = clusters.filter(({ name }) => name !== EXT_PROC_CLUSTER);
  }
  return config;
}

/** Runs Envoy with one worker in a folder, and waits until it is ready. */
export async function startEnvoy(binary, folder, config) {
  const configFile = join(folder, "envoy.yaml");
  const addressFile = join(folder, "admin.address");
  await writeFile(configFile, stringify(config));
  const { child, stop, stderr } = launch(binary, [
    ...["-c", configFile, "--admin-address-path", addressFile, "--concurrency", "1"],
    ...["--use-dynamic-base-id", "--log-level", "warning", "--drain-time-s", "1"],
  ]);
  for (const deadlineMs = performance.now() + START_DEADLINE_MS; ; await delay(20)) {
    if (child.exitCode !== null) throw new Error(`Envoy ended at once:\n${stderr()}`);
    const admin = existsSync(addressFile) ? (await readFile(addressFile, "utf8")).trim() : "";
    if (admin !== "" && (await isLive(admin))) {
      return { pid: child.pid, address: await listenerAddress(admin), admin, stop };
    }
    if (performance.now() > deadlineMs) throw new Error(`Envoy is not ready:\n${stderr()}`);
  }
}

async function isLive(admin) {
  const answer = await fetch(`http://${admin}/ready`).catch(() => undefined);
  return (await answer?.text())?.trim() === "LIVE";
}

async function listenerAddress(admin) {
  const answer = await fetch(`http://${admin}/listeners?format=json`);
  const { address, port_value } = (await answer.json()).listener_statuses[0].local_address
    .socket_address;
  return `${address}:${port_value}`;
}

/** Side streams that the ext_proc filter opened so far. */
export async function sideStreams(admin) {
  const answer = await fetch(`http://${admin}/stats?format=json&filter=ext_proc.*streams_started`);
  const { stats } = await answer.json();
  return stats.reduce((sum, { value }) => sum + (value ?? 0), 0);
}
