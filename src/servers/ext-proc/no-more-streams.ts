import type { ServerHttp2Session } from "node:http2";

/**
 * Asks every peer to open no more streams here, and returns when each has agreed. A GOAWAY alone
 * refuses the streams that cross it on the wire. A limit of no concurrent streams does not: it holds
 * from the peer's acknowledgement on (RFC 9113, 6.5.3), and all that was opened before is here by
 * then. (The two-step GOAWAY of RFC 9113, 6.8 fails in Node, which stops reading an idle session
 * once it has sent any GOAWAY.)
 */
export async function askForNoMoreStreams(
  sessions: ReadonlySet<ServerHttp2Session>,
  timeoutMs: number,
): Promise<void> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<void>((resolve) => {
    timer = setTimeout(resolve, timeoutMs);
  });
  await Promise.race([Promise.all([...sessions].map(agreed)), late]);
  clearTimeout(timer);
}

function agreed(session: ServerHttp2Session): Promise<void> {
  return new Promise((resolve) => {
    if (session.closed || session.destroyed) {
      resolve();
      return;
    }
    session.once("close", resolve);
    // An error here means that the connection is gone, and nobody is left to ask.
    session.settings({ maxConcurrentStreams: 0 }, () => {
      resolve();
    });
  });
}
