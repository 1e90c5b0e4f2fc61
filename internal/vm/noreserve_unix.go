//go:build unix && !linux && !aix && !solaris && (amd64 || arm64 || loong64 || riscv64)

package vm

const noReserve = 0
