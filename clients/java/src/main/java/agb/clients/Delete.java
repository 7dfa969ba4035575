package agb.clients;

import agb.gateway.v1.ContextServiceGrpc;
import agb.gateway.v1.DeleteContextRequest;
import agb.gateway.v1.DeleteSessionRequest;
import agb.gateway.v1.GetContextRequest;
import agb.gateway.v1.SessionServiceGrpc;
import io.grpc.Grpc;
import io.grpc.InsecureChannelCredentials;
import io.grpc.Metadata;
import io.grpc.Status;
import io.grpc.StatusRuntimeException;
import io.grpc.stub.MetadataUtils;
import java.util.concurrent.TimeUnit;

/** A link of the chain: deletes a session and a context of others. Arguments: address, session, context, traceparent. */
public final class Delete {
  private Delete() {}

  public static void main(String[] args) {
    var headers = new Metadata();
    headers.put(Metadata.Key.of("traceparent", Metadata.ASCII_STRING_MARSHALLER), args[3]);
    var channel = Grpc.newChannelBuilder(args[0], InsecureChannelCredentials.create())
        .intercept(MetadataUtils.newAttachHeadersInterceptor(headers))
        .build();
    try {
      var sessions = SessionServiceGrpc.newBlockingStub(channel).withDeadlineAfter(1, TimeUnit.MINUTES);
      sessions.deleteSession(DeleteSessionRequest.newBuilder().setSessionId(args[1]).build());
      var contexts = ContextServiceGrpc.newBlockingStub(channel).withDeadlineAfter(1, TimeUnit.MINUTES);
      contexts.deleteContext(DeleteContextRequest.newBuilder().setContextId(args[2]).build());
      try {
        contexts.getContext(GetContextRequest.newBuilder().setContextId(args[2]).build());
        throw new AssertionError("the context is still there");
      } catch (StatusRuntimeException gone) {
        if (gone.getStatus().getCode() != Status.Code.NOT_FOUND) {
          throw gone;
        }
      }
    } finally {
      channel.shutdownNow();
    }
  }
}
