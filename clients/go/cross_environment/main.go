// Data of a browser session, found in a code session at another path. Argument: the gateway's address.
package main

import (
	"context"
	"fmt"
	"log"
	"os"

	"agb-gateway/clients/agbpb"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
)

func main() {
	conn := must(grpc.NewClient(append(os.Args, "127.0.0.1:50051")[1], grpc.WithTransportCredentials(insecure.NewCredentials())))
	contexts, sessions, syncs := agbpb.NewContextServiceClient(conn), agbpb.NewSessionServiceClient(conn), agbpb.NewSyncServiceClient(conn)
	ctx, named := context.Background(), &agbpb.CreateContextRequest{Context: &agbpb.Context{Name: "cross-platform-context"}}
	id := must(contexts.CreateContext(ctx, named)).Context.ContextId
	mount := []*agbpb.ContextSync{{ContextId: id, Path: "/tmp/mapping"}}
	first := &agbpb.CreateSessionRequest{ImageId: "agb-browser-use-1", ContextSyncs: mount}
	browser := must(sessions.CreateSession(ctx, first)).Session.SessionId
	write := "echo 'This file was created in the first session' > /tmp/mapping/test-file.txt"
	must(sessions.ExecuteCommand(ctx, &agbpb.ExecuteCommandRequest{SessionId: browser, Command: write}))
	must(syncs.SyncContexts(ctx, &agbpb.SyncContextsRequest{SessionId: browser}))
	// Synced: what follows is another session, which sees the data at another path.
	must(sessions.DeleteSession(ctx, &agbpb.DeleteSessionRequest{SessionId: browser}))
	policy := &agbpb.SyncPolicy{MappingPolicy: &agbpb.MappingPolicy{Path: "/tmp/mapping"}}
	mount = []*agbpb.ContextSync{{ContextId: id, Path: "/home/data", Policy: policy}}
	second := &agbpb.CreateSessionRequest{ImageId: "agb-code-space-1", ContextSyncs: mount}
	code := must(sessions.CreateSession(ctx, second)).Session.SessionId
	read := &agbpb.ExecuteCommandRequest{SessionId: code, Command: "cat /home/data/test-file.txt"}
	fmt.Print(must(sessions.ExecuteCommand(ctx, read)).Stdout)
	must(sessions.DeleteSession(ctx, &agbpb.DeleteSessionRequest{SessionId: code}))
	must(contexts.DeleteContext(ctx, &agbpb.DeleteContextRequest{ContextId: id}))
}

func must[T any](value T, err error) T {
	if err != nil {
		log.Fatal(err)
	}
	return value
}
