// Command istioctl has of Istio's istioctl one command, `istioctl ztunnel-config WHAT -f FILE`, with the code that reads a dump
// and prints it; the whole program would take minutes to build. A world reads dumps of Wishbone's ztunnel with it:
//
//	cd tools/istioctl && CGO_ENABLED=0 GOTOOLCHAIN=go1.27.0 go build -o "$HOME/.cache/wishbone/tools/istioctl" .
//	ISTIOCTL=$HOME/.cache/wishbone/tools/istioctl npm test -- worlds
package main

import (
	"fmt"
	"os"

	"istio.io/istio/istioctl/pkg/writer/ztunnel/configdump"
)

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run(args []string) error {
	if len(args) != 4 || args[0] != "ztunnel-config" || args[2] != "-f" {
		return fmt.Errorf("usage: istioctl ztunnel-config all|certificates|connections|policies|services|workloads -f FILE")
	}
	dump, err := os.ReadFile(args[3])
	if err != nil {
		return err
	}
	writer := &configdump.ConfigWriter{Stdout: os.Stdout, FullDump: dump}
	if err := writer.Prime(dump); err != nil {
		return err
	}
	switch args[1] {
	case "all":
		return writer.PrintFullSummary(true)
	case "certificates":
		return writer.PrintSecretSummary()
	case "connections":
		return writer.PrintConnectionsSummary(configdump.ConnectionsFilter{})
	case "policies":
		return writer.PrintPolicySummary(configdump.PolicyFilter{})
	case "services":
		return writer.PrintServiceSummary(configdump.ServiceFilter{})
	case "workloads":
		return writer.PrintWorkloadSummary(configdump.WorkloadFilter{})
	}
	return fmt.Errorf("there is no ztunnel-config %s", args[1])
}
