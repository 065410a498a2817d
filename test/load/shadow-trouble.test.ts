import { afterAll, describe, expect, test } from "vitest";
import { runLoad, type LoadResult } from "../support/http-load.js";
import { NEWEST_ENVOY, OLDEST_ENVOY, openMesh, type Mesh } from "../support/mesh.js";
import { INFER, TRAFFIC_PODS, trafficPolicy, type TrafficPod } from "../support/traffic-policy.js";

const REQUESTS = Number(process.env["WEIR_SHADOW_REQUESTS"] ?? 3000);
const CONNECTIONS = 16;

const table: Record<string, string | number>[] = [];
afterAll(() => {
  console.table(table);
});

type Answers = { readonly result: LoadResult; readonly answers: readonly string[] };

/** What every request was answered, by its index. */
async function answersOf({ port, pods }: Mesh<TrafficPod>): Promise<Answers> {
  for (const name of ["v1", "v3"] as const) {
    pods[name].answerWith(({ headers }) => {
      pods[name].received.length = 0;
      return { body: `${name} for ${String(headers["x-user-id"])}` };
    });
  }
  const answers: string[] = [];
  const result = await runLoad({
    ...{ port, path: INFER, connections: CONNECTIONS, requests: REQUESTS },
    headers: (index) => ({ "x-user-id": `user-${index}` }),
    onAnswer: (index, { status, body }) => {
      answers[index] = `${status} ${body}`;
    },
  });
  return { result, answers };
}

type Trouble = {
  readonly trouble: string;
  readonly cause: (mesh: Mesh<TrafficPod>) => Promise<void> | undefined;
};

const TROUBLES: readonly Trouble[] = [
  { trouble: "none: it answers", cause: () => undefined },
  {
    trouble: "it answers 500",
    cause: ({ pods }) => {
      pods.copies.answerWith(() => ({ status: 500, body: "shadow" }));
      return undefined;
    },
  },
  {
    trouble: "it hangs",
    cause: ({ pods }) => {
      pods.copies.answerWith(() => new Promise(() => undefined));
      return undefined;
    },
  },
  {
    trouble: "it is stopped",
    cause: ({ pods }) => pods.copies.close(),
  },
];

describe.each([OLDEST_ENVOY, NEWEST_ENVOY])("Envoy %s", { timeout: 300_000 }, (envoy) => {
  test("whatever troubles the shadow, primaries are answered as if there were none", async () => {
    const shadow = { name: "v3-shadow", model: "magika", version: "v3", unit: "user" };
    const all = { ...shadow, share: 10_000, region: "me" };
    const open = (isShadowed: boolean) =>
      openMesh({
        ...{ envoy, pods: TRAFFIC_PODS, renderFlags: [] },
        policy: (at) =>
          trafficPolicy(at, { shadows: isShadowed ? [{ ...all, address: at.copies }] : [] }),
      });
    const plain = await open(false);
    // Processes that have just started are slow: the first run of either mesh is no measure.
    await answersOf(plain);
    const without = await answersOf(plain).finally(() => plain.close());
    expect(without.result.outcomes).toEqual({ 200: REQUESTS });
    const mesh = await open(true);
    try {
      await answersOf(mesh);
      for (const { trouble, cause } of TROUBLES) {
        await cause(mesh);
        const { result, answers } = await answersOf(mesh);
        table.push({
          ...{ envoy, shadow: trouble, requests: result.answered },
          failed: result.answered - (result.outcomes["200"] ?? 0),
          "p99 ms": result.p99Ms,
          "p99 without shadow": without.result.p99Ms,
          ratio: Math.round((100 * result.p99Ms) / without.result.p99Ms) / 100,
        });
        expect(answers).toEqual(without.answers);
      }
    } finally {
      await mesh.close();
    }
  });
});
