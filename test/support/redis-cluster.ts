import { eventually } from "./envoy-process.js";
import { freePort, startRedis, type RedisProcess } from "./redis-process.js";

const SLOTS = 16_384;
/** A node that is silent for so long is taken for dead. */
const NODE_TIMEOUT_MS = 1000;

export type ClusterNode = RedisProcess & { readonly port: number; readonly bus: number };

export type RedisCluster = {
  /** For `--redis-url`: it names the first master alone, which knows the others. */
  readonly url: string;
  readonly masters: readonly ClusterNode[];
  /** The copy of the master with the same place, where there is one. */
  readonly copies: readonly ClusterNode[];
  /** The place of the master that holds a key. */
  readonly masterOf: (key: string) => Promise<number>;
  readonly stop: () => Promise<void>;
};

/** Masters that share the slots evenly, and a copy of each if wanted. What has no node fails alone. */
export async function startRedisCluster(
  masterCount: number,
  options: { readonly copies?: boolean } = {},
): Promise<RedisCluster> {
  const masters = await Promise.all(Array.from({ length: masterCount }, startNode));
  const copies = options.copies === true ? await Promise.all(masters.map(startNode)) : [];
  const nodes = [...masters, ...copies];
  const [first] = masters;
  if (first === undefined) throw new Error("a cluster has a master");
  const share = Math.ceil(SLOTS / masterCount);
  for (const [at, master] of masters.entries()) {
    const last = Math.min(SLOTS, (at + 1) * share) - 1;
    await master.cli("CLUSTER", "ADDSLOTSRANGE", String(at * share), String(last));
    // Nodes that meet with the same epoch take time to settle who is later.
    await master.cli("CLUSTER", "SET-CONFIG-EPOCH", String(at + 1));
  }
  for (const node of nodes.slice(1))
    await first.cli("CLUSTER", "MEET", "127.0.0.1", String(node.port), String(node.bus));
  await everyNode(nodes, "to know the others", async (node) =>
    (await node.cli("CLUSTER", "INFO")).includes(`cluster_known_nodes:${nodes.length}`),
  );
  for (const [at, copy] of copies.entries()) {
    await copy.cli("CLUSTER", "REPLICATE", await (masters[at] ?? first).cli("CLUSTER", "MYID"));
  }
  await everyNode(nodes, "to be whole", async (node) =>
    (await node.cli("CLUSTER", "INFO")).includes("cluster_state:ok"),
  );
  await everyNode(copies, "to have its copy", async (node) =>
    (await node.cli("INFO", "replication")).includes("master_link_status:up"),
  );
  return {
    ...{ masters, copies, url: `redis+cluster://127.0.0.1:${first.port}` },
    masterOf: async (key) => Math.floor(Number(await first.cli("CLUSTER", "KEYSLOT", key)) / share),
    stop: async () => {
      await Promise.all(nodes.map((node) => node.stop()));
    },
  };
}

async function startNode(): Promise<ClusterNode> {
  const [port, bus] = [await freePort(), await freePort()];
  const node = await startRedis(
    ...["--port", String(port), "--cluster-enabled", "yes", "--cluster-port", String(bus)],
    ...["--cluster-config-file", "nodes.conf", "--cluster-announce-ip", "127.0.0.1"],
    ...["--cluster-node-timeout", String(NODE_TIMEOUT_MS)],
    ...["--cluster-require-full-coverage", "no", "--repl-diskless-sync-delay", "0"],
  );
  return { ...node, port, bus };
}

async function everyNode(
  nodes: readonly ClusterNode[],
  what: string,
  holds: (node: ClusterNode) => Promise<boolean>,
): Promise<void> {
  for (const node of nodes) {
    const name = `node ${node.port} of the cluster ${what}`;
    await eventually(name, async () => ((await holds(node)) ? true : undefined), 60_000);
  }
}
