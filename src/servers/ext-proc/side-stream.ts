import type { HeaderView } from "../../core/routing/facts.js";

/** One gRPC stream, whatever carries it. Nothing may be sent once it has ended. */
export type SideStream = {
  /** What came with the stream itself; not the headers of the request that it is about. */
  readonly metadata: HeaderView;
  /** The bytes may be used again when this returns. */
  send(message: Buffer): void;
  /** Ends it with OK, behind all that was sent. */
  end(): void;
  fail(code: number, details: string): void;
};

/** What a stream is told. Each message is valid until `message` returns. */
export type SideStreamListener = {
  message(bytes: Buffer): void;
  /** The peer sends no more. */
  halfClosed(): void;
  /** The last call, once, however the stream ended. */
  closed(): void;
};

export type AcceptStream = (stream: SideStream) => SideStreamListener;

/** A gRPC server that accepts streams: the part of extproc that knows frames. */
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
