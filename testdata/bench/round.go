package main

import (
	"math"
	"slices"
	"time"
)

// A result is what was measured in each mode, one number a round.
type result map[string][]float64

// tooLong is how long a measurement may take to be made more than once.
const tooLong = 15 * time.Second

// measure takes one measurement in each mode, and so on in turns. One that takes too
// long is made in the first round only.
func (l *lab) measure(modes []mode, f func(mode) (float64, error)) (result, error) {
	return measureRounds(l.count, modes, f)
}

func measureRounds(rounds int, modes []mode, f func(mode) (float64, error)) (result, error) {
	r := make(result)
	slow := make(map[string]bool)
	for range rounds {
		for _, m := range modes {
			if slow[m.name] {
				continue
			}
			begun := time.Now()
			x, err := f(m)
			if err != nil {
				return nil, err
			}
			r[m.name] = append(r[m.name], x)
			slow[m.name] = time.Since(begun) > tooLong
		}
	}
	return r, nil
}

// measureSeconds times a command in each mode.
func (l *lab) measureSeconds(modes []mode, f func(mode) (time.Duration, error)) (result, error) {
	return l.measure(modes, func(m mode) (float64, error) {
		took, err := f(m)
		return took.Seconds(), err
	})
}

// median is the middle of what was measured in a mode, NaN if nothing was.
func (r result) median(mode string) float64 { return median(r[mode]) }

// ratio is how much more a is than b: the median of the rounds' ratios, so that what
// slows down a whole round changes nothing.
func (r result) ratio(a, b string) float64 {
	return r.perRound(func(i int) float64 { return r[a][i] / r[b][i] }, a, b)
}

// added is how much more a costs than bare, in terms of what b costs more than bare.
func (r result) added(a, b string) float64 {
	return r.perRound(func(i int) float64 {
		return (r[a][i] - r[bare][i]) / (r[b][i] - r[bare][i])
	}, a, b, bare)
}

// perRound is the median of f over the rounds that all of modes took part in.
func (r result) perRound(f func(round int) float64, modes ...string) float64 {
	rounds := math.MaxInt
	for _, m := range modes {
		rounds = min(rounds, len(r[m]))
	}
	all := make([]float64, rounds)
	for i := range all {
		all[i] = f(i)
	}
	return median(all)
}

func median(list []float64) float64 {
	if len(list) == 0 {
		return math.NaN()
	}
	sorted := slices.Sorted(slices.Values(list))
	n := len(sorted)
	return (sorted[(n-1)/2] + sorted[n/2]) / 2
}
