package agb.clients;

import io.grpc.EquivalentAddressGroup;
import io.grpc.NameResolver;
import io.grpc.NameResolverProvider;
import io.grpc.StatusOr;
import java.net.InetSocketAddress;
import java.net.URI;
import java.util.Arrays;
import java.util.List;

/** Resolves `replicas:///gateway` to fixed addresses, as DNS does for the name of a headless service. */
final class Replicas extends NameResolverProvider {
  private final List<EquivalentAddressGroup> addresses;

  Replicas(String addresses) {
    this.addresses = Arrays.stream(addresses.split(",")).map(Replicas::address).toList();
  }

  private static EquivalentAddressGroup address(String text) {
    var colon = text.lastIndexOf(':');
    return new EquivalentAddressGroup(new InetSocketAddress(text.substring(0, colon), Integer.parseInt(text.substring(colon + 1))));
  }

  @Override
  public NameResolver newNameResolver(URI target, NameResolver.Args args) {
    return new NameResolver() {
      @Override
      public String getServiceAuthority() {
        return "localhost";
      }

      @Override
      public void start(Listener2 listener) {
        listener.onResult(ResolutionResult.newBuilder().setAddressesOrError(StatusOr.fromValue(addresses)).build());
      }

      @Override
      public void shutdown() {}
    };
  }

  @Override
  public String getDefaultScheme() {
    return "replicas";
  }

  @Override
  protected boolean isAvailable() {
    return true;
  }

  @Override
  protected int priority() {
    return 5;
  }
}
