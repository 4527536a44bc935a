package ipc

import (
	"encoding/json"
	"errors"
	"reflect"
	"strings"
	"testing"

	"github.com/fstrace/fstrace/ipc/internal/varlink"
)

// TestInvalidParameter: what encoding/json passes over, or would make something else of,
// is refused, and the answer names the parameter.
func TestInvalidParameter(t *testing.T) {
	client, _ := startServer(t, func(c *Config) { c.newCommand = newFake(0) })
	const run = `{"argv":["a"],"env":[],"cwd":"/"`
	for _, c := range []struct{ method, parameters, want string }{
		{"Run", `{"argv":["\ud800"],"env":[],"cwd":"/"}`, "argv"},
		{"Run", `{"argv":["x\udc00y"],"env":[],"cwd":"/"}`, "argv"},
		{"Run", `{"argv":["\ud800\ud800\udc00"],"env":[],"cwd":"/"}`, "argv"},
		{"Run", `{"argv":["a"],"env":["A=\uDBFFx"],"cwd":"/"}`, "env"},
		{"Run", `{"argv":["a"],"env":[],"cwd":"/\udfff"}`, "cwd"},
		{"Run", run + `,"options":{"only":["\ud83d"]}}`, "options.only"},
		{"Run", run + `,"options":{"wait":"all","\ud800":1}}`, "options"},
		{"Check", `{"manifest":{"fstrace":1,"command":{"argv":["\ud800"]}}}`, "manifest"},

		{"Run", `{"Argv":["a"],"env":[],"cwd":"/"}`, "Argv"},
		{"Run", `{"argv":["a"],"env":[],"cwd":"/","CWD":"/tmp"}`, "CWD"},
		{"Run", run + `,"options":{"Wait":"all"}}`, "options.Wait"},
		{"Run", run + `,"descriptors":[{"number":1,"Index":0}]}`, "descriptors[0].Index"},
		{"GetManifest", `{"Session":"x"}`, "Session"},

		{"Run", run + `,"argv":["b"]}`, "argv"},
		{"Run", run + `,"\u0063wd":"/tmp"}`, "cwd"},
		{"Run", run + `,"options":{"wait":"all","wait":"root"}}`, "options.wait"},
		{"Check", `{"manifest":{"fstrace":1,"inputs":[{"path":"/a","path":"/b"}]}}`, "manifest"},

		{"Run", `{"argv":["a"],"argvBase64":["YQ=="],"env":[],"cwd":"/"}`, "argvBase64"},
		{"Run", `{"argv":["a"],"env":[],"envBase64":[],"cwd":"/"}`, "envBase64"},
		{"Run", `{"argv":["a"],"env":[],"cwd":"/","cwdBase64":"Lw=="}`, "cwdBase64"},
		{"Run", `{"argvBase64":["!"],"env":[],"cwd":"/"}`, "argvBase64"},

		{"Run", `{"argv":[],"env":[],"cwd":"/"}`, "argv"},
		{"Run", `{"argv":["a"],"cwd":"/"}`, "env"},
		{"Run", `{"argv":["a"],"env":[],"cwd":""}`, "cwd"},
		{"Run", run + `,"options":{"wait":""}}`, "options.wait"},
		{"Run", run + `,"options":{"lifecycle":""}}`, "options.lifecycle"},
		{"Run", run + `,"options":{"root":""}}`, "options.root"},
		{"Run", run + `,"options":{"only":[""]}}`, "options.only"},
		{"Run", run + `,"options":{"ignore":[` + strings.Repeat(`"a",`, maxPatterns) + `"a"]}}`, "options.ignore"},
		{"GetManifest", `{"session":""}`, "session"},
		{"GetManifest", `{}`, "session"},
		{"GetManifest", ``, "session"},
		{"GetManifest", `null`, "session"},
		{"Cancel", `{"graceMs":1}`, "session"},
		{"Signal", `{"session":"x"}`, "signal"},
		{"Check", `{}`, "manifest"},
		{"Check", `{"session":""}`, "session"},
		{"Check", `{"session":"x","root":"relative"}`, "root"},

		{"Run", `[]`, "parameters"},
		{"Run", `"argv"`, "parameters"},
		{"Run", `7`, "parameters"},
		{"Run", `{"argv":7,"env":[],"cwd":"/"}`, "argv"},
		{"Run", `{"argv":["a"],"env":[],"cwd":"/","umask":1.5}`, "umask"},
		{"Info", `{"x":1}`, "x"},
		{"Statistics", `{"x":1}`, "x"},
	} {
		conn := rawConn(t, client)
		call := `{"method":"` + Interface + "." + c.method + `","more":true,"parameters":` + c.parameters + `}`
		if c.parameters == "" {
			call = `{"method":"` + Interface + "." + c.method + `","more":true}`
		}
		if err := varlink.Write(conn, []byte(call), nil); err != nil {
			t.Fatal(err)
		}
		got := rawReply(t, varlink.NewReader(conn, 1<<20, 0))
		conn.Close()
		var p struct{ Parameter string }
		if err := json.Unmarshal(got.Parameters, &p); err != nil || got.Error != ErrInvalidParameter.Name || p.Parameter != c.want {
			t.Errorf("%s %.120s: %s %s, want InvalidParameter %q", c.method, c.parameters, got.Error, got.Parameters, c.want)
		}
	}
}

// TestBadCalls: the same in what is around the parameters.
func TestBadCalls(t *testing.T) {
	for _, data := range []string{
		`{"method":"a.b","method":"a.c"}`, `{"Method":"a.b"}`, `{"method":"a.b","x":"\ud800"}`, `{"method":"a.b","\ud800":1}`, `7`, `"x"`, `null`,
		`{"method":7}`, `{"method":"a.b","more":1}`,
	} {
		if c, err := varlink.DecodeCall([]byte(data)); err == nil {
			t.Errorf("%s: %+v", data, c)
		}
	}
	for _, data := range []string{
		`{"method":"a.b","more":true,"x":[1,{"y":"z"}],"parameters":{"a":[1,2,"x]}\""]}}`,
		` { "parameters" : {"a":[1,2,"x]}\""]} , "method" : "\u0061.b" , "more" : true , "More":false } `,
	} {
		c, err := varlink.DecodeCall([]byte(data))
		if err != nil || c.Method != "a.b" || !c.More || string(c.Parameters) != `{"a":[1,2,"x]}\""]}` {
			t.Errorf("%s: %+v, %v", data, c, err)
		}
	}
}

// TestPairs: what stands for a character is taken as it is.
func TestPairs(t *testing.T) {
	var p wireRun
	const data = `{"argv":["\ud83d\ude00","\\ud800","\u00e9\"\\","\\\\","😀"],"env":null,"cwd":"/"}`
	if err := decodeParameters([]byte(data), &p); err != nil {
		t.Fatal(err)
	}
	if want := []string{"😀", `\ud800`, `é"\`, `\\`, "😀"}; !reflect.DeepEqual(p.Argv, want) {
		t.Errorf("argv %q, want %q", p.Argv, want)
	}
}

// FuzzCall: the decoder of calls and of what they carry takes anything.
func FuzzCall(f *testing.F) {
	f.Add([]byte(`{"method":"io.fstrace.v1.Run","parameters":{"argv":["a"],"env":[],"cwd":"/"},"more":true}`))
	f.Add([]byte(`{"method":"io.fstrace.v1.Run","parameters":{"argvBase64":["//4="],"env":[],"cwd":"/","umask":18,"options":{"timeoutMs":9223372036854775807}}}`))
	f.Add([]byte(`{"method":"","parameters":null}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		c, err := varlink.DecodeCall(data)
		if err != nil {
			return
		}
		if c.Method == "" || c.More && c.Oneway {
			t.Fatalf("call %+v", c)
		}
		var run wireRun
		if err := decodeParameters(c.Parameters, &run); err != nil {
			if !errors.Is(err, ErrInvalidParameter) {
				t.Fatalf("error %v", err)
			}
			return
		}
		if run.Options == nil {
			run.Options = &Options{}
		}
		cmd, err := run.command()
		if err != nil {
			return
		}
		if len(cmd.Args) == 0 || cmd.Env == nil || cmd.Timeout < 0 || cmd.KillAfter < 0 || cmd.Dir[0] != '/' {
			t.Fatalf("command %+v", cmd)
		}
	})
}
