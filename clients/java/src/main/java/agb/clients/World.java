package agb.clients;

import agb.gateway.v1.Context;
import agb.gateway.v1.ContextServiceGrpc;
import agb.gateway.v1.ContextSync;
import agb.gateway.v1.CreateContextRequest;
import agb.gateway.v1.CreateSessionRequest;
import agb.gateway.v1.DeleteContextRequest;
import agb.gateway.v1.DeleteSessionRequest;
import agb.gateway.v1.SessionServiceGrpc;
import agb.gateway.v1.SyncServiceGrpc;
import com.google.gson.JsonObject;
import com.google.gson.JsonParser;
import com.google.protobuf.Any;
import com.google.protobuf.Message;
import io.grpc.ManagedChannel;
import io.grpc.ManagedChannelBuilder;
import io.grpc.Status;
import io.grpc.StatusRuntimeException;
import io.grpc.protobuf.StatusProto;
import io.grpc.stub.AbstractStub;
import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpResponse;
import java.util.ArrayList;
import java.util.HexFormat;
import java.util.List;
import java.util.Random;
import java.util.concurrent.TimeUnit;

/** What the cases share: channels, contexts and sessions for a while, and the harness. */
final class World implements AutoCloseable {
  /** What may throw. */
  interface Use<T> {
    void with(T value) throws Exception;
  }

  static final String TARGET = System.getenv("AGB_TARGET");
  static final String PROXY = System.getenv("AGB_PROXY");
  static final String REPLICAS = System.getenv("AGB_REPLICAS");
  private static final Random RANDOM = new Random();

  private final HttpClient http = HttpClient.newHttpClient();
  private final List<ManagedChannel> channels = new ArrayList<>();
  private final String traceparent = "00-" + hex(16) + "-" + hex(8) + "-01";
  final ManagedChannel channel = open(Connect.to(TARGET));

  static String hex(int length) {
    var bytes = new byte[length];
    RANDOM.nextBytes(bytes);
    return HexFormat.of().formatHex(bytes);
  }

  /** A channel that lives as long as the suite. */
  ManagedChannel open(ManagedChannelBuilder<?> builder) {
    var made = builder.intercept(Connect.trace(traceparent)).build();
    channels.add(made);
    return made;
  }

  /** The stub of a caller who is known and has a minute. */
  static <S extends AbstractStub<S>> S ready(S stub) {
    return stub.withCallCredentials(new Connect.Token(System.getenv("AGB_TOKEN"))).withDeadlineAfter(1, TimeUnit.MINUTES);
  }

  ContextServiceGrpc.ContextServiceBlockingStub contexts() {
    return ready(ContextServiceGrpc.newBlockingStub(channel));
  }

  SessionServiceGrpc.SessionServiceBlockingStub sessions() {
    return ready(SessionServiceGrpc.newBlockingStub(channel));
  }

  SyncServiceGrpc.SyncServiceBlockingStub syncs() {
    return ready(SyncServiceGrpc.newBlockingStub(channel));
  }

  /** Asks the harness for what no gRPC call can do. */
  JsonObject control(String method, String path, String body) throws Exception {
    var publisher = body == null ? HttpRequest.BodyPublishers.noBody() : HttpRequest.BodyPublishers.ofString(body);
    var uri = URI.create(System.getenv("AGB_CONTROL") + path);
    var request = HttpRequest.newBuilder(uri).version(HttpClient.Version.HTTP_1_1).method(method, publisher).build();
    var answer = http.send(request, HttpResponse.BodyHandlers.ofString());
    check(answer.statusCode() == 200, method + " " + path + ": " + answer.body());
    return JsonParser.parseString(answer.body()).getAsJsonObject();
  }

  int count(String operation) throws Exception {
    return control("GET", "/count?operation=" + operation, null).get("count").getAsInt();
  }

  void withContext(Use<Context> use) throws Exception {
    var named = Context.newBuilder().setName("java-" + hex(8));
    var made = contexts().createContext(CreateContextRequest.newBuilder().setContext(named).build()).getContext();
    use.with(made);
    contexts().deleteContext(DeleteContextRequest.newBuilder().setContextId(made.getContextId()).build());
  }

  void withSession(List<ContextSync> mounts, Use<String> use) throws Exception {
    var request = CreateSessionRequest.newBuilder().setImageId("agb-code-space-1").addAllContextSyncs(mounts);
    var id = sessions().createSession(request.build()).getSession().getSessionId();
    use.with(id);
    sessions().deleteSession(DeleteSessionRequest.newBuilder().setSessionId(id).build());
  }

  static void check(boolean holds, Object told) {
    if (!holds) {
      throw new AssertionError(told);
    }
  }

  /** The error of a call, which must have this code. */
  static StatusRuntimeException refused(Status.Code code, Runnable call) {
    try {
      call.run();
    } catch (StatusRuntimeException error) {
      check(error.getStatus().getCode() == code, code + " expected, got " + error);
      return error;
    }
    throw new AssertionError("it should have been refused with " + code);
  }

  /** The detail of that type in an error. */
  static <T extends Message> T detail(StatusRuntimeException error, Class<T> type) throws Exception {
    var status = StatusProto.fromThrowable(error);
    for (Any detail : status == null ? List.<Any>of() : status.getDetailsList()) {
      if (detail.is(type)) {
        return detail.unpack(type);
      }
    }
    throw new AssertionError("no " + type.getSimpleName() + " among the details of " + error);
  }

  @Override
  public void close() {
    channels.forEach(ManagedChannel::shutdownNow);
  }
}
