import { join } from "node:path";
import type { Timer } from "../../app/model-ports.js";
import { fileIdentity, filesIn } from "./fingerprint.js";
import { modelNames } from "./read-repository.js";

export type RepositoryEvents = {
  /** The files of a model are new or others, and have been the same for two looks. */
  readonly changed: (model: string) => void;
  readonly removed: (model: string) => void;
};

export type RepositoryWatch = {
  /** Tells what differs from the files as they were when the watch was opened. */
  start(events: RepositoryEvents): void;
  close(): void;
};

const POLL_INTERVAL_MS = 1000;
const ABSENT = "";

/**
 * Looks at the files of each model again and again: change events do not arrive for mounted
 * folders. A model is told of once its files have the same sizes and times on two looks, so that
 * one that is still being copied is left alone.
 */
export async function openRepositoryWatch(root: string, timer: Timer): Promise<RepositoryWatch> {
  const told = await identities(root);
  let seen: ReadonlyMap<string, string> = told;
  let cancel: () => void = () => undefined;
  let isOpen = true;
  const poll = async (events: RepositoryEvents) => {
    const now = await identities(root);
    for (const name of new Set([...told.keys(), ...now.keys()])) {
      const identity = now.get(name) ?? ABSENT;
      if (identity === (told.get(name) ?? ABSENT) || identity !== (seen.get(name) ?? ABSENT)) {
        continue;
      }
      if (identity === ABSENT) told.delete(name);
      else told.set(name, identity);
      if (!isOpen) return;
      if (identity === ABSENT) events.removed(name);
      else events.changed(name);
    }
    seen = now;
  };
  const schedule = (events: RepositoryEvents) => {
    cancel = timer(POLL_INTERVAL_MS, () => {
      void poll(events).finally(() => {
        if (isOpen) schedule(events);
      });
    });
  };
  return {
    start: schedule,
    close: () => {
      isOpen = false;
      cancel();
    },
  };
}

async function identities(root: string): Promise<Map<string, string>> {
  const names = (await modelNames(root)) ?? [];
  const found = await Promise.all(
    names.map(async (name): Promise<[string, string]> => {
      const files = await filesIn(join(root, name));
      const each = await Promise.all(
        files.map(async (file) => `${file} ${await fileIdentity(file)}`),
      );
      return [name, `there\n${each.join("\n")}`];
    }),
  );
  return new Map(found);
}
