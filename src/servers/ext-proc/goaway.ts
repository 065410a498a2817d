import { constants, type ServerHttp2Session } from "node:http2";

const MAX_STREAM_ID = 2 ** 31 - 1;
const NO_ERROR = constants.NGHTTP2_NO_ERROR;

/**
 * Tells every peer to open no more streams here, and returns when each has heard it (RFC 9113, 6.8).
 * The GOAWAY names the highest stream id, so streams that are on their way are still served; a ping
 * behind it comes back when the peer has read both. A GOAWAY with the last id seen, which is all
 * that grpc-js sends, would refuse the streams that crossed it on the wire.
 */
export async function announceGoaway(
  sessions: ReadonlySet<ServerHttp2Session>,
  timeoutMs: number,
): Promise<void> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<void>((resolve) => {
    timer = setTimeout(resolve, timeoutMs);
  });
  await Promise.race([Promise.all([...sessions].map(heardGoaway)), late]);
  clearTimeout(timer);
}

function heardGoaway(session: ServerHttp2Session): Promise<void> {
  return new Promise((resolve) => {
    if (session.closed || session.destroyed) {
      resolve();
      return;
    }
    session.once("close", resolve);
    session.goaway(NO_ERROR, MAX_STREAM_ID);
    // An error here means that the connection is gone, and nobody is left to tell.
    if (
      !session.ping(() => {
        resolve();
      })
    )
      resolve();
  });
}
