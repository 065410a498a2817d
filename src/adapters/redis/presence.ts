import type { RedisConnection } from "./connect.js";

/** How often a replica says that it is there, and how soon it asks again while nobody answers. */
const BEAT_MS = 500;
const RETRY_MS = 100;
/** How long the first connection may take, and how often to look. */
const START_MS = 1000;
const START_RETRY_MS = 10;
/** No answer for so long: the store is away. */
const ANSWER_MS = 500;
/** A replica that was silent for so long is gone. */
const LIVE_MS = 3000;
/** So many unanswered in a row, and the connection is taken for dead. */
const DEAD_AFTER = 3;

type PresenceOptions = {
  readonly connection: RedisConnection;
  readonly key: string;
  readonly replica: string;
  readonly onChange: (isUp: boolean, replicas: number) => void;
  readonly onError: (error: unknown) => void;
};

/** Says again and again that this replica is there: so each knows how many share a quota. */
export class Presence {
  readonly #options: PresenceOptions;
  /** Resolves when the store has first answered, or has not for too long. */
  readonly known: Promise<void>;
  #becomeKnown: () => void = () => undefined;
  /** Undefined at the start. */
  #isUp: boolean | undefined;
  #replicas = 1;
  #unanswered = 0;
  #isStarting = true;
  #isLeaving = false;
  #timer: NodeJS.Timeout | undefined;

  constructor(options: PresenceOptions) {
    this.#options = options;
    this.known = new Promise((resolve) => {
      this.#becomeKnown = resolve;
    });
    setTimeout(() => {
      this.#isStarting = false;
    }, START_MS).unref();
    void this.#beat();
  }

  get isUp(): boolean {
    return this.#isUp === true;
  }

  /** Replicas there when the store last answered, this one included; at least 1. */
  get replicas(): number {
    return this.#replicas;
  }

  async leave(): Promise<void> {
    this.#isLeaving = true;
    clearTimeout(this.#timer);
    if (this.isUp) await this.#register("0").catch(this.#options.onError);
  }

  async #beat(): Promise<void> {
    try {
      const count = await this.#register("1");
      // A store that comes back has forgotten those that have not found it yet.
      this.#replicas = this.isUp ? count : Math.max(count, this.#replicas);
      this.#unanswered = 0;
      this.#change(true);
    } catch (error) {
      this.#failed(error);
    }
    if (this.#isLeaving) return;
    const pauseMs = this.isUp ? BEAT_MS : this.#isUp === false ? RETRY_MS : START_RETRY_MS;
    this.#timer = setTimeout(() => void this.#beat(), pauseMs);
  }

  #failed(error: unknown): void {
    if (this.#isLeaving || (this.#isUp === undefined && this.#isStarting)) return;
    this.#options.onError(error);
    this.#unanswered += 1;
    if (this.#unanswered % DEAD_AFTER === 0) this.#options.connection.reconnect();
    this.#change(false);
  }

  #change(isUp: boolean): void {
    if (this.#isUp === isUp) return;
    this.#isUp = isUp;
    this.#options.onChange(isUp, this.#replicas);
    this.#becomeKnown();
  }

  async #register(stays: "0" | "1"): Promise<number> {
    const { connection, key, replica } = this.#options;
    const reply = connection.scripts.registerReplica(key, replica, String(LIVE_MS), stays);
    const count = await within(ANSWER_MS, reply);
    if (typeof count !== "number" || !(count >= 0)) throw new Error("the store counts no replicas");
    return Math.max(1, count);
  }
}

/** The reply, or a rejection when it takes too long; a late one is ignored. */
async function within<T>(ms: number, reply: Promise<T>): Promise<T> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => {
      reject(new Error(`no answer within ${ms} ms`));
    }, ms);
  });
  try {
    return await Promise.race([reply, late]);
  } finally {
    clearTimeout(timer);
  }
}
