// Package bench holds no code: its benchmarks measure imgforge against the
// programs that it stands in for, side by side in one run, and print ratios.
// make bench runs them; a reader judges the numbers, no test does.
package bench
