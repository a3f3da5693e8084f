module wishbone.dev/cluster/pause

go 1.25
