module wishbone.dev/cni

go 1.24
