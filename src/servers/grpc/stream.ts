import type { HeaderView } from "../../core/routing/facts.js";

/** Fields behind the last message. Names are lower-case; those in -bin have bytes. */
export type Trailers = ReadonlyMap<string, string | Buffer>;

/**
 * One gRPC call as its server sees it, whatever carries it: a call of one message is a stream of
 * one. Nothing may be sent once it has ended.
 */
export type ServerStream = {
  /** What came with the stream itself. */
  readonly metadata: HeaderView;
  /** The bytes may be used again when this returns. */
  send(message: Buffer): void;
  /** Ends it with OK, behind all that was sent. */
  end(trailers?: Trailers): void;
  fail(code: number, details: string, trailers?: Trailers): void;
};

/** What a stream is told. */
export type StreamListener = {
  /** The bytes are the listener's to keep. */
  message(bytes: Buffer): void;
  /** The peer sends no more. */
  halfClosed(): void;
  /** The last call, once, however the stream ended. */
  closed(): void;
};

export type AcceptStream = (stream: ServerStream) => StreamListener;

/** A gRPC server that accepts streams: the part that knows frames. */
export type Transport = {
  /** As given, with the port that was bound. */
  readonly address: string;
  /**
   * Tells peers to open no more streams here, waits until they have heard or the time is over, and
   * takes no more connections. Streams that were on their way are still served.
   */
  retire(timeoutMs: number): Promise<void>;
  /** Resolves when, after `retire`, the last stream and the last connection are closed. */
  readonly closed: Promise<void>;
  /** Cuts what is left. */
  destroy(): void;
};
