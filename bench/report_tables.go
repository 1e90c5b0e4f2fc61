package main

// What a report says first of each case, and what it holds against a limit. A variant that there is not
// fails a test.

// findings are those of the cases. The first that was measured is the sentence that a case begins with.
var findings = map[string][]finding{
	"seed": {
		{"Write-protecting memory that nobody has touched", "wp-unpopulate/thp=off", "one ioctl", "pre-read/thp=off", "bringing every page in first"},
		{"The same", "wp-unpopulate/thp=off", "one ioctl", "madvise/thp=off", "MADV_POPULATE_READ first"},
	},
	"pause": {
		{"Writers at full speed are held, 8 GiB", "userfault/4k/loaded/8GiB", "cowheap", "fork/4k/loaded/8GiB", "fork(2)"},
		{"Writers at full speed are held, 2 GiB", "userfault/4k/loaded/2GiB", "cowheap", "fork/4k/loaded/2GiB", "fork(2)"},
		{"Writers at full speed are held, 512 MiB", "userfault/4k/loaded/512MiB", "cowheap", "fork/4k/loaded/512MiB", "fork(2)"},
		{"8 GiB, all protected at the instant", "wholesale/4k/loaded/8GiB", "cowheap", "fork/4k/loaded/8GiB", "fork(2)"},
		{"Nobody writing", "userfault/4k", "cowheap", "fork/4k", "fork(2)"},
		{"Nobody writing", "userfault/4k", "cowheap", "copy/4k", "memcpy of everything"},
	},
	"arming-tax": {
		{"The longest update while the state is frozen", "ahead/during/longest", "cowheap", "fork/during/longest", "fork(2)"},
		{"The same", "ahead/during/longest", "cowheap", "copy/during/longest", "a full copy"},
		{"p99.9 of the time meanwhile", "ahead/during/p99.9", "cowheap", "fork/during/p99.9", "fork(2)"},
		{"Half of the time meanwhile", "ahead/during/p50", "cowheap", "fork/during/p50", "fork(2)"},
	},
	"fault": {
		{"The first write to a page at random, quiet", wayUserfault + "/quiet", "cowheap", wayFork + "/quiet", "fork's copy-on-write"},
		{"The same, another thread running", wayUserfault + "/busy", "cowheap", wayFork + "/busy", "fork's copy-on-write"},
		{"Pages in order, quiet", waySequential + "/quiet", "cowheap", wayUserfault + "/quiet", "cowheap, at random"},
		{"Guard shadow, quiet", wayShadow + "/quiet", "cowheap", wayFork + "/quiet", "fork's copy-on-write"},
		{"A fault that a goroutine resolves, quiet", wayUserfault + "/quiet", "cowheap", wayGoroutine + "/quiet", "a goroutine"},
	},
	"containers": {
		{"Get, keys are numbers", "map/get/uint64", "cowheap Map", "go-map/get/uint64", "Go's map"},
		{"Set, keys are numbers", "map/set/uint64", "cowheap Map", "go-map/set/uint64", "Go's map"},
		{"Get, keys are numbers", "btree/get/uint64", "cowheap BTree", "tidwall/get/uint64", "tidwall/btree"},
		{"Set, keys are numbers", "btree/set/uint64", "cowheap BTree", "tidwall/set/uint64", "tidwall/btree"},
		{"Get, keys are strings", "map/get/string20", "cowheap Map", "go-map/get/string20", "Go's map"},
	},
	"gc": {
		{"One garbage collection", "heap-map/wall", "records in a cowheap Map", "pointers/wall", "map of pointers"},
		{"Processor time of one", "heap-map/cpu", "records in a cowheap Map", "pointers/cpu", "map of pointers"},
	},
	"snapshot-tax": {
		{"The longest operation while a snapshot is taken and read", "map/during/max", "cowheap Map", "full-copy/during/max", "Go's map, copied"},
		{"The same", "btree/during/max", "cowheap BTree", "tidwall/during/max", "tidwall/btree Copy"},
		{"The same", "map/during/max", "cowheap Map", "memdb/during/max", "go-memdb Snapshot"},
		{"Operations before, the price of sharing", "map/before/rate", "cowheap Map", "memdb/before/rate", "go-memdb"},
		{"Operations meanwhile", "map/during/rate", "cowheap Map", "memdb/during/rate", "go-memdb"},
		{"Operations meanwhile", "btree/during/rate", "cowheap BTree", "tidwall/during/rate", "tidwall/btree"},
	},
	"frames": {
		{"Saving a frame of 64 MiB, 1% written", "shadow/save/64MiB/1%", "guard shadow", "memcpy/save/64MiB/1%", "memcpy of everything"},
		{"Going back eight of them", "shadow/load8/64MiB/1%", "guard shadow", "memcpy/load/64MiB/1%", "memcpy of everything"},
		{"Saving it, the same pages in every frame", "shadow/save/64MiB/1%/same", "guard shadow", "memcpy/save/64MiB/1%/same", "memcpy of everything"},
		{"Saving a frame of 1 GiB, 0.1% written", "shadow/save/1GiB/0.1%", "guard shadow", "memcpy/save/1GiB/0.1%", "memcpy of everything"},
		{"Saving a frame of 64 MiB, 50% written", "shadow/save/64MiB/50%", "guard shadow", "memcpy/save/64MiB/50%", "memcpy of everything"},
	},
	"rollback": {
		{"Putting single pages back, a page", "late/run1/quiet", "copies, then one pass", "discard/run1/quiet", "discard and UFFDIO_COPY"},
		{"Runs of 16 pages, a page", "copy/run16/quiet", "copy and protect", "discard/run16/quiet", "discard and UFFDIO_COPY"},
		{"Runs of 512 pages, a page", "copy/run512/quiet", "copy and protect", "discard/run512/quiet", "discard and UFFDIO_COPY"},
	},
	"fork": {
		{"A second state is there", "userfault/open", "cowheap", "fork/open", "fork(2)"},
		{"And 1% of it was written", "userfault/touch1", "cowheap", "fork/touch1", "fork(2)"},
		{"And all of it was", "userfault/touchall", "cowheap", "fork/touchall", "fork(2)"},
		{"And all has been brought in", "userfault/populate", "cowheap", "memcpy/open", "memcpy"},
	},
	"alloc": {
		{"Allocating and freeing 64 bytes", "cowheap/now/64/one", "cowheap", "new/now/64/one", "Go's new"},
		{"The same, 100,000 live", "cowheap/set/64/one", "cowheap", "new/set/64/one", "Go's new"},
		{"4 KiB, 100,000 live", "cowheap/set/4096/one", "cowheap", "new/set/4096/one", "Go's new"},
	},
	"checkpoint": {{"Writing a heap to disk", checkpointHeap, "cowheap", checkpointPlain, "a plain file"}},
	"checkpoint-tax": {
		{"What two writers at full speed lose over a checkpoint", "auto/uniform/2", "cowheap", "fork/uniform/2", "fork(2)"},
		{"What one loses, some pages hot", "auto/zipf/1", "cowheap", "fork/zipf/1", "fork(2)"},
		{"Memory beside the state, two writers", "auto/uniform/2/preserved", "cowheap", "fork/uniform/2/preserved", "fork(2)"},
		{"Memory beside the state, 10,000 updates a second", "auto/uniform/paced/preserved", "cowheap", "fork/uniform/paced/preserved", "fork(2)"},
	},
	"store": {
		{"A checkpoint after 1% of the pages were written", "time/1%/spread", "incremental", "time/full", "full"},
		{"Verifying", "verify", "Image.Verify", "crc/all", "a read with CRC32-C"},
		{"A state in 50 files", "open/50", "50 files", "open/1", "one file"},
		{"Compressing", "compress/s2", "s2", "compress/none", "none"},
	},
	"restore": {
		{"Eager restore", restoreEager, "cowheap", restoreCopy, "bare UFFDIO_COPY"},
		{"Lazy Open to the first byte", restoreOpenLarge, "64 times the state", restoreOpenSmall, "the small one"},
	},
	"prefetch": {
		{"Until 99% of the queries are quick, the same each time", prefetchLearned + prefetchSame, "with Learn", prefetchPlain + prefetchSame, "without"},
		{"Until 99% of the queries are quick, some pages hot", prefetchLearned + prefetchSteep, "with Learn", prefetchPlain + prefetchSteep, "without"},
		{"The same, more evenly", prefetchLearned + prefetchFlat, "with Learn", prefetchPlain + prefetchFlat, "without"},
	},
	"growth": {
		{"Writers at full speed are held, 16 GiB", "pause/userfault/4k/16GiB", "cowheap", "pause/fork/4k/16GiB", "fork(2)"},
		{"Writers at full speed are held, 8 GiB", "pause/userfault/4k/8GiB", "cowheap", "pause/fork/4k/8GiB", "fork(2)"},
		{"Writers at full speed are held, 4 GiB", "pause/userfault/4k/4GiB", "cowheap", "pause/fork/4k/4GiB", "fork(2)"},
		{"Writers at full speed are held, 1 GiB", "pause/userfault/4k/1GiB", "cowheap", "pause/fork/4k/1GiB", "fork(2)"},
		{"Writers at full speed are held, 1 GiB", "pause/userfault/4k/1GiB", "cowheap", "pause/copy/4k/1GiB", "memcpy of everything"},
		{"Writers at full speed are held, 64 MiB", "pause/userfault/4k/64MiB", "cowheap", "pause/memdb/64MiB", "go-memdb's pointer"},
		{"Writers at full speed are held, 64 MiB", "pause/userfault/4k/64MiB", "cowheap", "pause/tidwall/64MiB", "tidwall/btree's pointer"},
		{"From 64 MiB to 8 GiB", "pause/userfault/4k/8GiB", "8 GiB", "pause/userfault/4k/64MiB", "64 MiB"},
		{"Opening a checkpoint of 4 GiB", "open/lazy/4GiB", "lazy", "open/eager/4GiB", "eager"},
	},
	"redis": {
		{"The longest stall of a client during a save", "cowheap/during/longest", "cowheap", "redis/during/longest", "Redis"},
		{"p99.9 of its requests meanwhile", "cowheap/during/p99.9", "cowheap", "redis/during/p99.9", "Redis"},
		{"Median of its requests meanwhile", "cowheap/during/p50", "cowheap", "redis/during/p50", "Redis"},
		{"How long the save takes", "cowheap/save", "cowheap", "redis/save", "Redis"},
		{"Extra memory", "cowheap/extra/pss", "cowheap", "redis/extra/pss", "Redis"},
		{"The file", "cowheap/file", "cowheap", "redis/file", "Redis"},
	},
}

// limits are what the machine cannot do faster, measured in the same run, and what of cowheap is held
// against it: finding's right is the limit.
var limits = map[string][]finding{
	"pause": {
		{"an instant, nobody writing", "userfault/4k", "", "ioctl/4k", "one bare UFFDIO_WRITEPROTECT"},
		{"guard mprotect, nobody writing", "mprotect/4k", "", "mprotect-call/4k", "one bare mprotect"},
		{"guard shadow, nobody writing", "shadow/4k", "", "pagemap-scan/4k", "one bare PAGEMAP_SCAN"},
	},
	"arming-tax": {{"the longest update while the state is frozen", "ahead/during/longest", "", "ahead/before/longest", "the longest with nothing protected"}},
	"fault": {
		{"first write at random, quiet", wayUserfault + "/quiet", "", wayAsync + "/quiet", "a fault that the kernel ends alone"},
		{"first write at random, busy", wayUserfault + "/busy", "", wayAsync + "/busy", "a fault that the kernel ends alone"},
		{"first write, guard shadow, quiet", wayShadow + "/quiet", "", wayAsync + "/quiet", "a fault that the kernel ends alone"},
	},
	"containers": {
		{"Map, get of a number", "map/get/uint64", "", "go-map/get/uint64", "Go's map, no snapshots"},
		{"BTree, get of a number", "btree/get/uint64", "", "tidwall/get/uint64", "tidwall/btree"},
	},
	"gc":           {{"a collection beside a Map", "heap-map/wall", "", "nothing/wall", "a collection with no records"}},
	"snapshot-tax": {{"Map, p99.9 while a snapshot is read", "map/during/p99.9", "", "map/before/p99.9", "the same with no snapshot"}},
	"frames": {
		{"saving 64 MiB, half of it written", "shadow/save/64MiB/50%", "", "memcpy/save/64MiB/50%", "memcpy of all"},
		{"saving 64 MiB, 1% written", "shadow/save/64MiB/1%", "", "memcpy/save/64MiB/1%", "memcpy of all"},
	},
	"rollback":       {{"putting single pages back, a page", "late/run1/quiet", "", "copy/run512/quiet", "a copy in runs of 2 MiB"}},
	"fork":           {{"a second state, all brought in", "userfault/populate", "", "memcpy/open", "memcpy"}},
	"alloc":          {{"allocate and free 64 bytes", "cowheap/now/64/one", "", "new/now/64/one", "Go's new"}},
	"checkpoint":     {{"a heap to disk", checkpointHeap, "", checkpointPlain, "a plain write of as many bytes"}},
	"checkpoint-tax": {{"what a writer loses over a checkpoint", "auto/uniform/1", "", "live/uniform/1", "the kernel's own notes, nothing preserved"}},
	"store":          {{"verifying a checkpoint", "verify", "", "crc/all", "a plain read with CRC32-C"}},
	"restore":        {{"eager restore", restoreEager, "", restoreCopy, "bare UFFDIO_COPY of as many bytes"}},
	"growth":         {{"protecting 4 GiB while writers go on", "arming/userfault/4k/4GiB", "", "pause/wholesale/4k/4GiB", "one pass with writers held"}},
	"redis":          {{"a client's longest request during a save", "cowheap/during/longest", "", "cowheap/before/longest", "its longest before"}},
}
