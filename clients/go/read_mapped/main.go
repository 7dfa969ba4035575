// A link of the chain: shows a context of another language at another path in a session, checks the mapping, and reads a file.
// Arguments: the gateway's address, the context, the traceparent. Prints the session's id.
package main

import (
	"context"
	"fmt"
	"log"
	"os"
	"time"

	"agb-gateway/clients/agbpb"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/metadata"
)

func main() {
	if err := run(os.Args[1], os.Args[2], os.Args[3]); err != nil {
		log.Fatal(err)
	}
}

func run(address, contextID, traceparent string) error {
	conn, err := grpc.NewClient(address, grpc.WithTransportCredentials(insecure.NewCredentials()), grpc.WithNoProxy())
	if err != nil {
		return err
	}
	defer conn.Close()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	ctx = metadata.AppendToOutgoingContext(ctx, "traceparent", traceparent)
	sessions := agbpb.NewSessionServiceClient(conn)
	created, err := sessions.CreateSession(ctx, &agbpb.CreateSessionRequest{
		ImageId: "agb-code-space-1",
		ContextSyncs: []*agbpb.ContextSync{{
			ContextId: contextID,
			Path:      "/home/data",
			Policy:    &agbpb.SyncPolicy{MappingPolicy: &agbpb.MappingPolicy{Path: "/tmp/mapping"}},
		}},
	})
	if err != nil {
		return err
	}
	id := created.Session.SessionId
	verified, err := agbpb.NewMappingPolicyServiceClient(conn).VerifyMapping(ctx, &agbpb.VerifyMappingRequest{
		SessionId: id, ContextId: contextID, OriginalPath: "/tmp/mapping", TargetPath: "/home/data",
	})
	if err != nil {
		return err
	}
	read, err := sessions.ExecuteCommand(ctx, &agbpb.ExecuteCommandRequest{SessionId: id, Command: "cat /home/data/chain.txt"})
	if err != nil {
		return err
	}
	if !verified.Verified || read.Stdout != "filled by Python\n" {
		return fmt.Errorf("found %v and %v", verified, read)
	}
	// Something to watch: a new file, for the next link's sync.
	_, err = sessions.ExecuteCommand(ctx, &agbpb.ExecuteCommandRequest{SessionId: id, Command: "echo read by Go > /home/data/read.txt"})
	if err != nil {
		return err
	}
	fmt.Println(id)
	return nil
}
