// Package connect is how a service in Go reaches the gateway: TLS, a token, the published service config, and what else it needs.
package connect

import (
	"context"
	"os"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
)

// Token is a bearer token that goes along with each call, and only over TLS.
type Token string

// GetRequestMetadata makes it call credentials.
func (token Token) GetRequestMetadata(context.Context, ...string) (map[string]string, error) {
	return map[string]string{"authorization": "Bearer " + string(token)}, nil
}

// RequireTransportSecurity keeps it secret.
func (Token) RequireTransportSecurity() bool { return true }

// ServiceConfig is the one that the gateway publishes.
func ServiceConfig() (string, error) {
	config, err := os.ReadFile(os.Getenv("AGB_SERVICE_CONFIG"))
	return string(config), err
}

// Dial makes a channel to a target, of which further options may change what they like.
func Dial(target, token string, options ...grpc.DialOption) (*grpc.ClientConn, error) {
	config, err := ServiceConfig()
	if err != nil {
		return nil, err
	}
	tls, err := credentials.NewClientTLSFromFile(os.Getenv("AGB_CA_FILE"), "localhost")
	if err != nil {
		return nil, err
	}
	all := []grpc.DialOption{grpc.WithTransportCredentials(tls), grpc.WithDefaultServiceConfig(config), grpc.WithNoProxy()}
	if token != "" {
		all = append(all, grpc.WithPerRPCCredentials(Token(token)))
	}
	return grpc.NewClient(target, append(all, options...)...)
}
