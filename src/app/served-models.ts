import { ServiceError } from "../core/error.js";
import { stepIssues } from "../core/serving/ensemble.js";
import type { FindSpec } from "../core/serving/ensemble.js";
import type { ModelSpec } from "../core/serving/model-spec.js";
import type { EnsembleStep } from "../schema/model-manifest.js";
import type {
  InstanceState,
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
  readonly loaded: LoadedVersion;
  /** Of an ensemble: that of the worst of its steps. */
  state(): InstanceState;
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
  readonly #models = new Map<string, ServedModel>();
  readonly #parts: VersionParts;
  readonly #retiring = new Set<Promise<void>>();
  #draining = false;

  constructor(loaded: readonly LoadedModel[], parts: Parts) {
    this.#parts = { ...parts, findStep: ({ model, version }) => this.find(model, version) };
    for (const model of loaded) this.#models.set(model.name, servedModel(model, this.#parts));
  }

  /** Of no version named: the default one. A version may be named by a label of it. */
  find(model: string, version: string | undefined): ServedVersion {
    const { loaded, versions } = this.#find(model);
    const served = versions.get(versionNamed(loaded, version));
    if (served !== undefined) return served;
    const known = [...versions.keys(), ...Object.keys(loaded.versionLabels)].join(", ");
    const message = `unknown version ${quote(version ?? "")} of model ${model}: there is ${known}`;
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
    return !this.#draining && this.find(model, version).state() === "ready";
  }

  /** What the readiness probe answers: ready when every version is, and not while draining. */
  ready(): ServingStatus {
    const states = this.list().map((served): [string, string] => [
      `${served.spec.name}/${served.spec.version}`,
      served.state(),
    ]);
    const ready = !this.#draining && states.every(([, state]) => state === "ready");
    return { ready, detail: { draining: this.#draining, models: Object.fromEntries(states) } };
  }

  /** What is served under the name now. */
  loaded(model: string): LoadedModel | undefined {
    return this.#models.get(model)?.loaded;
  }

  /**
   * Refuses what an ensemble could not run with.
   *
   * @param changed  a model that is to be served in place of one of its name
   */
  checkSteps(changed?: LoadedModel): void {
    const served = [...this.#models.values()].map(({ loaded }) => loaded);
    const others = served.filter(({ name }) => name !== changed?.name);
    const models = changed === undefined ? others : [...others, changed];
    const find: FindSpec = (name, version) => {
      const model = models.find((each) => each.name === name);
      const wanted = model && versionNamed(model, version);
      return model?.versions.find(({ spec }) => spec.version === wanted)?.spec;
    };
    const issues = models.flatMap(({ versions }) =>
      versions.flatMap(({ spec }) =>
        stepIssues(spec.steps ?? [], spec, find).map((issue) => `ensemble ${spec.name}: ${issue}`),
      ),
    );
    if (issues.length === 0) return;
    throw new ServiceError("badRequest", `ensembles cannot be served:\n  ${issues.join("\n  ")}`);
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

  /** Its versions finish what they have, and end. Refuses the model of an ensemble's step. */
  remove(model: string): void {
    const { versions } = this.#find(model);
    const user = this.list().find(({ spec }) => spec.steps?.some((step) => step.model === model));
    if (user !== undefined) {
      const message = `model ${model} is a step of ensemble ${user.spec.name}: unload that first`;
      throw new ServiceError("conflict", message);
    }
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
    // What an ensemble has begun still needs its steps.
    const ensembles = this.list().filter(({ spec }) => spec.steps !== undefined);
    await Promise.all(ensembles.map(({ queue }) => queue.idle()));
    for (const version of this.list()) this.#retire(version);
    await Promise.all(this.#retiring);
  }

  #retire({ queue, loaded }: ServedVersion): void {
    const retired = queue
      .idle()
      .then(() => loaded.instances.close())
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

type VersionParts = Parts & { readonly findStep: (step: EnsembleStep) => ServedVersion };

function servedModel(
  loaded: LoadedModel,
  parts: VersionParts,
  kept: readonly ServedVersion[] = [],
): ServedModel {
  const versions = loaded.versions.map(
    (version) => kept.find((each) => each.loaded === version) ?? servedVersion(version, parts),
  );
  return { loaded, versions: new Map(versions.map((each) => [each.spec.version, each])) };
}

function servedVersion(loaded: LoadedVersion, parts: VersionParts): ServedVersion {
  const { spec, instances } = loaded;
  const state = (): InstanceState => {
    if (spec.steps === undefined) return instances.state();
    const states = spec.steps.map((step) => parts.findStep(step).state());
    return (["down", "restarting"] as const).find((each) => states.includes(each)) ?? "ready";
  };
  return { spec, loaded, queue: servedQueue(loaded, parts), state };
}

/** A label stands for its version; none for the default one. */
function versionNamed({ versionLabels, defaultVersion }: LoadedModel, wanted = defaultVersion) {
  return (Object.hasOwn(versionLabels, wanted) ? versionLabels[wanted] : undefined) ?? wanted;
}

const quote = (name: string) => JSON.stringify(name.slice(0, 128));
