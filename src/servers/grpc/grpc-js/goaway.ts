import { constants, type ServerHttp2Session, type ServerHttp2Stream } from "node:http2";

/** The sessions that are open now, each with its open streams. */
export type OpenSessions = ReadonlyMap<ServerHttp2Session, ReadonlySet<ServerHttp2Stream>>;

const MAX_STREAM_ID = 2 ** 31 - 1;

/**
 * Tells every busy peer to open no more streams here, and returns when each has heard it (RFC 9113,
 * 6.8). This GOAWAY names the highest stream id, so streams on their way are still served; a ping
 * behind it comes back when the peer has read both. A GOAWAY with the last id seen, which is all that
 * grpc-js sends, would refuse the streams that crossed it. Idle sessions are left to grpc-js: Node
 * stops reading a session that has sent GOAWAY and has no stream, so nothing could be served there.
 */
export async function announceGoaway(sessions: OpenSessions): Promise<void> {
  await Promise.all([...sessions].map(([session, streams]) => heardGoaway(session, streams)));
}

/** Ends one busy session without losing a stream; the peer opens its next one on another. */
export async function retire(
  session: ServerHttp2Session,
  streams: ReadonlySet<ServerHttp2Stream>,
): Promise<void> {
  await heardGoaway(session, streams);
  if (!session.closed) session.close();
}

function heardGoaway(
  session: ServerHttp2Session,
  streams: ReadonlySet<ServerHttp2Stream>,
): Promise<void> {
  return new Promise((resolve) => {
    const done = () => {
      resolve();
    };
    if (streams.size === 0 || session.closed || session.destroyed) {
      done();
      return;
    }
    for (const stream of streams) {
      stream.once("close", () => {
        if (streams.size === 0) done();
      });
    }
    session.goaway(constants.NGHTTP2_NO_ERROR, MAX_STREAM_ID);
    // An error of the ping means that the connection is gone, and nobody is left to tell.
    if (!session.ping(done)) done();
  });
}
