package main

import (
	"encoding/json"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

const prevResult = `{"cniVersion":"1.0.0","ips":[{"address":"10.1.0.7/24","gateway":"10.1.0.1"},{"address":"fd00::7/64"}],  "dns":{}}`

// call runs the plugin for a pod of the namespace and returns its exit code and what it printed.
func call(t *testing.T, folder, command, namespace, stdin string) (int, string) {
	t.Helper()
	env := map[string]string{
		"CNI_COMMAND": command,
		"CNI_NETNS":   "/var/run/netns/x",
		"CNI_ARGS":    "IgnoreUnknown=1;K8S_POD_NAMESPACE=" + namespace + ";K8S_POD_NAME=web;K8S_POD_UID=u-1",
	}
	p := plugin{
		env:        func(name string) string { return env[name] },
		connect:    300 * time.Millisecond,
		answer:     300 * time.Millisecond,
		namespaces: filepath.Join(folder, "wishbone-cni.namespaces"),
	}
	var out strings.Builder
	code := p.run(strings.NewReader(stdin), &out)
	return code, out.String()
}

func conf(folder string) string {
	return `{"cniVersion":"1.0.0","name":"pods","type":"wishbone-cni","socket":"` + filepath.Join(folder, "s") +
		`","excludeNamespaces":["kube-system","wishbone-system"],"prevResult":` + prevResult + `}`
}

// agent listens in the folder and answers with the status and text; it hands over what it was told.
func agent(t *testing.T, folder string, status int, text string) <-chan string {
	t.Helper()
	listener, err := net.Listen("unix", filepath.Join(folder, "s"))
	if err != nil {
		t.Fatal(err)
	}
	told := make(chan string, 4)
	server := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		told <- r.Method + " " + r.URL.Path + " " + string(body)
		if status == 0 {
			time.Sleep(time.Second)
		}
		w.WriteHeader(max(status, 200))
		_, _ = io.WriteString(w, text)
	})}
	go func() { _ = server.Serve(listener) }()
	t.Cleanup(func() { _ = server.Close() })
	return told
}

func list(t *testing.T, folder, names string) {
	t.Helper()
	if err := os.WriteFile(filepath.Join(folder, "wishbone-cni.namespaces"), []byte(names), 0o644); err != nil {
		t.Fatal(err)
	}
}

func TestAddTellsTheAgentAndPassesTheResultOn(t *testing.T) {
	folder := t.TempDir()
	told := agent(t, folder, 200, "")
	code, out := call(t, folder, "ADD", "shop", conf(folder))
	if code != 0 || out != prevResult {
		t.Errorf("code %d, output %s", code, out)
	}
	want := `POST /cmdadd {"Netns":"/var/run/netns/x","PodName":"web","PodNamespace":"shop","PodUID":"u-1","IPs":["10.1.0.7/24","fd00::7/64"]}`
	if got := <-told; got != want {
		t.Errorf("told %s", got)
	}
}

func TestARefusalIsPassedOn(t *testing.T) {
	folder := t.TempDir()
	agent(t, folder, 500, "wishbone-node: no ztunnel is connected\n")
	// Even where the list would let the pod start: the agent is there and knows better.
	list(t, folder, "other\n")
	code, out := call(t, folder, "ADD", "shop", conf(folder))
	var said failure
	if err := json.Unmarshal([]byte(out), &said); err != nil {
		t.Fatal(err)
	}
	want := failure{CniVersion: "1.0.0", Code: codeAgentRefused, Msg: "pod shop/web cannot start: wishbone-node: no ztunnel is connected"}
	if code != 1 || said != want {
		t.Errorf("code %d, output %s", code, out)
	}
}

func TestWithoutAnAgent(t *testing.T) {
	for _, one := range []struct {
		name, namespace, list string
		starts, waits, hangs  bool
	}{
		{name: "the system's namespace starts at once", namespace: "kube-system", starts: true},
		{name: "so does the mesh's own, though it be listed", namespace: "wishbone-system", list: "wishbone-system\n", starts: true},
		{name: "a namespace that is not enrolled starts after a while", namespace: "plain", list: "shop\nshop2\n", starts: true, waits: true},
		{name: "a part of a name is not the name", namespace: "sho", list: "shop\n", starts: true, waits: true},
		{name: "an enrolled one does not", namespace: "shop", list: "bank\nshop\n", waits: true},
		{name: "nor does any when nothing is known", namespace: "plain", waits: true},
		{name: "an empty list is a list", namespace: "plain", list: "\n", starts: true, waits: true},
		{name: "an agent that hangs is as good as none", namespace: "plain", list: "shop\n", starts: true, waits: true, hangs: true},
		{name: "and for an enrolled namespace too", namespace: "shop", list: "shop\n", waits: true, hangs: true},
	} {
		t.Run(one.name, func(t *testing.T) {
			folder := t.TempDir()
			if one.list != "" {
				list(t, folder, one.list)
			}
			if one.hangs {
				agent(t, folder, 0, "")
			}
			begun := time.Now()
			code, out := call(t, folder, "ADD", one.namespace, conf(folder))
			if waited := time.Since(begun) >= 250*time.Millisecond; waited != one.waits {
				t.Errorf("waited %v", time.Since(begun))
			}
			if one.starts && (code != 0 || out != prevResult) {
				t.Errorf("code %d, output %s", code, out)
			}
			if !one.starts && (code != 1 || !strings.Contains(out, "DaemonSet wishbone-node") || !strings.Contains(out, one.namespace+"/web")) {
				t.Errorf("code %d, output %s", code, out)
			}
		})
	}
}

func TestAnAgentThatComesBackInTimeIsUsed(t *testing.T) {
	folder := t.TempDir()
	list(t, folder, "shop\n")
	time.AfterFunc(100*time.Millisecond, func() { agent(t, folder, 200, "") })
	if code, out := call(t, folder, "ADD", "shop", conf(folder)); code != 0 {
		t.Errorf("code %d, output %s", code, out)
	}
}

func TestOtherCommands(t *testing.T) {
	folder := t.TempDir()
	for _, command := range []string{"DEL", "CHECK", "GC", "STATUS"} {
		for _, stdin := range []string{conf(folder), "not JSON", ""} {
			if code, out := call(t, folder, command, "shop", stdin); code != 0 || out != "" {
				t.Errorf("%s: code %d, output %s", command, code, out)
			}
		}
	}
	if code, out := call(t, folder, "VERSION", "", ""); code != 0 || !strings.Contains(out, `"supportedVersions":["1.1.0","1.0.0"`) {
		t.Errorf("VERSION: code %d, output %s", code, out)
	}
	for command, stdin := range map[string]string{"ADD": `{"cniVersion":"1.0.0"}`, "add": conf(folder), "": ""} {
		if code, out := call(t, folder, command, "shop", stdin); code != 1 || !strings.Contains(out, `"code":`) {
			t.Errorf("%q: code %d, output %s", command, code, out)
		}
	}
}
