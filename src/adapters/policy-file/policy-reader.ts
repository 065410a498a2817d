/**
 * The thread that load-off-thread.ts starts: it reads a policy file, finds every mistake, sends what
 * came out, and ends; what reading took of memory goes with it.
 */
import { parentPort, workerData } from "node:worker_threads";
import type { Policy } from "../../schema/policy.js";
import { loadPolicy, type RefusedPolicy } from "./load-policy.js";

/** What the thread is started with. */
export type PolicyReaderInput = { readonly file: string };

/** A compiled policy holds functions and cannot leave a thread: its source does, in pieces. */
export type PolicyRead =
  | RefusedPolicy
  | {
      readonly kind: "read";
      /** JSON of the policy with its long lists empty. */
      readonly rest: string;
      /** JSON of some items of one of those lists each, in file order. */
      readonly pieces: readonly { readonly list: LongList; readonly items: string }[];
      readonly version: string;
      readonly warnings: readonly string[];
    };

const LONG_LISTS = ["models", "experiments", "shadows", "limits"] as const;
type LongList = (typeof LONG_LISTS)[number];

/** Parsing one piece takes the receiver well under a millisecond. */
const ITEMS_PER_PIECE = 50;

function piecesOf(policy: Policy) {
  const pieces = LONG_LISTS.flatMap((list) =>
    Array.from({ length: Math.ceil(policy[list].length / ITEMS_PER_PIECE) }, (_, at) => ({
      list,
      items: JSON.stringify(policy[list].slice(at * ITEMS_PER_PIECE, (at + 1) * ITEMS_PER_PIECE)),
    })),
  );
  const none = Object.fromEntries(LONG_LISTS.map((list) => [list, []]));
  return { rest: JSON.stringify({ ...policy, ...none }), pieces };
}

const { file } = workerData as PolicyReaderInput;
const loaded = await loadPolicy(file);
const read: PolicyRead =
  loaded.kind === "refused"
    ? loaded
    : {
        kind: "read",
        ...piecesOf(loaded.policy.source),
        version: loaded.policy.version,
        warnings: loaded.warnings,
      };
parentPort?.postMessage(read);
