package agb.clients;

import agb.gateway.v1.*;
import io.grpc.Grpc;
import io.grpc.InsecureChannelCredentials;

/** Data of a browser session, found in a code session at another path. Argument: the gateway's address. */
public final class CrossEnvironment {
  private CrossEnvironment() {}

  public static void main(String[] args) {
    var channel = Grpc.newChannelBuilder(args.length > 0 ? args[0] : "127.0.0.1:50051", InsecureChannelCredentials.create()).build();
    var sessions = SessionServiceGrpc.newBlockingStub(channel);
    var named = CreateContextRequest.newBuilder().setContext(Context.newBuilder().setName("cross-platform-context")).build();
    var id = ContextServiceGrpc.newBlockingStub(channel).createContext(named).getContext().getContextId();
    var mount = ContextSync.newBuilder().setContextId(id).setPath("/tmp/mapping");
    var session = CreateSessionRequest.newBuilder().setImageId("agb-browser-use-1").addContextSyncs(mount).build();
    var browser = sessions.createSession(session).getSession().getSessionId();
    var write = "echo 'This file was created in the first session' > /tmp/mapping/test-file.txt";
    sessions.executeCommand(ExecuteCommandRequest.newBuilder().setSessionId(browser).setCommand(write).build());
    SyncServiceGrpc.newBlockingStub(channel).syncContexts(SyncContextsRequest.newBuilder().setSessionId(browser).build());
    // Synced: what follows is another session, which sees the data at another path.
    sessions.deleteSession(DeleteSessionRequest.newBuilder().setSessionId(browser).build());
    var policy = SyncPolicy.newBuilder().setMappingPolicy(MappingPolicy.newBuilder().setPath("/tmp/mapping"));
    var mapped = mount.setPath("/home/data").setPolicy(policy);
    var second = CreateSessionRequest.newBuilder().setImageId("agb-code-space-1").addContextSyncs(mapped).build();
    var code = sessions.createSession(second).getSession().getSessionId();
    var read = ExecuteCommandRequest.newBuilder().setSessionId(code).setCommand("cat /home/data/test-file.txt");
    System.out.print(sessions.executeCommand(read.build()).getStdout());
    sessions.deleteSession(DeleteSessionRequest.newBuilder().setSessionId(code).build());
    ContextServiceGrpc.newBlockingStub(channel).deleteContext(DeleteContextRequest.newBuilder().setContextId(id).build());
    channel.shutdownNow();
  }
}
