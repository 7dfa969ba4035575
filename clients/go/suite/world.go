package main

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"io"
	"net/http"
	"os"
	"time"

	"agb-gateway/clients/agbpb"
	"agb-gateway/clients/connect"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
)

var (
	target, proxy, token = os.Getenv("AGB_TARGET"), os.Getenv("AGB_PROXY"), os.Getenv("AGB_TOKEN")
	traceparent          = "00-" + random(16) + "-" + random(8) + "-01"
	channel              = must(connect.Dial(target, token))
	contexts             = agbpb.NewContextServiceClient(channel)
	sessions             = agbpb.NewSessionServiceClient(channel)
	syncs                = agbpb.NewSyncServiceClient(channel)
)

func random(length int) string {
	text := make([]byte, length)
	_, _ = rand.Read(text)
	return hex.EncodeToString(text)
}

// within is a call's context: its deadline and its trace.
func within(limit time.Duration) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithTimeout(context.Background(), limit)
	return metadata.AppendToOutgoingContext(ctx, "traceparent", traceparent), cancel
}

func minute() context.Context {
	ctx, cancel := within(time.Minute)
	context.AfterFunc(ctx, cancel)
	return ctx
}

func milliseconds(count int) time.Duration { return time.Duration(count) * time.Millisecond }

func dial(target string, options ...grpc.DialOption) *grpc.ClientConn {
	return must(connect.Dial(target, token, options...))
}

// control asks the harness for what no gRPC call can do.
func control(method, path string, body any) map[string]int {
	var content io.Reader
	if body != nil {
		content = bytes.NewReader(must(json.Marshal(body)))
	}
	request := must(http.NewRequest(method, os.Getenv("AGB_CONTROL")+path, content))
	answer := must(http.DefaultClient.Do(request))
	defer answer.Body.Close()
	text := must(io.ReadAll(answer.Body))
	check(answer.StatusCode == http.StatusOK, "%s %s: %s", method, path, text)
	var numbers map[string]int
	_ = json.Unmarshal(text, &numbers)
	return numbers
}

func count(operation string) int { return control("GET", "/count?operation="+operation, nil)["count"] }

func withContext(use func(*agbpb.Context)) {
	made := must(contexts.CreateContext(minute(), &agbpb.CreateContextRequest{Context: &agbpb.Context{Name: "go-" + random(8)}})).Context
	use(made)
	must(contexts.DeleteContext(minute(), &agbpb.DeleteContextRequest{ContextId: made.ContextId}))
}

func withSession(use func(id string), mounts ...*agbpb.ContextSync) {
	request := &agbpb.CreateSessionRequest{ImageId: "agb-code-space-1", ContextSyncs: mounts}
	id := must(sessions.CreateSession(minute(), request)).Session.SessionId
	use(id)
	must(sessions.DeleteSession(minute(), &agbpb.DeleteSessionRequest{SessionId: id}))
}

func refused(code codes.Code, err error) error {
	check(err != nil, "it should have been refused with %v", code)
	check(status.Code(err) == code, "%v expected, got %v", code, err)
	return err
}

// detail finds the detail of that type in an error.
func detail[T any](err error) T {
	for _, found := range status.Convert(err).Details() {
		if wanted, is := found.(T); is {
			return wanted
		}
	}
	var none T
	check(false, "no %T among the details of %v", none, err)
	return none
}
