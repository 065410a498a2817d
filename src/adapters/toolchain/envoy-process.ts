import { readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { ServiceError } from "../../core/error.js";
import type { RenderedDocument } from "../../core/render/rendered-document.js";
import { systemClock } from "../system/clock.js";
import { writeYaml } from "../yaml/write-yaml.js";
import type { Child, StartChild } from "./child-process.js";

const DEADLINE_MS = 30_000;
const ADMIN_ADDRESS_FILE = "admin.address";

export type RunningEnvoy = {
  /** `HOST:PORT` of its first listener, and of its admin interface, as bound. */
  readonly listener: string;
  readonly admin: string;
  readonly child: Child;
};

/** Runs a rendered document on Envoy, with `folder` as its working directory, until it is live. */
export async function runEnvoy(options: {
  readonly binary: string;
  readonly folder: string;
  readonly document: RenderedDocument;
  readonly start: StartChild;
  readonly concurrency?: number;
}): Promise<RunningEnvoy> {
  const { binary, folder, document, start, concurrency = 1 } = options;
  await writeFile(join(folder, "envoy.yaml"), writeYaml(document));
  const child = start(
    binary,
    [
      ...["-c", "envoy.yaml", "--admin-address-path", ADMIN_ADDRESS_FILE],
      ...["--concurrency", String(concurrency), "--log-level", "warning"],
      // Hot restart leaves shared memory behind when Envoy is killed.
      ...["--disable-hot-restart", "--file-flush-interval-msec", "20"],
    ],
    folder,
  );
  // Nobody reads it, and a full pipe would stop Envoy.
  child.stdout.resume();
  const deadlineAtMs = systemClock.monotonicMs() + DEADLINE_MS;
  for (;;) {
    const found = await addressesOf(join(folder, ADMIN_ADDRESS_FILE));
    if (found !== undefined) return { ...found, child };
    if (child.hasExited() || systemClock.monotonicMs() > deadlineAtMs) {
      child.kill();
      throw new ServiceError("dependencyDown", `Envoy did not become ready:\n${child.stderr()}`);
    }
    await sleep(20);
  }
}

type Listeners = {
  readonly listener_statuses?: readonly {
    readonly local_address: {
      readonly socket_address: { readonly address: string; readonly port_value: number };
    };
  }[];
};

/** Undefined until Envoy is live. */
async function addressesOf(adminAddressFile: string) {
  try {
    const admin = (await readFile(adminAddressFile, "utf8")).trim();
    const live = await fetch(`http://${admin}/ready`);
    const answer = await fetch(`http://${admin}/listeners?format=json`);
    const { listener_statuses: listeners } = (await answer.json()) as Listeners;
    const socket = listeners?.[0]?.local_address.socket_address;
    return live.ok && socket !== undefined
      ? { admin, listener: `${socket.address}:${socket.port_value}` }
      : undefined;
  } catch {
    return undefined; // Not there yet: the caller has the deadline.
  }
}
