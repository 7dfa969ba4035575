// The contract suite in Go. One line of JSON for each case of the list that CONTRACT names.
package main

import (
	"encoding/json"
	"fmt"
	"log"
	"os"
	"time"
)

// What contract.yaml says of a case; each case reads the values that it needs.
type contractCase struct {
	Name            string
	Bytes           int
	PieceBytes      int      `json:"piece_bytes"`
	DeadlineMs      int      `json:"deadline_ms"`
	Domain          string   `json:"domain"`
	Fields          []string `json:"fields"`
	Failures        int      `json:"failures"`
	IntervalMs      int      `json:"interval_ms"`
	TimeoutMs       int      `json:"timeout_ms"`
	NoticedWithinMs int      `json:"noticed_within_ms"`
	MostBytesOnWire int      `json:"most_bytes_on_the_wire"`
	Paths           int      `json:"paths"`
	PathBytes       int      `json:"path_bytes"`
	Setting         string   `json:"setting"`
	Calls           int      `json:"calls"`
	LeastForEach    int      `json:"least_for_each"`
}

var cases = map[string]func(contractCase){
	"unary":            unary,
	"client_streaming": clientStreaming,
	"server_streaming": serverStreaming,
	"watch_sync":       watchSync,
	"deadline":         deadline,
	"cancellation":     cancellation,
	"auth":             auth,
	"error_details":    errorDetails,
	"retries":          retries,
	"no_blind_retries": noBlindRetries,
	"keepalive":        keepAlive,
	"compression":      compression,
	"large_messages":   largeMessages,
	"reconnect":        reconnect,
	"balancing":        balancing,
}

func main() {
	content, err := os.ReadFile(os.Getenv("CONTRACT"))
	if err != nil {
		log.Fatal(err)
	}
	var contract struct{ Cases []contractCase }
	if err := json.Unmarshal(content, &contract); err != nil {
		log.Fatal(err)
	}
	for _, c := range contract.Cases {
		start := time.Now()
		line := map[string]any{"case": c.Name, "error": nil}
		if err := run(c); err != nil {
			line["error"] = err.Error()
		}
		line["ms"] = time.Since(start).Milliseconds()
		if err := json.NewEncoder(os.Stdout).Encode(line); err != nil {
			log.Fatal(err)
		}
	}
}

// failure is what a case panics with when the contract does not hold.
type failure struct{ error }

func run(c contractCase) (err error) {
	function, known := cases[c.Name]
	if !known {
		return fmt.Errorf("the suite has no such case")
	}
	defer func() {
		if caught := recover(); caught != nil {
			if broken, is := caught.(failure); is {
				err = broken.error
				return
			}
			panic(caught)
		}
	}()
	function(c)
	return nil
}

func check(holds bool, format string, values ...any) {
	if !holds {
		panic(failure{fmt.Errorf(format, values...)})
	}
}

func must[T any](value T, err error) T {
	check(err == nil, "%v", err)
	return value
}
