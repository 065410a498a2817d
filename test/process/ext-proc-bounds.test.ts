import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { PROCESS_PATH, processingRequestType } from "../../src/servers/ext-proc/protocol.js";
import { eventually } from "../support/envoy-process.js";
import { requestHeaders } from "../support/ext-proc-client.js";
import { aLimit, aPolicyDocument } from "../support/policy-builder.js";
import {
  END_HEADERS,
  END_STREAM,
  fieldBlock,
  frame,
  message,
  openGrpc,
  OPENING,
  rawPeer,
  uint32,
  type RawPeer,
} from "../support/raw-http2.js";
import { startWeir, type WeirProcess } from "../support/weir-process.js";

const MIB = 2 ** 20;
/** What a replica's memory limit is in the examples; nothing here may take more. */
const MAX_RSS_MIB = 512;
const LIMIT_KEYS = 10_000;
/** So few that deciding them is no overload. */
const ROUND = 100;
const DEADLINE_MS = 120_000;

let folder: string;
let extproc: WeirProcess;
const table: Record<string, string | number>[] = [];
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "weir-bounds-"));
  const file = join(folder, "policy.yaml");
  const limits = [aLimit({ key: ["tenant"] })];
  await writeFile(file, JSON.stringify(aPolicyDocument({ limits })));
  extproc = await startWeir("extproc", [
    ...["-p", file, "--limit-keys", String(LIMIT_KEYS), "--drain-ms", "0", "--finish-ms", "0"],
  ]);
  await note("at the start");
});
afterAll(async () => {
  console.table(table);
  await extproc.stop();
  await rm(folder, { recursive: true });
});

async function note(when: string): Promise<void> {
  const metrics = await extproc.metrics();
  const metric = (name: string) => metrics.get(name) ?? 0;
  const rssMib = Math.round(metric("process_resident_memory_bytes") / MIB);
  table.push({
    ...{ when, "RSS MiB": rssMib, "streams open": metric("weir_ext_proc_streams_open") },
    shedding: metric("weir_shedding"),
  });
  expect(rssMib).toBeLessThan(MAX_RSS_MIB);
}

const metric = async (name: string) => (await extproc.metrics()).get(name) ?? 0;
const becomes = (name: string, value: number) =>
  eventually(
    `${name} ${value}`,
    async () => ((await metric(name)) === value ? true : undefined),
    DEADLINE_MS,
  );

const OPEN = fieldBlock(openGrpc(PROCESS_PATH));
const ALL_IT_CAN_SEND = frame(8, 0, 0, uint32(2 ** 31 - 1 - 65_535));
const isEnd = ({ type, flags }: { readonly type: number; readonly flags: number }) =>
  type === 1 && (flags & END_STREAM) !== 0;
const isAnswer = ({ type }: { readonly type: number }) => type === 0;

async function connected(): Promise<RawPeer> {
  const peer = await rawPeer(extproc.address("grpc"));
  peer.socket.write(Buffer.concat([OPENING, ALL_IT_CAN_SEND]));
  return peer;
}

const streamsFrom = (first: number, count: number, of: (id: number) => Buffer) =>
  Buffer.concat(Array.from({ length: count }, (_, at) => of(2 * (first + at) + 1)));
const silent = (id: number) => frame(1, END_HEADERS, id, OPEN);
const asking = (tenant: string, flags = 0) => {
  const headers = requestHeaders([["x-tenant", tenant]]);
  const bytes = message(processingRequestType.serialize(headers));
  return (id: number) => Buffer.concat([silent(id), frame(0, flags, id, bytes)]);
};

test("5,000 decided streams that are held, and as many that wait, are no overload", async () => {
  const peer = await connected();
  for (let first = 0; first < 5000; first += ROUND) {
    peer.socket.write(streamsFrom(first, ROUND, asking("held")));
    for (let answered = 0; answered < ROUND; answered += 1) await peer.find(isAnswer);
  }
  peer.socket.write(streamsFrom(5000, 5000, silent));
  await becomes("weir_ext_proc_streams_open", 10_000);
  await note("5,000 decided, 5,000 waiting");
  expect({ shedding: await metric("weir_shedding") }).toEqual({ shedding: 0 });
  peer.socket.destroy();
  await becomes("weir_ext_proc_streams_open", 0);
});

test("200,000 tenants are remembered 10,000 at a time", async () => {
  const perPeer = 20_000;
  for (let first = 0; first < 200_000; first += perPeer) {
    const peer = await connected();
    const ask = (id: number) => asking(`tenant-${first}-${id}`, END_STREAM)(id);
    for (let from = 0; from < perPeer; from += ROUND) {
      peer.socket.write(streamsFrom(from, ROUND, ask));
      for (let ended = 0; ended < ROUND; ended += 1) await peer.find(isEnd);
    }
    peer.socket.destroy();
    await note(`${first + perPeer} tenants`);
  }
});

test("any number of silent streams is bounded, shed meanwhile, and recovered from", async () => {
  const peers = await Promise.all(Array.from({ length: 4 }, connected));
  for (const [at, peer] of peers.entries()) {
    for (let from = 0; from < 110_000; from += 10_000) {
      peer.socket.write(streamsFrom(from, 10_000, silent));
    }
    await peer.find(({ type }) => type === 3);
    await note(`${at + 1} connections of 110,000 streams`);
  }
  await becomes("weir_shedding", 1);
  for (const { socket } of peers) socket.destroy();
  await becomes("weir_ext_proc_streams_open", 0);
  await becomes("weir_shedding", 0);
  await note("afterwards");
});
