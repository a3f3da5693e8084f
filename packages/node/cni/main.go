// wishbone-cni is the CNI plugin: the last of a node's chain. It announces each new sandbox to the node agent and passes on
// what the plugins before it have made; the answer comes when the pod is captured, so that no packet leaves it before. It
// decides nothing while the agent answers, and keeps to fixed rules while the agent is away. It captures nothing itself.
package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// Codes of the CNI specification; from 100 on they are a plugin's own.
const (
	codeBadEnvironment = 4
	codeBadConfig      = 7
	codeAgentAbsent    = 100
	codeAgentRefused   = 101
)

// Newest first. Results are passed on as they came, so that every version with a prevResult will do.
var versions = []string{"1.1.0", "1.0.0", "0.4.0", "0.3.1", "0.3.0"}

// config is this plugin's entry in the node's network configuration, as the node agent writes it.
type config struct {
	CniVersion string          `json:"cniVersion"`
	PrevResult json.RawMessage `json:"prevResult"`
	// Socket is where the node agent listens.
	Socket string `json:"socket"`
	// ExcludeNamespaces are never in the mesh: their pods start at once, whatever has become of the agent.
	ExcludeNamespaces []string `json:"excludeNamespaces"`
}

// sandbox is what the node agent is told.
type sandbox struct {
	Netns        string
	PodName      string
	PodNamespace string
	PodUID       string
	IPs          []string
}

type failure struct {
	CniVersion string `json:"cniVersion,omitempty"`
	Code       int    `json:"code"`
	Msg        string `json:"msg"`
}

func (f *failure) Error() string { return f.Msg }

// plugin holds what tests change.
type plugin struct {
	env func(string) string
	// connect is how long an agent that is away is waited for, answer how long one that is there may take.
	connect, answer time.Duration
	// namespaces is the list of enrolled namespaces that the agent last wrote, a name a line.
	namespaces string
}

func main() {
	self, err := os.Executable()
	if err != nil {
		self = os.Args[0]
	}
	// The file lies beside the plugin: it must be there after a reboot, before any agent is.
	list := filepath.Join(filepath.Dir(self), "wishbone-cni.namespaces")
	p := plugin{env: os.Getenv, connect: 10 * time.Second, answer: 30 * time.Second, namespaces: list}
	os.Exit(p.run(os.Stdin, os.Stdout))
}

func (p plugin) run(stdin io.Reader, stdout io.Writer) int {
	var conf config
	output, err := p.command(stdin, &conf)
	if err != nil {
		failed := &failure{Code: codeBadConfig, Msg: err.Error()}
		errors.As(err, &failed)
		failed.CniVersion = conf.CniVersion
		output, _ = json.Marshal(failed)
	}
	_, _ = stdout.Write(output)
	if err != nil {
		return 1
	}
	return 0
}

func (p plugin) command(stdin io.Reader, conf *config) ([]byte, error) {
	command := p.env("CNI_COMMAND")
	if command == "VERSION" {
		return json.Marshal(map[string]any{"cniVersion": versions[0], "supportedVersions": versions})
	}
	input, err := io.ReadAll(stdin)
	if err == nil {
		err = json.Unmarshal(input, conf)
	}
	if err != nil && command == "ADD" {
		return nil, fmt.Errorf("wishbone-cni: the configuration cannot be read: %w", err)
	}
	switch command {
	case "ADD":
		if len(conf.PrevResult) == 0 || string(conf.PrevResult) == "null" {
			return nil, errors.New("wishbone-cni: there is no prevResult; it must come after the plugin that makes the pod's interface")
		}
		if err := p.add(conf); err != nil {
			return nil, err
		}
		return conf.PrevResult, nil
	case "DEL", "CHECK", "GC", "STATUS":
		// Nothing of a pod is kept here, and a node is ready for pods whether or not the agent is: it is a pod itself.
		return nil, nil
	}
	return nil, &failure{Code: codeBadEnvironment, Msg: fmt.Sprintf("wishbone-cni: CNI_COMMAND %q is not known", command)}
}

func (p plugin) add(conf *config) error {
	args := map[string]string{}
	for pair := range strings.SplitSeq(p.env("CNI_ARGS"), ";") {
		name, value, _ := strings.Cut(pair, "=")
		args[name] = value
	}
	pod := sandbox{Netns: p.env("CNI_NETNS"), PodName: args["K8S_POD_NAME"], PodNamespace: args["K8S_POD_NAMESPACE"], PodUID: args["K8S_POD_UID"]}
	if pod.PodName == "" || pod.PodNamespace == "" || slices.Contains(conf.ExcludeNamespaces, pod.PodNamespace) {
		return nil // Not a pod of Kubernetes, or one that is never in the mesh.
	}
	var result struct {
		IPs []struct {
			Address string `json:"address"`
		} `json:"ips"`
	}
	if err := json.Unmarshal(conf.PrevResult, &result); err != nil {
		return fmt.Errorf("wishbone-cni: the prevResult cannot be read: %w", err)
	}
	for _, ip := range result.IPs {
		pod.IPs = append(pod.IPs, ip.Address)
	}
	absent := p.announce(conf.Socket, pod)
	var refused *failure
	if absent == nil || errors.As(absent, &refused) {
		return absent
	}
	list, err := os.ReadFile(p.namespaces)
	if err == nil && !slices.Contains(strings.Split(string(list), "\n"), pod.PodNamespace) {
		return nil // The agent takes it in later, if it is to be in, and says so on the pod.
	}
	why := fmt.Sprintf("namespace %s is in the mesh", pod.PodNamespace)
	if err != nil {
		why = "which namespaces are in the mesh is not known"
	}
	return &failure{Code: codeAgentAbsent, Msg: fmt.Sprintf(
		"wishbone-cni: pod %s/%s cannot start: the node agent (DaemonSet wishbone-node) does not answer at %s: %v; %s, so the pod waits for the agent on this node",
		pod.PodNamespace, pod.PodName, conf.Socket, absent, why)}
}

// announce returns nil when the agent agrees, a *failure when it refuses, and another error when there is no answer. An agent
// that is just being restarted is waited for.
func (p plugin) announce(socket string, pod sandbox) error {
	body, err := json.Marshal(pod)
	if err != nil {
		return err
	}
	dial := func(ctx context.Context, _, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, "unix", socket)
	}
	client := http.Client{Timeout: p.answer, Transport: &http.Transport{DialContext: dial, DisableKeepAlives: true}}
	for deadline := time.Now().Add(p.connect); ; time.Sleep(100 * time.Millisecond) {
		response, err := client.Post("http://wishbone-node/cmdadd", "application/json", bytes.NewReader(body))
		if err != nil && time.Now().Before(deadline) {
			continue
		}
		if err != nil {
			return err
		}
		defer response.Body.Close()
		text, _ := io.ReadAll(io.LimitReader(response.Body, 4096))
		if response.StatusCode == http.StatusOK {
			return nil
		}
		return &failure{Code: codeAgentRefused, Msg: fmt.Sprintf("pod %s/%s cannot start: %s", pod.PodNamespace, pod.PodName, strings.TrimSpace(string(text)))}
	}
}
