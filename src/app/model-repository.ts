import { ServiceError } from "../core/error.js";
import type { Parameters } from "../core/serving/request-parameters.js";
import type { ModelRuntime } from "./model-ports.js";
import type { ServedModels } from "./served-models.js";

export const MODEL_CONTROLS = ["none", "explicit", "poll"] as const;
/** Who changes what is served: nobody, callers of load and unload, or the files. */
export type ModelControl = (typeof MODEL_CONTROLS)[number];

/** One line of the protocol's repository index; a model that is not served has no version. */
export type IndexEntry = {
  readonly name: string;
  readonly version?: string;
  readonly state: "READY" | "UNAVAILABLE" | "LOADING";
  readonly reason?: string;
};

export type RepositoryParts = {
  readonly root: string;
  readonly control: ModelControl;
  readonly runtime: ModelRuntime;
  readonly models: ServedModels;
};

/**
 * The model_repository extension. A model is loaded beside the one in service and takes its place
 * whole; if anything is wrong with it, the one in service stays. Changes of one model happen one
 * after the other.
 */
export class ModelRepository {
  readonly #parts: RepositoryParts;
  readonly #changes = new Map<string, Promise<void>>();
  readonly #refusals = new Map<string, string>();
  #closed = false;

  constructor(parts: RepositoryParts) {
    this.#parts = parts;
  }

  /** Every model there is, in the folder or in service, by name. */
  async index(readyOnly: boolean): Promise<readonly IndexEntry[]> {
    const { runtime, root, models } = this.#parts;
    const served = models.list().map(({ spec }) => spec.name);
    const names = new Set([...(await runtime.names(root)), ...served]);
    const entries = [...names].sort().flatMap((name) => this.#entriesOf(name));
    return readyOnly ? entries.filter(({ state }) => state === "READY") : entries;
  }

  /** What a caller asks for; also the newest files of a model in service. */
  async load(name: string, parameters: Parameters = new Map()): Promise<void> {
    this.#checkControl("load");
    const override = [...parameters.keys()].find((key) => key === "config" || isFile(key));
    if (override !== undefined) {
      const message = `parameter ${quote(override)} is not supported: a model is loaded as its folder and its model.yaml are`;
      throw new ServiceError("badRequest", message);
    }
    await this.refresh(name);
  }

  async unload(name: string): Promise<void> {
    this.#checkControl("unload");
    await this.drop(name);
  }

  /** Serves the model as its folder is now. */
  refresh(name: string): Promise<void> {
    return this.#change(name, async () => {
      const { runtime, root, models } = this.#parts;
      if (!(await runtime.names(root)).includes(name)) throw unknown(name);
      try {
        const current = models.loaded(name);
        const loaded = await runtime.loadModel(root, name, current);
        try {
          models.checkSteps(loaded);
        } catch (error) {
          const opened = loaded.versions.filter((each) => !current?.versions.includes(each));
          await Promise.all(opened.map(({ instances }) => instances.close()));
          throw error;
        }
        models.replace(loaded);
        this.#refusals.delete(name);
      } catch (error) {
        const { message, code } = ServiceError.from(error);
        this.#refusals.set(name, message);
        const stays =
          models.loaded(name) === undefined ? "" : "\nwhat was loaded before stays in service";
        throw new ServiceError(code, `${message}${stays}`, { cause: error });
      }
    });
  }

  /** Serves the model no longer; requests that it has are finished. */
  drop(name: string): Promise<void> {
    return this.#change(name, () => {
      const { models } = this.#parts;
      if (models.loaded(name) === undefined) throw unknown(name);
      models.remove(name);
      this.#refusals.set(name, "unloaded");
    });
  }

  /** Resolves when no change is under way; none begins any more. */
  async close(): Promise<void> {
    this.#closed = true;
    await Promise.allSettled(this.#changes.values());
  }

  #entriesOf(name: string): readonly IndexEntry[] {
    const { models } = this.#parts;
    const refusal = this.#refusals.get(name);
    if (models.loaded(name) === undefined) {
      if (this.#changes.has(name)) return [{ name, state: "LOADING" }];
      return [{ name, state: "UNAVAILABLE", reason: refusal ?? "unloaded" }];
    }
    return models.list(name).map((served) => {
      const { version } = served.spec;
      const state = served.state();
      if (state !== "ready") {
        return { name, version, state: "UNAVAILABLE", reason: `its instances are ${state}` };
      }
      const ready = { name, version, state: "READY" } as const;
      return refusal === undefined ? ready : { ...ready, reason: `newer files: ${refusal}` };
    });
  }

  #checkControl(what: "load" | "unload"): void {
    const { control } = this.#parts;
    if (control === "explicit") return;
    const remedy =
      control === "poll"
        ? "this process follows the files of its repository"
        : "start it with --model-control explicit";
    throw new ServiceError("conflict", `${what} of models is not allowed here: ${remedy}`);
  }

  #change(name: string, run: () => Promise<void> | void): Promise<void> {
    if (this.#closed) {
      return Promise.reject(new ServiceError("notReady", "this process is about to end"));
    }
    const before = this.#changes.get(name) ?? Promise.resolve();
    const change = before
      .catch(() => undefined)
      .then(run)
      .finally(() => {
        if (this.#changes.get(name) === change) this.#changes.delete(name);
      });
    this.#changes.set(name, change);
    return change;
  }
}

/** `file:<path>` carries the content of a file. */
const isFile = (key: string) => key.startsWith("file:");

function unknown(name: string): ServiceError {
  return new ServiceError("notFound", `there is no model ${quote(name)} in the repository`);
}

const quote = (name: string) => JSON.stringify(name.slice(0, 128));
