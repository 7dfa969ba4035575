package main

import (
	"bytes"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"time"

	"agb-gateway/clients/agbpb"
	"agb-gateway/clients/connect"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/encoding/gzip"
	"google.golang.org/grpc/keepalive"
	"google.golang.org/grpc/resolver"
	"google.golang.org/grpc/resolver/manual"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
)

func unary(contractCase) {
	var id string
	withContext(func(made *agbpb.Context) {
		id = made.ContextId
		selector := &agbpb.GetContextRequest_Name{Name: made.Name}
		found := must(contexts.GetContext(minute(), &agbpb.GetContextRequest{Selector: selector})).Context
		check(found.ContextId == id, "%v", found)
		check(time.Since(found.CreateTime.AsTime()).Abs() < time.Hour, "%v", found.CreateTime)
	})
	_, err := contexts.GetContext(minute(), &agbpb.GetContextRequest{Selector: &agbpb.GetContextRequest_ContextId{ContextId: id}})
	refused(codes.NotFound, err)
}

func content(length int) []byte {
	data := make([]byte, length)
	for index := range data {
		data[index] = byte(index % 251)
	}
	return data
}

func upload(client agbpb.ContextServiceClient, id string, data []byte, piece int) {
	stream := must(client.UploadContextFile(minute()))
	size := int64(len(data))
	header := &agbpb.UploadContextFileHeader{ContextId: id, Path: "/tmp/file", SizeBytes: &size}
	messages := []*agbpb.UploadContextFileRequest{{Payload: &agbpb.UploadContextFileRequest_Header{Header: header}}}
	for part := range slices.Chunk(data, piece) {
		messages = append(messages, &agbpb.UploadContextFileRequest{Payload: &agbpb.UploadContextFileRequest_Data{Data: part}})
	}
	for _, message := range messages {
		// Why a stream was refused, its end tells.
		if err := stream.Send(message); errors.Is(err, io.EOF) {
			break
		} else {
			check(err == nil, "%v", err)
		}
	}
	written := must(stream.CloseAndRecv())
	sum := sha256.Sum256(data)
	check(written.SizeBytes == size && bytes.Equal(written.Sha256, sum[:]), "%v", written)
}

func download(client agbpb.ContextServiceClient, id string, data []byte) {
	stream := must(client.DownloadContextFile(minute(), &agbpb.DownloadContextFileRequest{ContextId: id, Path: "/tmp/file"}))
	parts := all(stream)
	header, last := parts[0].GetHeader(), parts[len(parts)-1].GetTrailer()
	var got []byte
	for _, part := range parts[1 : len(parts)-1] {
		got = append(got, part.GetData()...)
	}
	sum := sha256.Sum256(data)
	check(header.GetSizeBytes() == int64(len(data)), "%v", header)
	check(bytes.Equal(got, data), "%d bytes came, and not those that were sent", len(got))
	check(last.GetSizeBytes() == int64(len(data)) && bytes.Equal(last.GetSha256(), sum[:]), "%v", last)
}

// all reads a stream to its end, which must be good.
func all[T any](stream grpc.ServerStreamingClient[T]) []*T {
	var messages []*T
	for {
		message, err := stream.Recv()
		if errors.Is(err, io.EOF) {
			return messages
		}
		messages = append(messages, must(message, err))
	}
}

func clientStreaming(c contractCase) {
	withContext(func(made *agbpb.Context) { upload(contexts, made.ContextId, content(c.Bytes), c.PieceBytes) })
}

func serverStreaming(c contractCase) {
	data := content(c.Bytes)
	withContext(func(made *agbpb.Context) {
		upload(contexts, made.ContextId, data, c.PieceBytes)
		download(contexts, made.ContextId, data)
	})
}

// startSync starts a sync of a new context in a new session, and gives its token.
func startSync(use func(token string)) {
	withContext(func(made *agbpb.Context) {
		withSession(func(id string) {
			request := &agbpb.SyncContextsRequest{SessionId: id, ReturnImmediately: true}
			use(must(syncs.SyncContexts(minute(), request)).Status.SyncToken)
		}, &agbpb.ContextSync{ContextId: made.ContextId, Path: "/tmp/mapping"})
	})
}

func wait(token string, options ...grpc.CallOption) {
	request := &agbpb.WaitForSyncRequest{Target: &agbpb.WaitForSyncRequest_SyncToken{SyncToken: token}}
	waited := must(syncs.WaitForSync(minute(), request, options...))
	check(waited.Status.State == agbpb.SyncState_SYNC_STATE_SUCCEEDED, "%v", waited)
}

func watchSync(contractCase) {
	startSync(func(token string) {
		request := &agbpb.WatchSyncRequest{Target: &agbpb.WatchSyncRequest_SyncToken{SyncToken: token}}
		events := all(must(syncs.WatchSync(minute(), request)))
		first, last := events[0], events[len(events)-1]
		check(first.Event == agbpb.WatchSyncEvent_WATCH_SYNC_EVENT_SNAPSHOT, "%v", first)
		check(last.Event == agbpb.WatchSyncEvent_WATCH_SYNC_EVENT_VERDICT, "%v", last)
		check(last.Status.State == agbpb.SyncState_SYNC_STATE_SUCCEEDED, "%v", last)
		wait(token)
	})
}

func deadline(c contractCase) {
	withSession(func(id string) {
		ctx, cancel := within(milliseconds(c.DeadlineMs))
		defer cancel()
		start := time.Now()
		_, err := syncs.WaitForSync(ctx, &agbpb.WaitForSyncRequest{Target: &agbpb.WaitForSyncRequest_SessionId{SessionId: id}})
		refused(codes.DeadlineExceeded, err)
		check(time.Since(start) < milliseconds(c.DeadlineMs+500), "it took %v", time.Since(start))
		check(detail[*errdetails.ErrorInfo](err).Reason == "DEADLINE_EXCEEDED", "%v", err)
		detail[*agbpb.SyncStatus](err)
	})
}

func watchSession(client agbpb.SyncServiceClient, id string, deadline time.Duration) (grpc.ServerStreamingClient[agbpb.WatchSyncResponse], func()) {
	ctx, cancel := within(deadline)
	request := &agbpb.WatchSyncRequest{Target: &agbpb.WatchSyncRequest_SessionId{SessionId: id}}
	stream := must(client.WatchSync(ctx, request))
	first := must(stream.Recv())
	check(first.Event == agbpb.WatchSyncEvent_WATCH_SYNC_EVENT_SNAPSHOT, "%v", first)
	return stream, cancel
}

// end reads a stream to its end, whatever that is.
func end[T any](stream grpc.ServerStreamingClient[T]) error {
	for {
		if _, err := stream.Recv(); err != nil {
			return err
		}
	}
}

func cancellation(contractCase) {
	withSession(func(id string) {
		stream, cancel := watchSession(syncs, id, time.Minute)
		cancel()
		refused(codes.Canceled, end(stream))
		control("POST", "/quiet?operation=GetContextInfo", nil)
	})
}

func auth(contractCase) {
	for _, wrong := range []string{"", "agbgw_wrong"} {
		channel := must(connect.Dial(target, wrong))
		defer channel.Close()
		_, err := agbpb.NewContextServiceClient(channel).ListContexts(minute(), &agbpb.ListContextsRequest{})
		refused(codes.Unauthenticated, err)
		check(detail[*errdetails.ErrorInfo](err).Reason == "UNAUTHENTICATED", "%v", err)
	}
	must(contexts.ListContexts(minute(), &agbpb.ListContextsRequest{}))
}

func errorDetails(c contractCase) {
	mounts := []*agbpb.ContextSync{{ContextId: "c", Path: "/opt"}}
	_, err := sessions.CreateSession(minute(), &agbpb.CreateSessionRequest{ContextSyncs: mounts})
	refused(codes.InvalidArgument, err)
	info := detail[*errdetails.ErrorInfo](err)
	check(info.Domain == c.Domain && info.Reason == "INVALID_ARGUMENT", "%v", info)
	var fields []string
	for _, violation := range detail[*errdetails.BadRequest](err).FieldViolations {
		fields = append(fields, violation.Field)
	}
	check(slices.Equal(fields, c.Fields), "%v", fields)

	_, err = sessions.GetSession(minute(), &agbpb.GetSessionRequest{SessionId: "session-of-nobody"})
	refused(codes.NotFound, err)
	check(detail[*errdetails.ErrorInfo](err).Reason == "SESSION_NOT_FOUND", "%v", err)
	check(detail[*errdetails.ResourceInfo](err).ResourceName == "session-of-nobody", "%v", err)
}

func retries(c contractCase) {
	before := count("ListContexts")
	action := map[string]any{"respond": map[string]int{"status": 503}}
	control("POST", "/faults", map[string]any{"operation": "ListContexts", "times": c.Failures, "action": action})
	must(contexts.ListContexts(minute(), &agbpb.ListContextsRequest{}))
	asked := count("ListContexts") - before
	check(asked == c.Failures+1, "AGB was asked %d times", asked)
}

func noBlindRetries(contractCase) {
	withSession(func(id string) {
		before := count("callTool")
		control("POST", "/faults", map[string]any{"operation": "callTool", "times": 1, "action": "closeAfterWork"})
		_, err := sessions.ExecuteCommand(minute(), &agbpb.ExecuteCommandRequest{SessionId: id, Command: "true"})
		refused(codes.Unknown, err)
		check(detail[*errdetails.ErrorInfo](err).Reason == "AGB_OUTCOME_UNKNOWN", "%v", err)
		asked := count("callTool") - before
		check(asked == 1, "AGB was asked %d times", asked)
	})
}

func keepAlive(c contractCase) {
	withSession(func(id string) {
		pings := keepalive.ClientParameters{Time: milliseconds(c.IntervalMs), Timeout: milliseconds(c.TimeoutMs)}
		channel := dial(proxy, grpc.WithKeepaliveParams(pings))
		defer channel.Close()
		stream, cancel := watchSession(agbpb.NewSyncServiceClient(channel), id, milliseconds(c.DeadlineMs))
		defer cancel()
		control("POST", "/freeze", nil)
		defer control("POST", "/thaw", nil)
		start := time.Now()
		refused(codes.Unavailable, end(stream))
		check(time.Since(start) < milliseconds(c.NoticedWithinMs), "it took %v", time.Since(start))
	})
}

func compression(c contractCase) {
	data := make([]byte, c.Bytes)
	withContext(func(made *agbpb.Context) {
		channel := dial(proxy, grpc.WithDefaultCallOptions(grpc.UseCompressor(gzip.Name)))
		defer channel.Close()
		client := agbpb.NewContextServiceClient(channel)
		before := control("GET", "/traffic", nil)
		upload(client, made.ContextId, data, 262144)
		download(client, made.ContextId, data)
		for way, bytes := range control("GET", "/traffic", nil) {
			check(bytes-before[way] < c.MostBytesOnWire, "%s: %d", way, bytes-before[way])
		}
	})
}

func largeMessages(c contractCase) {
	request := &agbpb.ResolveMappingRequest{OriginalPath: "/tmp/mapping", TargetPath: "/home/data"}
	for number := range c.Paths {
		path := fmt.Sprintf("/tmp/mapping/%04d/", number)
		request.Paths = append(request.Paths, path+strings.Repeat("a", c.PathBytes-len(path)))
	}
	channel := dial(target, grpc.WithDefaultCallOptions(grpc.MaxCallRecvMsgSize(16<<20)))
	defer channel.Close()
	client := agbpb.NewMappingPolicyServiceClient(channel)
	answer := must(client.ResolveMapping(minute(), request))
	check(proto.Size(answer) > 4<<20, "%d bytes", proto.Size(answer))
	for number, path := range answer.ResolvedPaths {
		wanted := strings.Replace(request.Paths[number], "/tmp/mapping", "/home/data", 1)
		check(path.TargetPath == wanted, "%s", path.TargetPath)
	}
	request.Paths = append(request.Paths, request.Paths...)
	_, err := client.ResolveMapping(minute(), request)
	refused(codes.ResourceExhausted, err)
	check(detail[*errdetails.ErrorInfo](err).Reason == "MESSAGE_TOO_LONG", "%v", err)
	check(strings.Contains(status.Convert(err).Message(), c.Setting), "%v", err)
}

func reconnect(contractCase) {
	startSync(func(token string) {
		control("POST", "/restart?gateway=a", nil)
		wait(token, grpc.WaitForReady(true))
	})
}

func balancing(c contractCase) {
	var config map[string]any
	check(json.Unmarshal([]byte(must(connect.ServiceConfig())), &config) == nil, "the service config is no JSON")
	config["loadBalancingConfig"] = []any{map[string]any{"round_robin": map[string]any{}}}
	replicas := manual.NewBuilderWithScheme("replicas")
	var addresses []resolver.Address
	for address := range strings.SplitSeq(os.Getenv("AGB_REPLICAS"), ",") {
		addresses = append(addresses, resolver.Address{Addr: address})
	}
	replicas.InitialState(resolver.State{Addresses: addresses})
	channel := dial("replicas:///gateway", grpc.WithResolvers(replicas), grpc.WithDefaultServiceConfig(string(must(json.Marshal(config)))))
	defer channel.Close()
	client := agbpb.NewSyncPolicyServiceClient(channel)
	ask := func(calls int) map[string]int {
		answers := map[string]int{}
		for range calls {
			answer := must(client.GetSyncPolicy(minute(), &agbpb.GetSyncPolicyRequest{Name: "replica"}, grpc.WaitForReady(true)))
			answers[answer.Preset.Description]++
		}
		return answers
	}
	// Balanced over those that are connected: wait until both are.
	for start := time.Now(); len(ask(4)) < 2; {
		check(time.Since(start) < 20*time.Second, "only one replica is ever asked")
	}
	answers := ask(c.Calls)
	check(min(answers["a"], answers["b"]) >= c.LeastForEach, "%v", answers)
	control("POST", "/stop?gateway=b", nil)
	defer control("POST", "/start?gateway=b", nil)
	answers = ask(c.Calls)
	check(answers["a"] == c.Calls, "%v", answers)
}
