// Package uffd is the kernel's interface for noticing page faults, in pure Go: userfaultfd with write protection, copying
// pages in, and PAGEMAP_SCAN. It also finds out what this machine lacks, why, and what to do about it.
//
// Words:
//
//   - a range of memory is registered with a descriptor ([FD]) for missing faults (first touch of a page that is not
//     there), write-protect faults, or both;
//   - a page is protected, and a write to it is a fault until the protection is lifted;
//   - a page that was never touched has no memory to protect: its protection is a marker (FeatureWPUnpopulated);
//   - sync: the program resolves a write fault ([FeatureSIGBUS]: in a signal handler on the thread that took it); async
//     ([FeatureWPAsync]): the kernel lifts the protection, and [Pagemap] tells afterwards which pages were written. A descriptor
//     is one or the other for life;
//   - a probe asks the machine one question: [HaveWPUnpopulated] and its like.
//
// What holds:
//
//  1. All addresses and lengths are in bytes and multiples of the page size, unless a method says otherwise. Memory handed over
//     by address is outside the Go heap or kept alive, and not moved, by the caller.
//  2. Methods may be called from many goroutines at once, except FD.Close, which must be the last.
//  3. Requests that may take long tell the scheduler, so a stop-the-world does not wait for them. They do wait for the kernel's
//     memory lock, and hold it: keep them to 16 MiB where other threads map memory.
//  4. No method touches the memory it is about, so none can take a fault that it would have to resolve.
//  5. What is definitely not there is a [*NotSupportedError]: errors.Is(err, ErrNotSupported), with feature, reason, kernel version
//     and remedy. What the kernel refused is an [*OpError] around the errno. Anything else could not be told, and a
//     probe that ends so is run again when asked again.
//  6. Descriptors are close-on-exec. A dropped FD or Pagemap is closed.
//
// The signal handler of internal/trap makes its requests by raw system calls; for it the request numbers and structs are exported.
package uffd
