// Command rollback is a game for several players without a server, as fighting games
// are played: every peer simulates at once with the inputs that it has and guesses the
// others', and when it guessed wrong it goes back to that frame and simulates again.
// The state, 37 MiB with 20,480 moving entities, is a cowheap heap; going back is
// cowheap.Frames. Each peer is a process of its own, and they talk by UDP on this
// machine, over a network that is made slow and lossy on purpose.
//
//	go run ./examples/rollback                4 peers, 80 ms ± 20 ms, 10 s
//	go run ./examples/rollback -loss 20       and every fifth packet lost
//	go run ./examples/rollback -synctest      one peer that goes back 8 frames in every frame
//	go run ./examples/rollback -desync 200    a bug in one peer: which frame, which page?
//
// To read it: simulation.go has the types in the heap and what a frame does; game.go
// saving, loading and simulating again; peer.go the loop of a peer; desync.go how
// peers find out where they differ. inputs.go is what is known of the players and
// what is guessed, wire.go and link.go the network, match.go and child.go the
// processes.
//
// A frame writes about a tenth of the pages. The copy guard copies all of them
// nevertheless: four peers on two processors then play slower than 60 frames a
// second. They never play differently.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/cowheap/cowheap/arena"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop) // a second signal ends the process
	err := run(ctx, os.Args[1:], os.Stdin, os.Stdout, os.Stderr)
	switch {
	case errors.Is(err, flag.ErrHelp):
	case errors.Is(err, errUsage): // said already
		os.Exit(2)
	case errors.Is(err, errTold):
		os.Exit(1)
	case err != nil:
		fmt.Fprintln(os.Stderr, "rollback:", err)
		os.Exit(1)
	}
}

// maxPeers is how many players the state has room for.
const maxPeers = 8

// settings are what the command line says.
type settings struct {
	guard    arena.Guard
	seconds  float64
	weather  weather
	peers    int
	synctest bool
	spoil    int // frame in which the last peer has a bit flipped; -1: none
	peer     int // the number of this one; -1: the parent of all
}

// run is the program without the process around it.
func run(ctx context.Context, args []string, stdin io.Reader, stdout, stderr io.Writer) error {
	var s settings
	if err := s.parse(args, stderr); err != nil {
		return err
	}
	switch {
	case s.peer >= 0:
		return child(ctx, s, stdin, stdout)
	case s.synctest:
		return synctest(ctx, s, newPrinter(stdout))
	}
	return match(ctx, s, newPrinter(stdout), stderr)
}

// errUsage: the command line was wrong, and stderr has the reason.
var errUsage = errors.New("usage")

func (s *settings) parse(args []string, stderr io.Writer) error {
	s.guard = chooseGuard()
	set := flag.NewFlagSet("rollback", flag.ContinueOnError)
	set.SetOutput(stderr)
	set.TextVar(&s.guard, "guard", s.guard, "how the heap notices first writes: shadow, userfault, mprotect, copy or `auto`")
	set.Float64Var(&s.seconds, "seconds", 10, "length of the game, at 60 frames a second")
	set.DurationVar(&s.weather.Delay, "delay", 80*time.Millisecond, "what a packet takes")
	set.DurationVar(&s.weather.Jitter, "jitter", 20*time.Millisecond, "by how much more or less")
	loss := set.Float64("loss", 0, "`percent` of the packets that are lost")
	set.IntVar(&s.peers, "peers", 4, "players, each a process")
	set.BoolVar(&s.synctest, "synctest", false, "one process that goes back as far as it can in every frame, and compares checksums")
	set.IntVar(&s.spoil, "desync", -1, "flip a bit in the state of the last peer before this `frame`")
	set.IntVar(&s.peer, "peer", -1, "be this peer (for the program itself)")
	set.Usage = func() {
		fmt.Fprint(stderr, "Usage: rollback [flags]\n\n")
		set.PrintDefaults()
	}
	if err := set.Parse(args); err != nil {
		if errors.Is(err, flag.ErrHelp) {
			return err
		}
		return errUsage
	}
	s.weather.Loss = *loss / 100
	wrong := ""
	switch {
	case set.NArg() > 0:
		wrong = fmt.Sprintf("argument %q: there are only flags", set.Arg(0))
	case s.peers < 2 || s.peers > maxPeers:
		wrong = fmt.Sprintf("-peers %d: want 2 to %d", s.peers, maxPeers)
	case s.seconds <= 0 || s.seconds > 24*3600:
		wrong = fmt.Sprintf("-seconds %v: want more than 0, and a day at most", s.seconds)
	case *loss < 0 || *loss > 90:
		wrong = fmt.Sprintf("-loss %v: want 0 to 90", *loss)
	case s.weather.Delay < 0 || s.weather.Jitter < 0 || s.weather.Delay > time.Minute || s.weather.Jitter > time.Minute:
		wrong = "-delay and -jitter: want 0 to a minute"
	case s.peer >= s.peers:
		wrong = fmt.Sprintf("-peer %d of %d", s.peer, s.peers)
	}
	if wrong != "" {
		fmt.Fprintln(stderr, wrong)
		return errUsage
	}
	return nil
}

// args are the flags of a peer's process.
func (s settings) args(peer int) []string {
	return []string{
		"-guard", s.guard.String(), "-seconds", fmt.Sprint(s.seconds), "-delay", s.weather.Delay.String(), "-jitter", s.weather.Jitter.String(),
		"-loss", fmt.Sprint(s.weather.Loss * 100), "-peers", fmt.Sprint(s.peers), "-desync", fmt.Sprint(s.spoil), "-peer", fmt.Sprint(peer),
	}
}
