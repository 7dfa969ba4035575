// A link of the chain: syncs a session of another language and watches it to the verdict.
// Arguments: the gateway's address, the session, the traceparent.
import { credentials } from "@grpc/grpc-js";
import { GrpcTransport } from "@protobuf-ts/grpc-transport";
import { SyncContextsRequest, WatchSyncEvent, WatchSyncRequest } from "agb-gateway-stubs/agb/gateway/v1/sync_service";
import { SyncServiceClient } from "agb-gateway-stubs/agb/gateway/v1/sync_service.client";
import { SyncState } from "agb-gateway-stubs/agb/gateway/v1/sync_task";

async function main([address, sessionId, traceparent]: string[]) {
  const transport = new GrpcTransport({ host: address, channelCredentials: credentials.createInsecure() });
  const syncs = new SyncServiceClient(transport);
  const options = { timeout: 60_000, meta: { traceparent } };
  const start = SyncContextsRequest.create({ sessionId, returnImmediately: true });
  const { status } = await syncs.syncContexts(start, options).response;
  const target = { oneofKind: "syncToken" as const, syncToken: status!.syncToken };
  let verdict;
  for await (const message of syncs.watchSync(WatchSyncRequest.create({ target }), options).responses) {
    console.log(WatchSyncEvent[message.event], SyncState[message.status!.state]);
    verdict = message;
  }
  transport.close();
  if (verdict?.event !== WatchSyncEvent.VERDICT || verdict.status!.state !== SyncState.SUCCEEDED) {
    throw new Error("the sync has not succeeded");
  }
}

main(process.argv.slice(2));
