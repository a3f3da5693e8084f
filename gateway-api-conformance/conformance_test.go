// Package conformance compiles the upstream Gateway API conformance suite, unmodified; src/main.ts runs it.
package conformance

import (
	"encoding/json"
	"os"
	"testing"

	"sigs.k8s.io/gateway-api/conformance"
	"sigs.k8s.io/gateway-api/conformance/tests"
	"sigs.k8s.io/gateway-api/conformance/utils/suite"
	"sigs.k8s.io/gateway-api/pkg/features"
)

func TestConformance(t *testing.T) { conformance.RunConformance(t) }

// TestCatalogue writes what the suite consists of to $CATALOGUE as JSON: a run must be able to tell what it left out.
func TestCatalogue(t *testing.T) {
	type profile struct {
		Name     suite.ConformanceProfileName `json:"name"`
		Core     []features.FeatureName       `json:"core"`
		Extended []features.FeatureName       `json:"extended"`
	}
	type test struct {
		Name     string                 `json:"name"`
		Features []features.FeatureName `json:"features"`
	}
	var catalogue struct {
		Profiles []profile `json:"profiles"`
		Tests    []test    `json:"tests"`
	}
	for _, p := range []suite.ConformanceProfile{
		suite.GatewayHTTPConformanceProfile, suite.GatewayTLSConformanceProfile, suite.GatewayTCPConformanceProfile,
		suite.GatewayUDPConformanceProfile, suite.GatewayGRPCConformanceProfile,
		suite.MeshHTTPConformanceProfile, suite.MeshGRPCConformanceProfile,
	} {
		core, extended := p.CoreFeatures.UnsortedList(), p.ExtendedFeatures.UnsortedList()
		catalogue.Profiles = append(catalogue.Profiles, profile{p.Name, core, extended})
	}
	for _, c := range tests.ConformanceTests {
		catalogue.Tests = append(catalogue.Tests, test{c.ShortName, c.Features})
	}
	text, err := json.Marshal(catalogue)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(os.Getenv("CATALOGUE"), text, 0o600); err != nil {
		t.Fatal(err)
	}
}
