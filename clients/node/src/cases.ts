import assert from "node:assert/strict";
import { createHash } from "node:crypto";

import { compressionAlgorithms } from "@grpc/grpc-js";
import {
  DownloadContextFileRequest, GetContextRequest, ListContextsRequest, UploadContextFileRequest,
} from "agb-gateway-stubs/agb/gateway/v1/context_service";
import { ContextServiceClient } from "agb-gateway-stubs/agb/gateway/v1/context_service.client";
import { ResolveMappingRequest, ResolveMappingResponse } from "agb-gateway-stubs/agb/gateway/v1/mapping_policy_service";
import { MappingPolicyServiceClient } from "agb-gateway-stubs/agb/gateway/v1/mapping_policy_service.client";
import { CreateSessionRequest, ExecuteCommandRequest, GetSessionRequest } from "agb-gateway-stubs/agb/gateway/v1/session_service";
import { GetSyncPolicyRequest } from "agb-gateway-stubs/agb/gateway/v1/sync_policy_service";
import { SyncPolicyServiceClient } from "agb-gateway-stubs/agb/gateway/v1/sync_policy_service.client";
import { SyncContextsRequest, WaitForSyncRequest, WatchSyncEvent, WatchSyncRequest, type WatchSyncResponse } from "agb-gateway-stubs/agb/gateway/v1/sync_service";
import { SyncServiceClient } from "agb-gateway-stubs/agb/gateway/v1/sync_service.client";
import { SyncState } from "agb-gateway-stubs/agb/gateway/v1/sync_task";

import { serviceConfig } from "./connect";
import { contexts, control, count, details, minute, open, refused, sessions, syncs, whenReady, within, withContext, withSession } from "./world";

// What contract.yaml says of a case; each case reads the values that it needs.
export interface Case extends Record<string, any> {
  name: string;
}

const { AGB_TARGET, AGB_PROXY, AGB_REPLICAS } = process.env as Record<string, string>;
const content = (length: number) => Buffer.from(Array.from({ length }, (_, index) => index % 251));
const sha256 = (data: Uint8Array) => createHash("sha256").update(data).digest();

async function upload(client: ContextServiceClient, contextId: string, data: Buffer, piece: number) {
  const call = client.uploadContextFile(minute);
  const header = { contextId, path: "/tmp/file", sizeBytes: data.length };
  await call.requests.send(UploadContextFileRequest.create({ payload: { oneofKind: "header", header } }));
  for (let start = 0; start < data.length; start += piece) {
    const payload = { oneofKind: "data" as const, data: data.subarray(start, start + piece) };
    await call.requests.send(UploadContextFileRequest.create({ payload }));
  }
  await call.requests.complete();
  const written = await call.response;
  assert.equal(written.sizeBytes, data.length);
  assert.deepEqual(Buffer.from(written.sha256), sha256(data));
}

async function download(client: ContextServiceClient, contextId: string, data: Buffer) {
  const call = client.downloadContextFile(DownloadContextFileRequest.create({ contextId, path: "/tmp/file" }), minute);
  const parts = [];
  for await (const { payload } of call.responses) {
    parts.push(payload);
  }
  await call;
  const [first, last, pieces] = [parts[0], parts.at(-1)!, parts.slice(1, -1)];
  assert.ok(first.oneofKind === "header" && first.header.sizeBytes === data.length);
  const got = Buffer.concat(pieces.map((part) => (part.oneofKind === "data" ? part.data : assert.fail(part.oneofKind))));
  assert.ok(got.equals(data), "other bytes came than were sent");
  assert.ok(last.oneofKind === "trailer" && last.trailer.sizeBytes === data.length);
  assert.deepEqual(Buffer.from(last.trailer.sha256), sha256(data));
}

async function startSync(use: (syncToken: string) => Promise<void>) {
  await withContext(({ contextId }) =>
    withSession(async (sessionId) => {
      const request = SyncContextsRequest.create({ sessionId, returnImmediately: true });
      await use((await syncs.syncContexts(request, minute).response).status!.syncToken);
    }, { contextId, path: "/tmp/mapping" }),
  );
}

const bySession = (sessionId: string) => ({ target: { oneofKind: "sessionId" as const, sessionId } });
const byToken = (syncToken: string) => ({ target: { oneofKind: "syncToken" as const, syncToken } });

async function wait(syncToken: string, options = minute) {
  const { status } = await syncs.waitForSync(WaitForSyncRequest.create(byToken(syncToken)), options).response;
  assert.equal(status!.state, SyncState.SUCCEEDED);
}

/** Reads a stream until it ends; what it ends with is what this ends with. */
async function drain(stream: AsyncIterable<unknown>) {
  for await (const _ of stream);
}

async function first(stream: AsyncIterable<WatchSyncResponse>) {
  for await (const message of stream) {
    assert.equal(message.event, WatchSyncEvent.SNAPSHOT);
    return;
  }
}

export const cases: Record<string, (wanted: Case) => Promise<void>> = {
  async unary() {
    let contextId = "";
    await withContext(async (context) => {
      contextId = context.contextId;
      const request = GetContextRequest.create({ selector: { oneofKind: "name", name: context.name } });
      const found = (await contexts.getContext(request, minute).response).context!;
      assert.equal(found.contextId, contextId);
      assert.ok(Math.abs(found.createTime!.seconds - Date.now() / 1000) < 3600);
    });
    const gone = GetContextRequest.create({ selector: { oneofKind: "contextId", contextId } });
    await refused("NOT_FOUND", contexts.getContext(gone, minute));
  },

  async client_streaming(wanted) {
    await withContext(({ contextId }) => upload(contexts, contextId, content(wanted.bytes), wanted.piece_bytes));
  },

  async server_streaming(wanted) {
    const data = content(wanted.bytes);
    await withContext(async ({ contextId }) => {
      await upload(contexts, contextId, data, wanted.piece_bytes);
      await download(contexts, contextId, data);
    });
  },

  async watch_sync() {
    await startSync(async (token) => {
      const call = syncs.watchSync(WatchSyncRequest.create(byToken(token)), minute);
      const events = [];
      for await (const message of call.responses) {
        events.push(message);
      }
      assert.equal((await call.status).code, "OK");
      assert.equal(events[0].event, WatchSyncEvent.SNAPSHOT);
      assert.equal(events.at(-1)!.event, WatchSyncEvent.VERDICT);
      assert.equal(events.at(-1)!.status!.state, SyncState.SUCCEEDED);
      await wait(token);
    });
  },

  async deadline(wanted) {
    await withSession(async (sessionId) => {
      const start = performance.now();
      const call = syncs.waitForSync(WaitForSyncRequest.create(bySession(sessionId)), within(wanted.deadline_ms));
      const error = await refused("DEADLINE_EXCEEDED", call);
      assert.ok(performance.now() - start < wanted.deadline_ms + 500);
      assert.equal(details(error).info?.reason, "DEADLINE_EXCEEDED");
      assert.ok(details(error).syncStatus);
    });
  },

  async cancellation() {
    await withSession(async (sessionId) => {
      const abort = new AbortController();
      const call = syncs.watchSync(WatchSyncRequest.create(bySession(sessionId)), { ...minute, abort: abort.signal });
      await first(call.responses);
      abort.abort();
      await refused("CANCELLED", drain(call.responses));
      await control("POST", "/quiet?operation=GetContextInfo");
    });
  },

  async auth() {
    for (const token of ["", "agbgw_wrong"]) {
      const client = new ContextServiceClient(open(AGB_TARGET, {}, token));
      const error = await refused("UNAUTHENTICATED", client.listContexts(ListContextsRequest.create(), minute));
      assert.equal(details(error).info?.reason, "UNAUTHENTICATED");
    }
    await contexts.listContexts(ListContextsRequest.create(), minute);
  },

  async error_details(wanted) {
    const request = CreateSessionRequest.create({ contextSyncs: [{ contextId: "c", path: "/opt" }] });
    const told = details(await refused("INVALID_ARGUMENT", sessions.createSession(request, minute)));
    assert.deepEqual([told.info?.domain, told.info?.reason], [wanted.domain, "INVALID_ARGUMENT"]);
    assert.deepEqual(told.badRequest?.fieldViolations.map(({ field }) => field), wanted.fields);

    const nobody = GetSessionRequest.create({ sessionId: "session-of-nobody" });
    const { info, resource } = details(await refused("NOT_FOUND", sessions.getSession(nobody, minute)));
    assert.equal(info?.reason, "SESSION_NOT_FOUND");
    assert.equal(resource?.resourceName, "session-of-nobody");
  },

  async retries(wanted) {
    const before = await count("ListContexts");
    const action = { respond: { status: 503 } };
    await control("POST", "/faults", { operation: "ListContexts", times: wanted.failures, action });
    await contexts.listContexts(ListContextsRequest.create(), minute);
    assert.equal((await count("ListContexts")) - before, wanted.failures + 1);
  },

  async no_blind_retries() {
    await withSession(async (sessionId) => {
      const before = await count("callTool");
      await control("POST", "/faults", { operation: "callTool", times: 1, action: "closeAfterWork" });
      const call = sessions.executeCommand(ExecuteCommandRequest.create({ sessionId, command: "true" }), minute);
      assert.equal(details(await refused("UNKNOWN", call)).info?.reason, "AGB_OUTCOME_UNKNOWN");
      assert.equal((await count("callTool")) - before, 1);
    });
  },

  async keepalive(wanted) {
    const pings = { "grpc.keepalive_time_ms": wanted.interval_ms, "grpc.keepalive_timeout_ms": wanted.timeout_ms };
    await withSession(async (sessionId) => {
      const client = new SyncServiceClient(open(AGB_PROXY, pings));
      const call = client.watchSync(WatchSyncRequest.create(bySession(sessionId)), within(wanted.deadline_ms));
      await first(call.responses);
      await control("POST", "/freeze");
      try {
        const start = performance.now();
        await refused("UNAVAILABLE", drain(call.responses));
        assert.ok(performance.now() - start < wanted.noticed_within_ms);
      } finally {
        await control("POST", "/thaw");
      }
    });
  },

  async compression(wanted) {
    const data = Buffer.alloc(wanted.bytes);
    await withContext(async ({ contextId }) => {
      const gzip = { "grpc.default_compression_algorithm": compressionAlgorithms.gzip };
      const client = new ContextServiceClient(open(AGB_PROXY, gzip));
      const before = await control("GET", "/traffic");
      await upload(client, contextId, data, 262144);
      await download(client, contextId, data);
      for (const [way, bytes] of Object.entries<number>(await control("GET", "/traffic"))) {
        assert.ok(bytes - before[way] < wanted.most_bytes_on_the_wire, `${way}: ${bytes - before[way]}`);
      }
    });
  },

  async large_messages(wanted) {
    const paths = Array.from({ length: wanted.paths }, (_, number) =>
      `/tmp/mapping/${String(number).padStart(4, "0")}/`.padEnd(wanted.path_bytes, "a"));
    const client = new MappingPolicyServiceClient(open(AGB_TARGET, { "grpc.max_receive_message_length": 16 << 20 }));
    const request = ResolveMappingRequest.create({ originalPath: "/tmp/mapping", targetPath: "/home/data", paths });
    const answer = await client.resolveMapping(request, minute).response;
    assert.ok(ResolveMappingResponse.toBinary(answer).length > 4 << 20);
    assert.deepEqual(answer.resolvedPaths.map((path) => path.targetPath), paths.map((path) => path.replace("/tmp/mapping", "/home/data")));
    const error = await refused("RESOURCE_EXHAUSTED", client.resolveMapping({ ...request, paths: [...paths, ...paths] }, minute));
    assert.equal(details(error).info?.reason, "MESSAGE_TOO_LONG");
    assert.ok(decodeURIComponent(error.message).includes(wanted.setting), error.message);
  },

  async reconnect() {
    await startSync(async (token) => {
      await control("POST", "/restart?gateway=a");
      await wait(token, whenReady);
    });
  },

  async balancing(wanted) {
    const config = { ...serviceConfig, loadBalancingConfig: [{ round_robin: {} }] };
    const client = new SyncPolicyServiceClient(open(`ipv4:${AGB_REPLICAS}`, {}, process.env.AGB_TOKEN, config));
    const ask = async (calls: number) => {
      const answers: Record<string, number> = { a: 0, b: 0 };
      for (let call = 0; call < calls; call++) {
        const { preset } = await client.getSyncPolicy(GetSyncPolicyRequest.create({ name: "replica" }), whenReady).response;
        answers[preset!.description]++;
      }
      return answers;
    };
    // Balanced over those that are connected: wait until both are.
    const start = performance.now();
    for (let answers = await ask(4); !answers.a || !answers.b; answers = await ask(4)) {
      assert.ok(performance.now() - start < 20_000, "only one replica is ever asked");
    }
    const answers = await ask(wanted.calls);
    assert.ok(Math.min(answers.a, answers.b) >= wanted.least_for_each, JSON.stringify(answers));
    await control("POST", "/stop?gateway=b");
    try {
      assert.deepEqual(await ask(wanted.calls), { a: wanted.calls, b: 0 });
    } finally {
      await control("POST", "/start?gateway=b");
    }
  },
};
