package agb.clients;

import static agb.clients.World.check;
import static agb.clients.World.detail;
import static agb.clients.World.ready;
import static agb.clients.World.refused;

import agb.gateway.v1.ContextServiceGrpc;
import agb.gateway.v1.ContextSync;
import agb.gateway.v1.CreateSessionRequest;
import agb.gateway.v1.DownloadContextFileRequest;
import agb.gateway.v1.DownloadContextFileResponse;
import agb.gateway.v1.ExecuteCommandRequest;
import agb.gateway.v1.GetContextRequest;
import agb.gateway.v1.GetSessionRequest;
import agb.gateway.v1.GetSyncPolicyRequest;
import agb.gateway.v1.ListContextsRequest;
import agb.gateway.v1.MappingPolicyServiceGrpc;
import agb.gateway.v1.ResolveMappingRequest;
import agb.gateway.v1.SyncContextsRequest;
import agb.gateway.v1.SyncPolicyServiceGrpc;
import agb.gateway.v1.SyncServiceGrpc;
import agb.gateway.v1.SyncState;
import agb.gateway.v1.SyncStatus;
import agb.gateway.v1.UploadContextFileHeader;
import agb.gateway.v1.UploadContextFileRequest;
import agb.gateway.v1.UploadContextFileResponse;
import agb.gateway.v1.WaitForSyncRequest;
import agb.gateway.v1.WatchSyncEvent;
import agb.gateway.v1.WatchSyncRequest;
import agb.gateway.v1.WatchSyncResponse;
import com.google.gson.JsonObject;
import com.google.protobuf.ByteString;
import com.google.rpc.BadRequest;
import com.google.rpc.ErrorInfo;
import com.google.rpc.ResourceInfo;
import io.grpc.Channel;
import io.grpc.Context;
import io.grpc.NameResolverRegistry;
import io.grpc.Status;
import io.grpc.stub.StreamObserver;
import java.security.MessageDigest;
import java.time.Duration;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.Iterator;
import java.util.List;
import java.util.Map;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.TimeUnit;

/** The cases of contract.yaml. */
final class Cases {
  /** One case, with what contract.yaml says of it. */
  interface Case {
    void run(JsonObject wanted) throws Exception;
  }

  private final World world;

  Cases(World world) {
    this.world = world;
  }

  Map<String, Case> byName() {
    var cases = new HashMap<String, Case>();
    cases.put("unary", this::unary);
    cases.put("client_streaming", this::clientStreaming);
    cases.put("server_streaming", this::serverStreaming);
    cases.put("watch_sync", this::watchSync);
    cases.put("deadline", this::deadline);
    cases.put("cancellation", this::cancellation);
    cases.put("auth", this::auth);
    cases.put("error_details", this::errorDetails);
    cases.put("retries", this::retries);
    cases.put("no_blind_retries", this::noBlindRetries);
    cases.put("keepalive", this::keepalive);
    cases.put("compression", this::compression);
    cases.put("large_messages", this::largeMessages);
    cases.put("reconnect", this::reconnect);
    cases.put("balancing", this::balancing);
    return cases;
  }

  private void unary(JsonObject wanted) throws Exception {
    var id = new String[1];
    world.withContext(made -> {
      id[0] = made.getContextId();
      var found = world.contexts().getContext(GetContextRequest.newBuilder().setName(made.getName()).build()).getContext();
      check(found.getContextId().equals(id[0]), found);
      check(Math.abs(found.getCreateTime().getSeconds() - System.currentTimeMillis() / 1000) < 3600, found);
    });
    refused(Status.Code.NOT_FOUND, () -> world.contexts().getContext(GetContextRequest.newBuilder().setContextId(id[0]).build()));
  }

  private static ByteString content(int length) {
    var data = new byte[length];
    for (int index = 0; index < length; index++) {
      data[index] = (byte) (index % 251);
    }
    return ByteString.copyFrom(data);
  }

  private static ByteString sha256(ByteString data) throws Exception {
    return ByteString.copyFrom(MessageDigest.getInstance("SHA-256").digest(data.toByteArray()));
  }

  private static void upload(ContextServiceGrpc.ContextServiceStub stub, String id, ByteString data, int piece) throws Exception {
    var written = new CompletableFuture<UploadContextFileResponse>();
    var sink = stub.uploadContextFile(new StreamObserver<>() {
      @Override
      public void onNext(UploadContextFileResponse answer) {
        written.complete(answer);
      }

      @Override
      public void onError(Throwable error) {
        written.completeExceptionally(error);
      }

      @Override
      public void onCompleted() {
        written.completeExceptionally(new AssertionError("it ended without an answer"));
      }
    });
    var header = UploadContextFileHeader.newBuilder().setContextId(id).setPath("/tmp/file").setSizeBytes(data.size());
    sink.onNext(UploadContextFileRequest.newBuilder().setHeader(header).build());
    for (int start = 0; start < data.size(); start += piece) {
      var part = data.substring(start, Math.min(start + piece, data.size()));
      sink.onNext(UploadContextFileRequest.newBuilder().setData(part).build());
    }
    sink.onCompleted();
    try {
      var answer = written.get(1, TimeUnit.MINUTES);
      check(answer.getSizeBytes() == data.size() && answer.getSha256().equals(sha256(data)), answer);
    } catch (ExecutionException failed) {
      throw new AssertionError(failed.getCause());
    }
  }

  private static void download(ContextServiceGrpc.ContextServiceBlockingStub stub, String id, ByteString data) throws Exception {
    var request = DownloadContextFileRequest.newBuilder().setContextId(id).setPath("/tmp/file").build();
    List<DownloadContextFileResponse> parts = all(stub.downloadContextFile(request));
    var first = parts.get(0);
    var last = parts.get(parts.size() - 1);
    var got = ByteString.EMPTY;
    for (var part : parts.subList(1, parts.size() - 1)) {
      check(part.hasData(), "not data");
      got = got.concat(part.getData());
    }
    check(first.hasHeader() && first.getHeader().getSizeBytes() == data.size(), "another header");
    check(got.equals(data), "other bytes came than were sent");
    check(last.hasTrailer() && last.getTrailer().getSizeBytes() == data.size(), "another trailer");
    check(last.getTrailer().getSha256().equals(sha256(data)), "another SHA-256");
  }

  private static <T> List<T> all(Iterator<T> stream) {
    var messages = new ArrayList<T>();
    stream.forEachRemaining(messages::add);
    return messages;
  }

  private void clientStreaming(JsonObject wanted) throws Exception {
    var stub = ready(ContextServiceGrpc.newStub(world.channel));
    var data = content(wanted.get("bytes").getAsInt());
    world.withContext(made -> upload(stub, made.getContextId(), data, wanted.get("piece_bytes").getAsInt()));
  }

  private void serverStreaming(JsonObject wanted) throws Exception {
    var stub = ready(ContextServiceGrpc.newStub(world.channel));
    var data = content(wanted.get("bytes").getAsInt());
    world.withContext(made -> {
      upload(stub, made.getContextId(), data, wanted.get("piece_bytes").getAsInt());
      download(world.contexts(), made.getContextId(), data);
    });
  }

  /** Starts a sync of a new context in a new session, and gives its token. */
  private void startSync(World.Use<String> use) throws Exception {
    world.withContext(made -> {
      var mount = ContextSync.newBuilder().setContextId(made.getContextId()).setPath("/tmp/mapping").build();
      world.withSession(List.of(mount), id -> {
        var request = SyncContextsRequest.newBuilder().setSessionId(id).setReturnImmediately(true).build();
        use.with(world.syncs().syncContexts(request).getStatus().getSyncToken());
      });
    });
  }

  private static void await(SyncServiceGrpc.SyncServiceBlockingStub stub, String token) {
    var waited = stub.waitForSync(WaitForSyncRequest.newBuilder().setSyncToken(token).build());
    check(waited.getStatus().getState() == SyncState.SYNC_STATE_SUCCEEDED, waited);
  }

  private void watchSync(JsonObject wanted) throws Exception {
    startSync(token -> {
      var events = all(world.syncs().watchSync(WatchSyncRequest.newBuilder().setSyncToken(token).build()));
      var last = events.get(events.size() - 1);
      check(events.get(0).getEvent() == WatchSyncEvent.WATCH_SYNC_EVENT_SNAPSHOT, events);
      check(last.getEvent() == WatchSyncEvent.WATCH_SYNC_EVENT_VERDICT, events);
      check(last.getStatus().getState() == SyncState.SYNC_STATE_SUCCEEDED, events);
      await(world.syncs(), token);
    });
  }

  private void deadline(JsonObject wanted) throws Exception {
    var limit = wanted.get("deadline_ms").getAsInt();
    world.withSession(List.of(), id -> {
      var start = System.nanoTime();
      var stub = world.syncs().withDeadlineAfter(limit, TimeUnit.MILLISECONDS);
      var request = WaitForSyncRequest.newBuilder().setSessionId(id).build();
      var error = refused(Status.Code.DEADLINE_EXCEEDED, () -> stub.waitForSync(request));
      check(System.nanoTime() - start < Duration.ofMillis(limit + 500).toNanos(), "it took too long");
      check(detail(error, ErrorInfo.class).getReason().equals("DEADLINE_EXCEEDED"), error);
      detail(error, SyncStatus.class);
    });
  }

  /** Watches a session without contexts, which ends only by the deadline, and reads the first message. */
  private static Iterator<WatchSyncResponse> watch(SyncServiceGrpc.SyncServiceBlockingStub stub, String id) {
    var stream = stub.watchSync(WatchSyncRequest.newBuilder().setSessionId(id).build());
    check(stream.next().getEvent() == WatchSyncEvent.WATCH_SYNC_EVENT_SNAPSHOT, "no snapshot");
    return stream;
  }

  private void cancellation(JsonObject wanted) throws Exception {
    world.withSession(List.of(), id -> {
      try (var context = Context.current().withCancellation()) {
        var stream = context.call(() -> watch(world.syncs(), id));
        context.cancel(null);
        refused(Status.Code.CANCELLED, () -> all(stream));
      }
      world.control("POST", "/quiet?operation=GetContextInfo", null);
    });
  }

  private void auth(JsonObject wanted) throws Exception {
    var request = ListContextsRequest.getDefaultInstance();
    var nobody = ContextServiceGrpc.newBlockingStub(world.channel).withDeadlineAfter(1, TimeUnit.MINUTES);
    for (var stub : List.of(nobody, nobody.withCallCredentials(new Connect.Token("agbgw_wrong")))) {
      var error = refused(Status.Code.UNAUTHENTICATED, () -> stub.listContexts(request));
      check(detail(error, ErrorInfo.class).getReason().equals("UNAUTHENTICATED"), error);
    }
    world.contexts().listContexts(request);
  }

  private void errorDetails(JsonObject wanted) throws Exception {
    var mount = ContextSync.newBuilder().setContextId("c").setPath("/opt");
    var request = CreateSessionRequest.newBuilder().addContextSyncs(mount).build();
    var error = refused(Status.Code.INVALID_ARGUMENT, () -> world.sessions().createSession(request));
    var info = detail(error, ErrorInfo.class);
    check(info.getDomain().equals(wanted.get("domain").getAsString()) && info.getReason().equals("INVALID_ARGUMENT"), info);
    var fields = detail(error, BadRequest.class).getFieldViolationsList().stream().map(BadRequest.FieldViolation::getField).toList();
    var expected = wanted.getAsJsonArray("fields").asList().stream().map(field -> field.getAsString()).toList();
    check(fields.equals(expected), fields);

    var nobody = GetSessionRequest.newBuilder().setSessionId("session-of-nobody").build();
    error = refused(Status.Code.NOT_FOUND, () -> world.sessions().getSession(nobody));
    check(detail(error, ErrorInfo.class).getReason().equals("SESSION_NOT_FOUND"), error);
    check(detail(error, ResourceInfo.class).getResourceName().equals("session-of-nobody"), error);
  }

  private void retries(JsonObject wanted) throws Exception {
    var failures = wanted.get("failures").getAsInt();
    var before = world.count("ListContexts");
    var fault = "{\"operation\": \"ListContexts\", \"times\": %d, \"action\": {\"respond\": {\"status\": 503}}}";
    world.control("POST", "/faults", fault.formatted(failures));
    world.contexts().listContexts(ListContextsRequest.getDefaultInstance());
    var asked = world.count("ListContexts") - before;
    check(asked == failures + 1, "AGB was asked " + asked + " times");
  }

  private void noBlindRetries(JsonObject wanted) throws Exception {
    world.withSession(List.of(), id -> {
      var before = world.count("callTool");
      world.control("POST", "/faults", "{\"operation\": \"callTool\", \"times\": 1, \"action\": \"closeAfterWork\"}");
      var request = ExecuteCommandRequest.newBuilder().setSessionId(id).setCommand("true").build();
      var error = refused(Status.Code.UNKNOWN, () -> world.sessions().executeCommand(request));
      check(detail(error, ErrorInfo.class).getReason().equals("AGB_OUTCOME_UNKNOWN"), error);
      var asked = world.count("callTool") - before;
      check(asked == 1, "AGB was asked " + asked + " times");
    });
  }

  private void keepalive(JsonObject wanted) throws Exception {
    var channel = world.open(Connect.to(World.PROXY)
        .keepAliveTime(wanted.get("interval_ms").getAsInt(), TimeUnit.MILLISECONDS)
        .keepAliveTimeout(wanted.get("timeout_ms").getAsInt(), TimeUnit.MILLISECONDS));
    world.withSession(List.of(), id -> {
      var stub = ready(SyncServiceGrpc.newBlockingStub(channel));
      var stream = watch(stub.withDeadlineAfter(wanted.get("deadline_ms").getAsInt(), TimeUnit.MILLISECONDS), id);
      world.control("POST", "/freeze", null);
      try {
        var start = System.nanoTime();
        refused(Status.Code.UNAVAILABLE, () -> all(stream));
        var limit = Duration.ofMillis(wanted.get("noticed_within_ms").getAsInt());
        check(System.nanoTime() - start < limit.toNanos(), "it took too long");
      } finally {
        world.control("POST", "/thaw", null);
      }
    });
  }

  private void compression(JsonObject wanted) throws Exception {
    var data = ByteString.copyFrom(new byte[wanted.get("bytes").getAsInt()]);
    Channel channel = world.open(Connect.to(World.PROXY));
    world.withContext(made -> {
      var before = world.control("GET", "/traffic", null);
      upload(ready(ContextServiceGrpc.newStub(channel)).withCompression("gzip"), made.getContextId(), data, 262144);
      download(ready(ContextServiceGrpc.newBlockingStub(channel)).withCompression("gzip"), made.getContextId(), data);
      for (var way : world.control("GET", "/traffic", null).entrySet()) {
        var bytes = way.getValue().getAsInt() - before.get(way.getKey()).getAsInt();
        check(bytes < wanted.get("most_bytes_on_the_wire").getAsInt(), way.getKey() + ": " + bytes);
      }
    });
  }

  private void largeMessages(JsonObject wanted) throws Exception {
    var request = ResolveMappingRequest.newBuilder().setOriginalPath("/tmp/mapping").setTargetPath("/home/data");
    for (int number = 0; number < wanted.get("paths").getAsInt(); number++) {
      var path = "/tmp/mapping/%04d/".formatted(number);
      request.addPaths(path + "a".repeat(wanted.get("path_bytes").getAsInt() - path.length()));
    }
    var stub = ready(MappingPolicyServiceGrpc.newBlockingStub(world.open(Connect.to(World.TARGET).maxInboundMessageSize(16 << 20))));
    var answer = stub.resolveMapping(request.build());
    check(answer.getSerializedSize() > 4 << 20, answer.getSerializedSize());
    for (int number = 0; number < request.getPathsCount(); number++) {
      var expected = request.getPaths(number).replace("/tmp/mapping", "/home/data");
      check(answer.getResolvedPaths(number).getTargetPath().equals(expected), number);
    }
    var longer = request.addAllPaths(List.copyOf(request.getPathsList())).build();
    var error = refused(Status.Code.RESOURCE_EXHAUSTED, () -> stub.resolveMapping(longer));
    check(detail(error, ErrorInfo.class).getReason().equals("MESSAGE_TOO_LONG"), error);
    check(error.getMessage().contains(wanted.get("setting").getAsString()), error);
  }

  private void reconnect(JsonObject wanted) throws Exception {
    startSync(token -> {
      world.control("POST", "/restart?gateway=a", null);
      await(world.syncs().withWaitForReady(), token);
    });
  }

  private void balancing(JsonObject wanted) throws Exception {
    NameResolverRegistry.getDefaultRegistry().register(new Replicas(World.REPLICAS));
    var config = Connect.serviceConfig();
    config.put("loadBalancingConfig", List.of(Map.of("round_robin", Map.of())));
    var channel = world.open(Connect.to("replicas:///gateway").defaultServiceConfig(config));
    var calls = wanted.get("calls").getAsInt();
    // Balanced over those that are connected: wait until both are.
    var start = System.nanoTime();
    while (answers(channel, 4).size() < 2) {
      check(System.nanoTime() - start < Duration.ofSeconds(20).toNanos(), "only one replica is ever asked");
    }
    var answers = answers(channel, calls);
    for (var name : List.of("a", "b")) {
      check(answers.getOrDefault(name, 0) >= wanted.get("least_for_each").getAsInt(), answers);
    }
    world.control("POST", "/stop?gateway=b", null);
    try {
      answers = answers(channel, calls);
      check(answers.equals(Map.of("a", calls)), answers);
    } finally {
      world.control("POST", "/start?gateway=b", null);
    }
  }

  /** How many of so many calls each replica has answered. */
  private static Map<String, Integer> answers(Channel channel, int calls) {
    var stub = ready(SyncPolicyServiceGrpc.newBlockingStub(channel)).withWaitForReady();
    var answers = new HashMap<String, Integer>();
    for (int call = 0; call < calls; call++) {
      var preset = stub.getSyncPolicy(GetSyncPolicyRequest.newBuilder().setName("replica").build()).getPreset();
      answers.merge(preset.getDescription(), 1, Integer::sum);
    }
    return answers;
  }
}
