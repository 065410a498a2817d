import { ServiceError } from "../core/error.js";
import type { ModelSpec } from "../core/serving/model-spec.js";
import type {
  InstancePool,
  LoadedModel,
  LoadedVersion,
  ServingMetrics,
  Timer,
} from "./model-ports.js";
import type { Clock } from "./ports.js";
import { servedQueue } from "./served-queue.js";
import type { ServedQueue } from "./served-queue.js";

export type ServedVersion = {
  readonly spec: ModelSpec;
  readonly queue: ServedQueue;
  readonly instances: InstancePool;
  readonly loaded: LoadedVersion;
};

type ServedModel = {
  readonly loaded: LoadedModel;
  readonly versions: ReadonlyMap<string, ServedVersion>;
};

export type ServingStatus = { readonly ready: boolean; readonly detail: Record<string, unknown> };

type Parts = { readonly clock: Clock; readonly timer: Timer; readonly metrics: ServingMetrics };

/**
 * The models this process serves, each version with its queue, and whether they are ready. A model
 * is replaced whole, between two requests: one that has found its version keeps it to the end.
 */
export class ServedModels {
  readonly #models: Map<string, ServedModel>;
  readonly #parts: Parts;
  readonly #retiring = new Set<Promise<void>>();
  #draining = false;

  constructor(loaded: readonly LoadedModel[], parts: Parts) {
    this.#parts = parts;
    this.#models = new Map(loaded.map((model) => [model.name, servedModel(model, parts)]));
  }

  /** Of no version named: the default one. A version may be named by a label of it. */
  find(model: string, version: string | undefined): ServedVersion {
    const { loaded, versions } = this.#find(model);
    const wanted = version ?? loaded.defaultVersion;
    const labelled = Object.hasOwn(loaded.versionLabels, wanted)
      ? loaded.versionLabels[wanted]
      : undefined;
    const served = versions.get(labelled ?? wanted);
    if (served !== undefined) return served;
    const known = [...versions.keys(), ...Object.keys(loaded.versionLabels)].join(", ");
    const message = `unknown version ${quote(wanted)} of model ${model}: there is ${known}`;
    throw new ServiceError("notFound", message);
  }

  /** Of one model, or of all; of one version, or of all. */
  list(model?: string, version?: string): readonly ServedVersion[] {
    if (model !== undefined && version !== undefined) return [this.find(model, version)];
    const models = model === undefined ? [...this.#models.values()] : [this.#find(model)];
    return models.flatMap(({ versions }) => [...versions.values()]);
  }

  versionsOf(model: string): readonly string[] {
    return [...this.#find(model).versions.keys()];
  }

  isReady(model: string, version: string | undefined): boolean {
    return !this.#draining && this.find(model, version).instances.state() === "ready";
  }

  /** What the readiness probe answers: ready when every version is, and not while draining. */
  ready(): ServingStatus {
    const states = this.list().map(({ spec, instances }): [string, string] => [
      `${spec.name}/${spec.version}`,
      instances.state(),
    ]);
    const ready = !this.#draining && states.every(([, state]) => state === "ready");
    return { ready, detail: { draining: this.#draining, models: Object.fromEntries(states) } };
  }

  /** What is served under the name now. */
  loaded(model: string): LoadedModel | undefined {
    return this.#models.get(model)?.loaded;
  }

  /**
   * Serves this model from now on. Versions of the old one that are not taken over finish what they
   * have, and end.
   */
  replace(model: LoadedModel): void {
    const old = this.#models.get(model.name);
    const kept = [...(old?.versions.values() ?? [])];
    const next = servedModel(model, this.#parts, kept);
    this.#models.set(model.name, next);
    for (const version of kept) {
      if (next.versions.get(version.spec.version) !== version) this.#retire(version);
    }
  }

  /** Its versions finish what they have, and end. */
  remove(model: string): void {
    const { versions } = this.#find(model);
    this.#models.delete(model);
    for (const version of versions.values()) this.#retire(version);
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
    for (const version of this.list()) this.#retire(version);
    await Promise.all(this.#retiring);
  }

  #retire({ queue, instances }: ServedVersion): void {
    const retired = queue
      .idle()
      .then(() => instances.close())
      .finally(() => this.#retiring.delete(retired));
    this.#retiring.add(retired);
  }

  #find(model: string): ServedModel {
    const found = this.#models.get(model);
    if (found !== undefined) return found;
    const known = [...this.#models.keys()].join(", ");
    const message = `unknown model ${quote(model)}: there is ${known === "" ? "none" : known}`;
    throw new ServiceError("notFound", message);
  }
}

function servedModel(
  loaded: LoadedModel,
  parts: Parts,
  kept: readonly ServedVersion[] = [],
): ServedModel {
  const versions = loaded.versions.map(
    (version) => kept.find((each) => each.loaded === version) ?? servedVersion(version, parts),
  );
  return { loaded, versions: new Map(versions.map((each) => [each.spec.version, each])) };
}

function servedVersion(loaded: LoadedVersion, parts: Parts): ServedVersion {
  const { spec, instances } = loaded;
  return { spec, instances, loaded, queue: servedQueue(loaded, parts) };
}

const quote = (name: string) => JSON.stringify(name.slice(0, 128));
