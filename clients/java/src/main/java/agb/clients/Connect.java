package agb.clients;

import com.google.gson.Gson;
import com.google.gson.reflect.TypeToken;
import io.grpc.CallCredentials;
import io.grpc.ClientInterceptor;
import io.grpc.Grpc;
import io.grpc.ManagedChannelBuilder;
import io.grpc.Metadata;
import io.grpc.TlsChannelCredentials;
import io.grpc.stub.MetadataUtils;
import java.io.File;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Map;
import java.util.concurrent.Executor;

/** How a service in Java reaches the gateway: TLS, a token, and the published service config. */
final class Connect {
  private static final Metadata.Key<String> AUTHORIZATION = Metadata.Key.of("authorization", Metadata.ASCII_STRING_MARSHALLER);
  private static final Metadata.Key<String> TRACEPARENT = Metadata.Key.of("traceparent", Metadata.ASCII_STRING_MARSHALLER);

  private Connect() {}

  /** A channel to a target, for the caller to build on. */
  static ManagedChannelBuilder<?> to(String target) {
    try {
      var tls = TlsChannelCredentials.newBuilder().trustManager(new File(System.getenv("AGB_CA_FILE"))).build();
      return Grpc.newChannelBuilder(target, tls)
          .overrideAuthority("localhost")
          .proxyDetector(address -> null)
          .defaultServiceConfig(serviceConfig());
    } catch (IOException error) {
      throw new UncheckedIOException(error);
    }
  }

  static Map<String, Object> serviceConfig() {
    try {
      var text = Files.readString(Path.of(System.getenv("AGB_SERVICE_CONFIG")));
      return new Gson().fromJson(text, new TypeToken<Map<String, Object>>() {}.getType());
    } catch (IOException error) {
      throw new UncheckedIOException(error);
    }
  }

  static ClientInterceptor trace(String traceparent) {
    var headers = new Metadata();
    headers.put(TRACEPARENT, traceparent);
    return MetadataUtils.newAttachHeadersInterceptor(headers);
  }

  /** A bearer token that goes along with each call. */
  static final class Token extends CallCredentials {
    private final String token;

    Token(String token) {
      this.token = token;
    }

    @Override
    public void applyRequestMetadata(RequestInfo request, Executor executor, MetadataApplier applier) {
      var headers = new Metadata();
      headers.put(AUTHORIZATION, "Bearer " + token);
      applier.apply(headers);
    }
  }
}
