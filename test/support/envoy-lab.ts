import { envoyBinary, type EnvoyVersion } from "../../src/adapters/toolchain/envoy-binary.js";
import type { EnvoyOptions } from "../../src/core/render/envoy/options.js";
import { renderEnvoy } from "../../src/core/render/envoy/render-envoy.js";
import type { RenderedDocument } from "../../src/core/render/rendered-document.js";
import { API_VERSION, Policy } from "../../src/schema/policy.js";
import { startEchoUpstream, type EchoUpstream } from "./echo-upstream.js";
import { startEnvoy, testEnvoyOptions, type EnvoyProcess } from "./envoy-process.js";

/** Paths of the two models of the lab. */
export const INFER = "/v2/models/magika/infer";
export const GRPC = "/inference.GRPCInferenceService/ModelInfer";

/** A socket that nobody listens on. */
export const NO_EXTPROC = [{ kind: "unix", path: "/nonexistent/extproc.sock" }] as const;

const POD_NAMES = ["v1", "v3", "shadow", "spare", "grpc", "grpc-shadow"] as const;
type PodName = (typeof POD_NAMES)[number];

export type EnvoyLab = {
  readonly pods: Readonly<Record<PodName, EchoUpstream>>;
  /** The lab's policy, without an external processor unless the options name one. */
  readonly rendered: (options?: Partial<EnvoyOptions>) => RenderedDocument;
  /** A real Envoy, stopped with the lab. */
  readonly start: (document: RenderedDocument) => Promise<EnvoyProcess>;
  /** Forgets what pods received; each answers with its name again. */
  readonly reset: () => void;
  readonly close: () => Promise<void>;
};

/** Pods that echo, a policy over them, and Envoys of one version between them and the test. */
export async function openEnvoyLab(version: EnvoyVersion): Promise<EnvoyLab> {
  const binary = await envoyBinary({ version, onProgress: console.log });
  const running: EnvoyProcess[] = [];
  const started = await Promise.all(
    POD_NAMES.map(
      async (name) => [name, await startEchoUpstream({ http2: name.startsWith("grpc") })] as const,
    ),
  );
  const pods = Object.fromEntries(started) as Record<PodName, EchoUpstream>;
  const policy = labPolicy(pods);
  return {
    pods,
    rendered: (options = {}) =>
      renderEnvoy(policy, testEnvoyOptions({ extproc: NO_EXTPROC, ...options })),
    start: async (document) => {
      const envoy = await startEnvoy(binary, document);
      running.push(envoy);
      return envoy;
    },
    reset: () => {
      for (const [name, pod] of started) {
        pod.received.length = 0;
        pod.answerWith(() => ({ body: name }));
      }
    },
    close: async () => {
      for (const envoy of running) await envoy.stop();
      for (const [, pod] of started) await pod.close();
    },
  };
}

function labPolicy(pods: Readonly<Record<PodName, EchoUpstream>>): Policy {
  const at = (name: PodName) => ({ host: "127.0.0.1", port: pods[name].port });
  const shadow = { unit: "user", share: 10_000 };
  return Policy.parse({
    apiVersion: API_VERSION,
    kind: "ServingPolicy",
    metadata: { name: "lab" },
    units: { user: { from: [{ header: "x-user-id" }] } },
    models: [
      {
        name: "magika",
        match: { pathPrefix: "/v2/models/magika" },
        versions: [
          { name: "v1", address: at("v1") },
          { name: "v3", address: at("v3") },
        ],
        default: "v1",
        timeout: "10s",
      },
      {
        name: "magika-grpc",
        match: { hosts: ["*.example.com"], pathPrefix: "/inference.GRPCInferenceService" },
        versions: [{ name: "v1", address: at("grpc") }],
        default: "v1",
      },
    ],
    shadows: [
      { ...shadow, name: "v3-shadow", model: "magika", version: "v3", address: at("shadow") },
      { ...shadow, name: "grpc", model: "magika-grpc", version: "v1", address: at("grpc-shadow") },
    ],
  });
}
