// Data of a browser session, found in a code session at another path. Argument: the gateway's address.
import { credentials } from "@grpc/grpc-js";
import { GrpcTransport } from "@protobuf-ts/grpc-transport";
import { CreateContextRequest, DeleteContextRequest } from "agb-gateway-stubs/agb/gateway/v1/context_service";
import { ContextServiceClient } from "agb-gateway-stubs/agb/gateway/v1/context_service.client";
import { CreateSessionRequest, DeleteSessionRequest, ExecuteCommandRequest } from "agb-gateway-stubs/agb/gateway/v1/session_service";
import { SessionServiceClient } from "agb-gateway-stubs/agb/gateway/v1/session_service.client";
import { SyncContextsRequest } from "agb-gateway-stubs/agb/gateway/v1/sync_service";
import { SyncServiceClient } from "agb-gateway-stubs/agb/gateway/v1/sync_service.client";

async function main() {
  const transport = new GrpcTransport({ host: process.argv[2] ?? "127.0.0.1:50051", channelCredentials: credentials.createInsecure() });
  const contexts = new ContextServiceClient(transport);
  const [sessions, syncs] = [new SessionServiceClient(transport), new SyncServiceClient(transport)];
  const named = CreateContextRequest.create({ context: { name: "cross-platform-context" } });
  const contextId = (await contexts.createContext(named).response).context!.contextId;
  const first = { imageId: "agb-browser-use-1", contextSyncs: [{ contextId, path: "/tmp/mapping" }] };
  const browser = (await sessions.createSession(CreateSessionRequest.create(first)).response).session!.sessionId;
  const command = "echo 'This file was created in the first session' > /tmp/mapping/test-file.txt";
  await sessions.executeCommand(ExecuteCommandRequest.create({ sessionId: browser, command }));
  await syncs.syncContexts(SyncContextsRequest.create({ sessionId: browser }));
  // Synced: what follows is another session, which sees the data at another path.
  await sessions.deleteSession(DeleteSessionRequest.create({ sessionId: browser }));
  const mapped = { contextId, path: "/home/data", policy: { mappingPolicy: { path: "/tmp/mapping" } } };
  const second = CreateSessionRequest.create({ imageId: "agb-code-space-1", contextSyncs: [mapped] });
  const code = (await sessions.createSession(second).response).session!.sessionId;
  const read = ExecuteCommandRequest.create({ sessionId: code, command: "cat /home/data/test-file.txt" });
  process.stdout.write((await sessions.executeCommand(read).response).stdout);
  await sessions.deleteSession(DeleteSessionRequest.create({ sessionId: code }));
  await contexts.deleteContext(DeleteContextRequest.create({ contextId }));
  transport.close();
}

main();
