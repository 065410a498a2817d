import { sizeAndWindow } from "../core/batching/decide-batch.js";
import { ServiceError } from "../core/error.js";
import type { ModelSpec } from "../core/serving/model-spec.js";
import { BatchRunner } from "./batch-runner.js";
import type {
  InstancePool,
  LoadedModel,
  LoadedVersion,
  ServingMetrics,
  Timer,
} from "./model-ports.js";
import type { Clock } from "./ports.js";

export type ServedVersion = {
  readonly spec: ModelSpec;
  readonly queue: BatchRunner;
  readonly instances: InstancePool;
};

type ServedModel = {
  readonly defaultVersion: string;
  readonly versions: ReadonlyMap<string, ServedVersion>;
};

export type ServingStatus = { readonly ready: boolean; readonly detail: Record<string, unknown> };

type Parts = { readonly clock: Clock; readonly timer: Timer; readonly metrics: ServingMetrics };

/** The models this process serves, each version with its queue, and whether they are ready. */
export class ServedModels {
  readonly #models: ReadonlyMap<string, ServedModel>;
  #draining = false;

  constructor(loaded: readonly LoadedModel[], parts: Parts) {
    this.#models = new Map(
      loaded.map(({ name, defaultVersion, versions }) => {
        const served = versions.map((version) => servedVersion(version, parts));
        const byName = new Map(served.map((version) => [version.spec.version, version]));
        return [name, { defaultVersion, versions: byName }];
      }),
    );
  }

  /** Of no version named: the default one. */
  find(model: string, version: string | undefined): ServedVersion {
    const found = this.#find(model);
    const wanted = version ?? found.defaultVersion;
    const served = found.versions.get(wanted);
    if (served !== undefined) return served;
    const known = [...found.versions.keys()].join(", ");
    const message = `unknown version ${quote(wanted)} of model ${model}: there is ${known}`;
    throw new ServiceError("notFound", message);
  }

  versionsOf(model: string): readonly string[] {
    return [...this.#find(model).versions.keys()];
  }

  isReady(model: string, version: string | undefined): boolean {
    return !this.#draining && this.find(model, version).instances.state() === "ready";
  }

  /** What the readiness probe answers: ready when every version is, and not while draining. */
  ready(): ServingStatus {
    const states = [...this.#models].flatMap(([model, { versions }]) =>
      [...versions].map(([version, { instances }]) => [`${model}/${version}`, instances.state()]),
    );
    const ready = !this.#draining && states.every(([, state]) => state === "ready");
    return { ready, detail: { draining: this.#draining, models: Object.fromEntries(states) } };
  }

  get draining(): boolean {
    return this.#draining;
  }

  /** From now on not ready, but everything is still answered. */
  startDraining(): void {
    this.#draining = true;
  }

  /** Finishes what waits and runs, then ends the instances. */
  async close(): Promise<void> {
    this.startDraining();
    const versions = [...this.#models.values()].flatMap((model) => [...model.versions.values()]);
    await Promise.all(
      versions.map(async ({ queue, instances }) => {
        await queue.idle();
        await instances.close();
      }),
    );
  }

  #find(model: string): ServedModel {
    const found = this.#models.get(model);
    if (found !== undefined) return found;
    const known = [...this.#models.keys()].join(", ");
    throw new ServiceError("notFound", `unknown model ${quote(model)}: there is ${known}`);
  }
}

function servedVersion(loaded: LoadedVersion, parts: Parts): ServedVersion {
  const { spec, instances, maxQueued, maxQueueDelayMs } = loaded;
  const { maxBatchSize, name: model, version } = spec;
  const decide = sizeAndWindow({ maxBatchSize, maxQueueDelayMs });
  const runner = { ...parts, version: { model, version }, decide, instances, maxQueued };
  return { spec, instances, queue: new BatchRunner(runner) };
}

const quote = (name: string) => JSON.stringify(name.slice(0, 128));
