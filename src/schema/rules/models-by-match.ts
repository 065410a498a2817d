import type { Model } from "../model.js";

/** Models that compete for the same requests. `at` is the place of a model in the list. */
export type ModelsByMatch = {
  /** The first model, before this one, whose hosts take every host of this one. */
  readonly hiding: (at: number) => Model | undefined;
  /** The first model, anywhere, with an earlier name and a host of this one. */
  readonly sharing: (at: number) => Model | undefined;
};

/**
 * Ten thousand models may share one prefix and differ by host, so each looks up the few patterns
 * that can take its hosts instead of comparing itself with every other.
 */
export function modelsByMatch(models: readonly Model[]): ModelsByMatch {
  const placesOf = new Map<string, number[]>();
  const firstNames = new Map<string, number[]>();
  const nameAt = (at: number | undefined) => models[at ?? -1]?.name ?? "";
  models.forEach(({ name, match }, at) => {
    for (const host of new Set(match.hosts)) {
      const key = keyOf(match.pathPrefix, host);
      append(placesOf, key, at);
      // Only a name before all earlier ones can be the first that is before another.
      const last = firstNames.get(key)?.at(-1);
      if (last === undefined || name < nameAt(last)) append(firstNames, key, at);
    }
  });
  return {
    sharing: (at) => {
      const model = models[at];
      const before = (place: number) => nameAt(place) < nameAt(at);
      const found = (model?.match.hosts ?? []).map((host) =>
        firstThat(firstNames.get(keyOf(model?.match.pathPrefix, host)) ?? [], before),
      );
      return models[least(found)];
    },
    hiding: (at) => {
      const model = models[at];
      const [host] = model?.match.hosts ?? [];
      if (model === undefined || host === undefined) return undefined;
      const found = patternsOver(host).map((pattern) =>
        (placesOf.get(keyOf(model.match.pathPrefix, pattern)) ?? []).find(
          (place) => place >= at || takesEveryHost(models[place], model),
        ),
      );
      const first = least(found.map((place) => place ?? Infinity));
      return first < at ? models[first] : undefined;
    },
  };
}

// A prefix holds no space.
const keyOf = (pathPrefix: string | undefined, host: string) => `${pathPrefix} ${host}`;

function append(lists: Map<string, number[]>, key: string, at: number): void {
  const list = lists.get(key);
  if (list === undefined) lists.set(key, [at]);
  else list.push(at);
}

const least = (places: readonly number[]) => places.reduce((a, b) => Math.min(a, b), Infinity);

/** The first place that fits, where all places after it fit too; Infinity when none does. */
function firstThat(places: readonly number[], fits: (place: number) => boolean): number {
  let from = 0;
  let to = places.length;
  while (from < to) {
    const middle = (from + to) >> 1;
    if (fits(places[middle] ?? -1)) to = middle;
    else from = middle + 1;
  }
  return places[from] ?? Infinity;
}

function takesEveryHost(wider: Model | undefined, model: Model): boolean {
  const patterns = new Set(wider?.match.hosts);
  return model.match.hosts.every((host) => patternsOver(host).some((one) => patterns.has(one)));
}

/** Every pattern that takes all that `host` takes: itself, `*`, and `*.` with each of its suffixes. */
function patternsOver(host: string): readonly string[] {
  const patterns = new Set([host, "*"]);
  const name = host.replace(/^\*/, "");
  for (let dot = name.indexOf("."); dot >= 0; dot = name.indexOf(".", dot + 1)) {
    patterns.add(`*${name.slice(dot)}`);
  }
  return [...patterns];
}
