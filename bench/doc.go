// Command bench measures what cowheap costs, each time beside what else could
// have been done on the same machine in the same minute.
//
//	go run ./bench                       lists the cases
//	go run ./bench pause fault           runs two of them
//	go run ./bench -json -size 1GiB all  runs all; one JSON object a line
//	go run ./bench -only busy fault      measures some variants of one
//	go run ./bench -only uniform/1 -rounds 5 checkpoint-tax
//	go run ./bench -only /1% frames      what saving such a state costs a game
//	go run ./bench -quick -rounds 1 all  small sizes: does everything still run?
//	go run ./bench report -out DIR       measures everything: text, lines and plots
//	go run ./bench compare OLD NEW       has something become slower? (JSON lines)
//
// The words:
//
//   - A Case is one question. Its Variants are the ways to do one thing, measured
//     in turns: every round measures each of them once.
//   - A figure is the median over the rounds. Figures in absolute terms move from
//     machine to machine; the ratio of two variants of one run is what to keep.
//   - The reference of a variant is the variant that its ratio is taken to.
//   - A series is what something took over time about an instant, of the round that is
//     the median one: an object of its own among the lines, which compare passes over.
//   - A Bound is what the ratio of two variants should be, or a variant's own
//     figure. A missed one is printed and is no failure of the program.
//
// What holds for every case:
//
//  1. A round before the first is thrown away, so that memory, files and code are
//     warm; a case whose rounds take minutes warms up by itself. On a virtual machine
//     the first touch ever of a page costs some 10 us, whatever does it.
//  2. The garbage collector is off while something is measured, and runs in
//     between. What a collection costs beside an arena is not measured here.
//  3. What a variant needs before the clock starts (filling memory, lifting old
//     protection, starting a second thread) is not in its figure.
//  4. A variant checks that it did what its name says (pages preserved, faults
//     counted, children reaped) and fails instead of giving a figure otherwise.
//  5. A variant that this machine cannot do is skipped, with the reason.
package main
