// A client as users write one in Go: subscribes and publishes over HTTP, listens on the WebSocket.
// Usage: snippet HOST:PORT TOPIC TEXT
package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"log"
	"net/http"
	"os"

	"github.com/gorilla/websocket"
)

type frame struct {
	MessageID    string
	Topic        string
	Message      []byte
	SourceNodeID string `json:"source_node_id"`
}

func post(url string, body map[string]any) string {
	b, _ := json.Marshal(body)
	resp, err := http.Post(url, "application/json", bytes.NewReader(b))
	if err != nil {
		log.Fatal(err)
	}
	defer resp.Body.Close()
	var answer map[string]any
	if err := json.NewDecoder(resp.Body).Decode(&answer); err != nil {
		log.Fatal(err)
	}
	return fmt.Sprint(answer["status"])
}

func main() {
	host, topic, text := os.Args[1], os.Args[2], os.Args[3]
	fmt.Println(post("http://"+host+"/api/v1/subscribe", map[string]any{"client_id": "go", "topic": topic, "threshold": 0.1}))
	conn, _, err := websocket.DefaultDialer.Dial("ws://"+host+"/api/v1/ws?client_id=go", nil)
	if err != nil {
		log.Fatal(err)
	}
	defer conn.Close()
	fmt.Println(post("http://"+host+"/api/v1/publish", map[string]any{"client_id": "go", "topic": topic, "message": text}))
	_, data, err := conn.ReadMessage()
	if err != nil {
		log.Fatal(err)
	}
	var f frame
	if err := json.Unmarshal(data, &f); err != nil {
		log.Fatal(err)
	}
	fmt.Println(f.Topic, string(f.Message), len(f.SourceNodeID) > 0)
}
