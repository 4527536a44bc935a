package ipc

import (
	"encoding/json"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/fstrace/fstrace/events"
	"github.com/fstrace/fstrace/ipc/internal/varlink"
	"github.com/varlink/go/varlink/idl"
)

// parse parses a schema with the varlink project's own parser.
func parse(t testing.TB, schema string) *idl.IDL {
	t.Helper()
	i, err := idl.New(schema)
	if err != nil {
		t.Fatalf("schema: %v", err)
	}
	return i
}

func TestSchemas(t *testing.T) {
	if got := parse(t, Schema).Name; got != Interface {
		t.Errorf("the schema is of %q", got)
	}
	if got := parse(t, serviceSchema).Name; got != ServiceInterface {
		t.Errorf("the schema is of %q", got)
	}
}

// TestSchemaIsServed: introspection returns the schema, and each method of it is there.
func TestSchemaIsServed(t *testing.T) {
	client, _ := startServer(t, nil)
	conn := rawConn(t, client)
	r := varlink.NewReader(conn, 1<<20, 0)
	defer r.Close()
	ask := func(call string) varlink.Reply {
		if err := varlink.Write(conn, []byte(call), nil); err != nil {
			t.Fatal(err)
		}
		return rawReply(t, r)
	}
	var out struct{ Description string }
	got := ask(`{"method":"org.varlink.service.GetInterfaceDescription","parameters":{"interface":"` + Interface + `"}}`)
	if err := json.Unmarshal(got.Parameters, &out); err != nil {
		t.Fatal(err)
	}
	served := parse(t, out.Description)
	if len(served.Methods) == 0 {
		t.Fatal("no methods")
	}
	for _, m := range served.Methods {
		// A parameter that no method has: one that is there refuses it.
		got := ask(`{"method":"` + Interface + "." + m.Name + `","parameters":{"noSuchParameter":1},"more":true}`)
		if got.Error == ErrMethodNotFound.Name {
			t.Errorf("%s is in the schema, not in the server", m.Name)
		}
	}
}

// TestSchemaErrors: the errors that the package has are those of the schema.
func TestSchemaErrors(t *testing.T) {
	i := parse(t, Schema)
	var schema []string
	for _, e := range i.Errors {
		schema = append(schema, Interface+"."+e.Name)
	}
	var ours []string
	for _, e := range []*Error{
		ErrNoSuchSession, ErrSessionEnded, ErrReplayGone, ErrNoManifest, ErrCannotRun, ErrLaunchVersion,
		ErrTooManySessions, ErrTooManyConnections, ErrTooManyRequests, ErrMessageTooLarge, ErrTooManyDescriptors, ErrTooMuchMemory,
		ErrDescriptorsLost, ErrBadMessage, ErrNotPermitted, ErrShuttingDown,
	} {
		ours = append(ours, e.Name)
	}
	slices.Sort(schema)
	slices.Sort(ours)
	if !slices.Equal(schema, ours) {
		t.Errorf("the schema has the errors\n%v\nthe package has\n%v", schema, ours)
	}
}

// TestSchemaTypes: what is sent and taken has the fields that the schema says.
func TestSchemaTypes(t *testing.T) {
	i := parse(t, Schema)
	for name, value := range map[string]any{
		"Options": Options{}, "Descriptor": wireDescriptor{}, "Launched": wireLaunched{}, "Result": Result{},
		"Session": SessionInfo{}, "Exit": events.Exit{}, "Reason": CheckReason{}, "Limits": Limits{}, "ResourceLimit": ResourceLimit{}, "Usage": Usage{},
	} {
		at := slices.IndexFunc(i.Aliases, func(a *idl.Alias) bool { return a.Name == name })
		if at < 0 {
			t.Errorf("the schema has no type %s", name)
			continue
		}
		compareFields(t, name, i.Aliases[at].Type, value)
	}
	for name, pair := range map[string][2]any{
		"Run": {wireRun{}, wireUpdate{}}, "Subscribe": {wireSubscribe{}, wireUpdate{}}, "List": {wireLabel{}, wireSessions{}}, "Monitor": {wireLabel{}, wireNotice{}},
		"GetManifest": {wireGetManifest{}, wireManifest{}}, "GetRecord": {wireSessionName{}, wireFile{}}, "Cancel": {wireCancel{}, nil}, "Signal": {wireSignal{}, nil},
		"Check": {wireCheck{}, CheckResult{}}, "Info": {nil, ServerInfo{}}, "Statistics": {nil, Statistics{}},
	} {
		at := slices.IndexFunc(i.Methods, func(m *idl.Method) bool { return m.Name == name })
		if at < 0 {
			t.Errorf("the schema has no method %s", name)
			continue
		}
		compareFields(t, name+" in", i.Methods[at].In, pair[0])
		compareFields(t, name+" out", i.Methods[at].Out, pair[1])
	}
}

func compareFields(t *testing.T, what string, schema *idl.Type, value any) {
	t.Helper()
	var want, got []string
	for _, f := range schema.Fields {
		want = append(want, f.Name)
	}
	if value != nil {
		for f := range reflect.TypeOf(value).Fields() {
			name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
			got = append(got, name)
		}
	}
	slices.Sort(want)
	slices.Sort(got)
	if !slices.Equal(got, want) {
		t.Errorf("%s: fields %v, the schema has %v", what, got, want)
	}
}
