import { spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync, readFileSync } from "node:fs";
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { writeYaml } from "../../src/adapters/yaml/write-yaml.js";
import { ENVOY_DEFAULTS, type EnvoyOptions } from "../../src/core/render/envoy/options.js";
import type { RenderedDocument } from "../../src/core/render/rendered-document.js";

export type EnvoyProcess = {
  /** Where clients connect. */
  readonly port: number;
  readonly adminPort: number;
  /** All counters and gauges by name. */
  stats(filter?: string): Promise<Readonly<Record<string, number>>>;
  configDump(): Promise<unknown>;
  /** Lines of the access log so far. */
  accessLog(): readonly Readonly<Record<string, unknown>>[];
  stop(): Promise<void>;
};

/** Options for tests: every address free, the access log in a file that startEnvoy finds. */
export function testEnvoyOptions(overrides: Partial<EnvoyOptions> = {}): EnvoyOptions {
  return {
    ...ENVOY_DEFAULTS,
    listener: { host: "127.0.0.1", port: 0 },
    admin: { host: "127.0.0.1", port: 0 },
    accessLogFile: ACCESS_LOG,
    ...overrides,
  };
}

const ACCESS_LOG = "access.log";
const DEADLINE_MS = 20_000;

/** Runs a rendered document on a real Envoy in a folder of its own, and waits until it is ready. */
export async function startEnvoy(
  binary: string,
  document: RenderedDocument,
  options: { readonly concurrency?: number } = {},
): Promise<EnvoyProcess> {
  const folder = await mkdtemp(join(tmpdir(), "weir-envoy-"));
  await writeFile(join(folder, "envoy.yaml"), writeYaml(document));
  const child = spawn(
    binary,
    [
      ...["-c", "envoy.yaml", "--admin-address-path", "admin.address"],
      ...["--concurrency", String(options.concurrency ?? 1), "--use-dynamic-base-id"],
      ...["--file-flush-interval-msec", "20", "--log-level", "warning"],
      ...["--drain-time-s", "1", "--parent-shutdown-time-s", "2"],
    ],
    { cwd: folder, stdio: ["ignore", "ignore", "pipe"] },
  );
  let stderr = "";
  child.stderr.setEncoding("utf8").on("data", (text: string) => {
    stderr = (stderr + text).slice(-20_000);
  });
  const exited = once(child, "exit");
  const stop = async () => {
    if (child.exitCode === null && child.signalCode === null) child.kill("SIGKILL");
    await exited;
    await rm(folder, { recursive: true, force: true });
  };
  try {
    const admin = await eventually("Envoy to be ready", async () => {
      if (child.exitCode !== null) throw new Error(`Envoy ended at once:\n${stderr}`);
      const file = join(folder, "admin.address");
      if (!existsSync(file)) return undefined;
      const url = `http://${(await readFile(file, "utf8")).trim()}`;
      return (await get(`${url}/ready`))?.trim() === "LIVE" ? url : undefined;
    });
    return { ...(await adminOf(admin)), accessLog: () => readAccessLog(folder), stop };
  } catch (error) {
    await stop();
    throw new Error(`${String(error)}\n${stderr}`, { cause: error });
  }
}

async function adminOf(
  admin: string,
): Promise<Pick<EnvoyProcess, "port" | "adminPort" | "stats" | "configDump">> {
  const json = async <T>(path: string): Promise<T> =>
    JSON.parse((await get(`${admin}${path}`)) ?? "null") as T;
  type Listeners = {
    readonly listener_statuses: readonly {
      readonly local_address: { readonly socket_address: { readonly port_value: number } };
    }[];
  };
  const listeners = await json<Listeners>("/listeners?format=json");
  const port = listeners.listener_statuses[0]?.local_address.socket_address.port_value;
  if (port === undefined) throw new Error("Envoy has no listener");
  return {
    port,
    adminPort: Number(new URL(admin).port),
    stats: async (filter = "") => {
      type Stats = {
        readonly stats: readonly { readonly name?: string; readonly value: number }[];
      };
      const { stats } = await json<Stats>(
        `/stats?format=json&filter=${encodeURIComponent(filter)}`,
      );
      return Object.fromEntries(
        stats.flatMap(({ name, value }) => (name === undefined ? [] : [[name, value] as const])),
      );
    },
    configDump: () => json("/config_dump"),
  };
}

/** Polls until `attempt` gives a value, and says what it waited for when the deadline passes. */
export async function eventually<T>(
  what: string,
  attempt: () => T | undefined | Promise<T | undefined>,
  deadlineMs = DEADLINE_MS,
): Promise<T> {
  const endAtMs = performance.now() + deadlineMs;
  for (;;) {
    const value = await attempt();
    if (value !== undefined) return value;
    if (performance.now() > endAtMs) throw new Error(`waited ${deadlineMs} ms for ${what}`);
    await delay(10);
  }
}

async function get(url: string): Promise<string | undefined> {
  return fetch(url, { signal: AbortSignal.timeout(5000) }).then(
    (response) => response.text(),
    () => undefined,
  );
}

function readAccessLog(folder: string): readonly Readonly<Record<string, unknown>>[] {
  const file = join(folder, ACCESS_LOG);
  if (!existsSync(file)) return [];
  const lines = readFileSync(file, "utf8").split("\n");
  // The last piece is empty, or a line that is still being written.
  return lines.slice(0, -1).map((line) => JSON.parse(line) as Readonly<Record<string, unknown>>);
}
