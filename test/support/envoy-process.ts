import { existsSync, readFileSync } from "node:fs";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { startChild } from "../../src/adapters/toolchain/child-process.js";
import { runEnvoy } from "../../src/adapters/toolchain/envoy-process.js";
import { parseHostPort } from "../../src/core/host-port.js";
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
const DEADLINE_MS = 60_000;

/** Runs a rendered document on a real Envoy in a folder of its own, and waits until it is ready. */
export async function startEnvoy(
  binary: string,
  document: RenderedDocument,
  options: { readonly concurrency?: number } = {},
): Promise<EnvoyProcess> {
  const folder = await mkdtemp(join(tmpdir(), "weir-envoy-"));
  try {
    const running = await runEnvoy({ binary, folder, document, start: startChild, ...options });
    const { admin, child } = running;
    return {
      ...statisticsOf(`http://${admin}`),
      port: parseHostPort("listener", running.listener).port,
      adminPort: parseHostPort("admin", admin).port,
      accessLog: () => readAccessLog(folder),
      stop: async () => {
        child.kill();
        await child.exited;
        await rm(folder, { recursive: true, force: true });
      },
    };
  } catch (error) {
    await rm(folder, { recursive: true, force: true });
    throw error;
  }
}

function statisticsOf(admin: string): Pick<EnvoyProcess, "stats" | "configDump"> {
  const json = async <T>(path: string): Promise<T> => {
    const response = await fetch(`${admin}${path}`, { signal: AbortSignal.timeout(5000) });
    return (await response.json()) as T;
  };
  return {
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

function readAccessLog(folder: string): readonly Readonly<Record<string, unknown>>[] {
  const file = join(folder, ACCESS_LOG);
  if (!existsSync(file)) return [];
  const lines = readFileSync(file, "utf8").split("\n");
  // The last piece is empty, or a line that is still being written.
  return lines.slice(0, -1).map((line) => JSON.parse(line) as Readonly<Record<string, unknown>>);
}
