package manifest

import (
	"encoding/json"
	"fmt"
	"maps"
	"math"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"
)

// A schema validates with what docs/manifest.schema.json uses of JSON Schema
// (draft 2020-12). A keyword that it does not know is an error: nothing in the
// schema may go unchecked.
type schema struct{ root map[string]any }

func readSchema(t testing.TB) *schema {
	t.Helper()
	data, err := os.ReadFile(filepath.Join("..", "..", "docs", "manifest.schema.json"))
	if err != nil {
		t.Fatal(err)
	}
	s := &schema{}
	if err := json.Unmarshal(data, &s.root); err != nil {
		t.Fatal(err)
	}
	return s
}

func (s *schema) validate(document []byte) error {
	var v any
	if err := json.Unmarshal(document, &v); err != nil {
		return err
	}
	return s.check("", s.root, v)
}

func (s *schema) check(at string, rule map[string]any, v any) error {
	for _, keyword := range slices.Sorted(maps.Keys(rule)) {
		if err := s.keyword(at, keyword, rule, v); err != nil {
			return err
		}
	}
	return nil
}

func (s *schema) keyword(at, keyword string, rule map[string]any, v any) error {
	arg := rule[keyword]
	object, _ := v.(map[string]any)
	array, _ := v.([]any)
	text, isText := v.(string)
	number, isNumber := v.(float64)
	wrong := func(format string, a ...any) error {
		return fmt.Errorf("%s: %s: %s", at, keyword, fmt.Sprintf(format, a...))
	}
	switch keyword {
	case "$schema", "$defs", "title", "description":
	case "type":
		if !isType(v, arg.(string)) {
			return wrong("%v is no %v", v, arg)
		}
	case "const":
		if !reflect.DeepEqual(v, arg) {
			return wrong("%v is not %v", v, arg)
		}
	case "enum":
		if !slices.ContainsFunc(arg.([]any), func(x any) bool { return reflect.DeepEqual(x, v) }) {
			return wrong("%v is not one of %v", v, arg)
		}
	case "required":
		for _, key := range arg.([]any) {
			if _, ok := object[key.(string)]; !ok {
				return wrong("no %v", key)
			}
		}
	case "properties":
		for key, sub := range arg.(map[string]any) {
			if x, ok := object[key]; ok {
				if err := s.check(at+"/"+key, sub.(map[string]any), x); err != nil {
					return err
				}
			}
		}
	case "additionalProperties":
		for key := range object {
			if _, ok := rule["properties"].(map[string]any)[key]; !ok {
				return wrong("%s", key)
			}
		}
	case "items":
		for i, x := range array {
			if err := s.check(fmt.Sprintf("%s/%d", at, i), arg.(map[string]any), x); err != nil {
				return err
			}
		}
	case "minimum":
		if isNumber && number < arg.(float64) {
			return wrong("%v", v)
		}
	case "maximum":
		if isNumber && number > arg.(float64) {
			return wrong("%v", v)
		}
	case "minLength":
		if isText && utf8.RuneCountInString(text) < int(arg.(float64)) {
			return wrong("%q", text)
		}
	case "pattern":
		if isText && !regexp.MustCompile(arg.(string)).MatchString(text) {
			return wrong("%q", text)
		}
	case "allOf":
		for _, sub := range arg.([]any) {
			if err := s.check(at, sub.(map[string]any), v); err != nil {
				return err
			}
		}
	case "oneOf":
		n := 0
		for _, sub := range arg.([]any) {
			if s.check(at, sub.(map[string]any), v) == nil {
				n++
			}
		}
		if n != 1 {
			return wrong("%d of them", n)
		}
	case "$ref":
		def := s.root["$defs"].(map[string]any)[strings.TrimPrefix(arg.(string), "#/$defs/")]
		return s.check(at, def.(map[string]any), v)
	default:
		return fmt.Errorf("the schema has a keyword that this test does not know: %s", keyword)
	}
	return nil
}

func isType(v any, want string) bool {
	switch x := v.(type) {
	case map[string]any:
		return want == "object"
	case []any:
		return want == "array"
	case string:
		return want == "string"
	case bool:
		return want == "boolean"
	case float64:
		return want == "number" || want == "integer" && x == math.Trunc(x)
	}
	return false
}

// TestSchema validates the manifest of each fold, and sees that the schema refuses
// what is none.
func TestSchema(t *testing.T) {
	s := readSchema(t)
	for _, tt := range folds {
		t.Run(tt.name, func(t *testing.T) {
			p := playFold(t, tt.do)
			p.end()
			if err := s.validate(p.out.Bytes()); err != nil {
				t.Errorf("%v\n%s", err, &p.out)
			}
		})
	}
	p := playFold(t, func(p *play) { p.read("/w/a"); p.write("/w/new", "x") })
	p.end()
	for _, change := range [][2]string{
		{`"fstrace":1`, `"fstrace":2`},
		{`"inputs"`, `"input"`},
		{`"state":"file"`, `"state":"fil"`},
		{`"sha256":"`, `"sha256":"x`},
		{`"mode":"0644"`, `"mode":420`},
		{`"complete":true`, `"complete":"yes"`},
		{`"before":"absent",`, ``},
		{`"exit":{"code":0}`, `"exit":{}`},
	} {
		bad := strings.Replace(p.out.String(), change[0], change[1], 1)
		if bad == p.out.String() {
			t.Errorf("nothing to replace: %s", change[0])
		}
		if s.validate([]byte(bad)) == nil {
			t.Errorf("the schema lets pass: %s instead of %s", change[1], change[0])
		}
	}
}
