import { accessSync, constants } from "node:fs";
import { setTimeout as sleep } from "node:timers/promises";
import type { Clock, EventLog } from "../../app/ports.js";
import { ServiceError } from "../../core/error.js";
import { makeDirectory } from "../system/make-directory.js";
import { LineBuffer } from "./line-buffer.js";
import { SegmentWriter } from "./segment-writer.js";

const MIB = 1024 * 1024;
const CHUNK_BYTES = MIB / 4;
const RETRY_FIRST_MS = 100;
const RETRY_MAX_MS = 1000;

export type JsonlLogOptions = {
  readonly directory: string;
  /** First part of the file names: `assignments`, `predictions`. */
  readonly prefix: string;
  readonly clock: Clock;
  /** A killed process loses at most the lines of this long. */
  readonly flushIntervalMs?: number;
  /** Lines that wait for a slow disk; over it new lines are dropped. */
  readonly maxBufferedBytes?: number;
  readonly segmentMaxBytes?: number;
  /** An older segment is closed when the next line comes. */
  readonly segmentMaxMs?: number;
  /** How long close() keeps trying; what is then left is dropped. */
  readonly closeTimeoutMs?: number;
  readonly onWritten: (lines: number, bytes: number) => void;
  readonly onDrop: (lines: number) => void;
  /** The disk refused and is tried again, or one event could not be serialised and is dropped. */
  readonly onError: (error: unknown) => void;
};

/**
 * Opens an append-only log of JSON Lines segments; throws when the directory cannot be written.
 * A line that was appended survives the end of the process by SIGTERM (close), and by SIGKILL when
 * a flush interval has passed. Nothing is fsynced: when the machine itself dies, the lines that
 * its kernel had not written back are lost (on Linux by default up to half a minute).
 */
export function openJsonlLog<Event>(options: JsonlLogOptions): EventLog<Event> {
  requireDirectory(options.directory);
  return new JsonlLog<Event>(options);
}

class JsonlLog<Event> implements EventLog<Event> {
  readonly #options: JsonlLogOptions;
  readonly #flushIntervalMs: number;
  readonly #buffer: LineBuffer;
  readonly #writer: SegmentWriter;
  #timer: NodeJS.Timeout | undefined;
  /** One drain at a time, so one write in flight, so lines stay in order. */
  #draining: Promise<void> | undefined;
  #closed: Promise<void> | undefined;
  #giveUpAtMs = Infinity;

  constructor(options: JsonlLogOptions) {
    const { segmentMaxBytes = 64 * MIB, maxBufferedBytes = 64 * MIB } = options;
    this.#options = options;
    this.#flushIntervalMs = options.flushIntervalMs ?? 200;
    this.#buffer = new LineBuffer({
      chunkBytes: Math.min(CHUNK_BYTES, segmentMaxBytes),
      maxBytes: maxBufferedBytes,
    });
    this.#writer = new SegmentWriter({
      ...options,
      segmentMaxBytes,
      segmentMaxMs: options.segmentMaxMs ?? 3_600_000,
    });
  }

  append(event: Event): void {
    const line = this.#lineOf(event);
    if (line === undefined || this.#closed !== undefined || !this.#buffer.push(line)) {
      this.#options.onDrop(1);
      return;
    }
    if (this.#draining !== undefined) return;
    if (this.#buffer.first() !== undefined) this.#flush();
    else this.#flushLater();
  }

  close(): Promise<void> {
    this.#closed ??= this.#finish();
    return this.#closed;
  }

  #lineOf(event: Event): string | undefined {
    try {
      return JSON.stringify(event);
    } catch (error) {
      this.#options.onError(error);
      return undefined;
    }
  }

  #flushLater(): void {
    this.#timer ??= setTimeout(() => {
      this.#buffer.seal();
      this.#flush();
    }, this.#flushIntervalMs);
  }

  #flush(): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    this.#draining = this.#drain().finally(() => {
      this.#draining = undefined;
      // Lines that came during the drain wait for the next interval: no tight loop of small writes.
      if (this.#buffer.lines > 0 && this.#closed === undefined) this.#flushLater();
    });
  }

  async #finish(): Promise<void> {
    const { clock, closeTimeoutMs = 5000, onDrop, onError } = this.#options;
    this.#giveUpAtMs = clock.monotonicMs() + closeTimeoutMs;
    clearTimeout(this.#timer);
    await this.#draining;
    this.#buffer.seal();
    await this.#drain();
    if (this.#buffer.lines > 0) onDrop(this.#buffer.lines);
    await this.#writer.close().catch(onError);
  }

  /** Writes every sealed chunk; a disk that refuses is tried again, and again. Never rejects. */
  async #drain(): Promise<void> {
    let retryMs = RETRY_FIRST_MS;
    for (let chunk = this.#buffer.first(); chunk !== undefined; chunk = this.#buffer.first()) {
      try {
        await this.#writer.write(chunk);
        this.#buffer.drop();
        this.#options.onWritten(chunk.lines, chunk.bytes.length);
        retryMs = RETRY_FIRST_MS;
      } catch (error) {
        this.#options.onError(error);
        if (this.#options.clock.monotonicMs() >= this.#giveUpAtMs) return;
        await sleep(retryMs);
        retryMs = Math.min(2 * retryMs, RETRY_MAX_MS);
      }
    }
  }
}

/** A directory that cannot be written is found out at the start, and not by lost lines later. */
function requireDirectory(directory: string): void {
  try {
    makeDirectory(directory, 0o750);
    accessSync(directory, constants.W_OK | constants.X_OK);
  } catch (cause) {
    const why = cause instanceof Error ? cause.message : String(cause);
    throw new ServiceError(
      "dependencyDown",
      `log directory ${JSON.stringify(directory)} cannot be written: ${why}; name a folder that can`,
      { cause },
    );
  }
}
