// Package source holds nothing but a test: that the source keeps the rules which
// its file names promise. The test parses files instead of building them, so that
// it sees those of every system, processor and build tag in one run.
package source
