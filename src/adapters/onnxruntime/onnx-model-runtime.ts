import { join } from "node:path";
import type { Logger } from "pino";
import type {
  InstancePool,
  LoadedModel,
  LoadedVersion,
  ModelRuntime,
  Timer,
} from "../../app/model-ports.js";
import { ServiceError } from "../../core/error.js";
import { invariant } from "../../core/invariant.js";
import { splitStates } from "../../core/serving/sequence.js";
import type { ExecutionProvider, Sequence } from "../../schema/model-manifest.js";
import { ensembleVersion } from "./ensemble-version.js";
import { fingerprintOf } from "./fingerprint.js";
import { modelNames, readModel, readRepository } from "./read-repository.js";
import type { ModelFolder, VersionFolder } from "./read-repository.js";
import { SessionInstance } from "./session-instance.js";
import type { InstanceParts } from "./session-instance.js";
import type { SessionDefinition, SessionSpecs } from "./worker-messages.js";

type Parts = {
  /** Of models that name none. */
  readonly executionProviders: readonly ExecutionProvider[];
  /** What this process may use, as a whole: threads beyond it only take turns. */
  readonly usableCores: number;
  readonly timer: Timer;
  readonly logger: Logger;
  /** Ed25519, as PEM: given one, only model files that one of them signed are served. */
  readonly publicKeys: readonly string[];
};

/** Serves ONNX models from a folder, each session in a worker of its own. */
export function onnxModelRuntime(parts: Parts): ModelRuntime {
  return {
    load: async (root) => {
      const { models, issues } = await readRepository(root);
      if (issues.length > 0) throw unserved(`model repository ${root}`, issues);
      const loaded = await Promise.all(models.map((model) => loadModel(model, undefined, parts)));
      const failures = loaded.flatMap(({ failed }) => failed);
      const served = loaded.map(({ model }) => model);
      if (failures.length === 0) return served;
      await Promise.all(served.flatMap((m) => m.versions.map((v) => v.instances.close())));
      throw unserved(`model repository ${root}`, failures);
    },
    loadModel: async (root, name, current) => {
      const { model: folder, issues } = await readModel(join(root, name), name);
      if (folder === undefined || issues.length > 0) throw unserved(`model ${name}`, issues);
      const { model, failed } = await loadModel(folder, current, parts);
      if (failed.length === 0) return model;
      const opened = model.versions.filter((version) => !current?.versions.includes(version));
      await Promise.all(opened.map(({ instances }) => instances.close()));
      throw unserved(`model ${name}`, failed);
    },
    names: async (root) => (await modelNames(root)) ?? [],
  };
}

function unserved(what: string, issues: readonly string[]): ServiceError {
  const list = issues.map((issue) => `\n  ${issue}`).join("");
  return new ServiceError("badRequest", `${what} cannot be served:${list}`);
}

async function loadModel(
  folder: ModelFolder,
  current: LoadedModel | undefined,
  parts: Parts,
): Promise<{ readonly model: LoadedModel; readonly failed: readonly string[] }> {
  const results = await Promise.allSettled(
    folder.versions.map(async (version) => {
      const fingerprint = await fingerprintOf(folder.manifest, version);
      const same = current?.versions.find(
        (each) => each.spec.version === version.version && each.fingerprint === fingerprint,
      );
      if (same !== undefined) return same;
      return folder.manifest.ensemble === undefined
        ? loadVersion(folder, version, fingerprint, parts)
        : ensembleVersion(folder, version, fingerprint);
    }),
  );
  const versions = results.flatMap((each) => (each.status === "fulfilled" ? [each.value] : []));
  const failed = results.flatMap((each, index) => {
    if (each.status === "fulfilled") return [];
    const because = each.reason instanceof Error ? each.reason.message : String(each.reason);
    return [`${folder.versions[index]?.directory ?? folder.name}: ${because}`];
  });
  const { name, defaultVersion, manifest } = folder;
  const { versionLabels } = manifest;
  return { model: { name, defaultVersion, versionLabels, versions }, failed };
}

async function loadVersion(
  { name, manifest }: ModelFolder,
  folder: VersionFolder,
  fingerprint: string,
  parts: Parts,
): Promise<LoadedVersion> {
  const { maxBatchSize, padding, instances, warmUp, sequence } = manifest;
  const { executionProviders = parts.executionProviders } = manifest;
  const definition: SessionDefinition = {
    model: name,
    ...folder,
    versionDirectory: folder.directory,
    publicKeys: parts.publicKeys,
    executionProviders,
    intraOpThreads:
      manifest.intraOpThreads ?? Math.max(1, Math.floor(parts.usableCores / instances)),
    maxBatchSize,
    padding,
    sequence,
    declaredInputs: manifest.inputs,
    declaredOutputs: manifest.outputs,
    warmUpRuns: warmUp.runs,
    warmUpShapes: { ...stateShapes(sequence), ...warmUp.shapes },
  };
  const checkUnchanged = async () => {
    if ((await fingerprintOf(manifest, folder)) === fingerprint) return;
    throw new Error(
      `the files of ${folder.directory} changed since they were loaded: load it again`,
    );
  };
  const { maxRunMs } = manifest;
  const { pool, specs } = await startPool(instances, {
    ...{ ...parts, definition, maxRunMs, checkUnchanged },
  });
  const { version, pipelineFile, labels } = folder;
  const takesRawBody = pipelineFile !== undefined;
  const tensors = sequence === undefined ? tensorsOf(specs) : splitStates(sequence, specs);
  const spec = { name, version, ...tensors, maxBatchSize, padding, labels, takesRawBody };
  const { sloMs, maxQueued, maxQueueDelayMs, coalesce, responseCache } = manifest;
  const cacheBytes = responseCache?.maxBytes;
  const { profile } = specs;
  const queue = { sloMs, maxQueued, maxQueueDelayMs, coalesce, cacheBytes, profile };
  const served = { instanceCount: instances, executionProviders, fingerprint };
  return { spec, instances: pool, ...served, ...queue };
}

const tensorsOf = ({ inputs, outputs }: SessionSpecs) => ({ inputs, outputs });

const stateShapes = (sequence: Sequence | undefined) =>
  Object.fromEntries(
    (sequence?.states ?? []).flatMap(({ input, shape }) => (shape ? [[input, shape]] : [])),
  );

async function startPool(count: number, parts: Omit<InstanceParts, "onChange">) {
  const listeners: (() => void)[] = [];
  const onChange = () => {
    for (const listener of listeners) listener();
  };
  const instances = Array.from(
    { length: count },
    () => new SessionInstance({ ...parts, onChange }),
  );
  const close = async () => {
    await Promise.all(instances.map((instance) => instance.close()));
  };
  const pool: InstancePool = {
    idle: () => instances.filter(({ isIdle }) => isIdle).length,
    state: () => {
      const states = instances.map(({ state }) => state);
      return (["ready", "restarting"] as const).find((each) => states.includes(each)) ?? "down";
    },
    run: (inputs) => {
      const instance = instances.find(({ isIdle }) => isIdle);
      invariant(instance !== undefined, "a batch is dispatched only to an idle instance");
      return instance.run(inputs);
    },
    onChange: (listener) => {
      listeners.push(listener);
    },
    close,
  };
  try {
    const [specs] = await Promise.all(instances.map((instance) => instance.start()));
    invariant(specs !== undefined, "there is at least one instance");
    return { pool, specs };
  } catch (error) {
    await close();
    throw error;
  }
}
