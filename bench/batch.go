package main

// batch is for measurements that give several variants their figures at once,
// such as the percentiles of one distribution. Each variant is asked for once a
// round, so a measurement is made when one of them is asked for the second time.
type batch map[string]map[string]Reading // by measurement: what was not asked for yet, by variant

// take is the variant's figure of a measurement, which is made if need be.
func (b batch) take(measurement, variant string, measure func() (map[string]Reading, error)) (Reading, error) {
	if _, ok := b[measurement][variant]; !ok {
		readings, err := measure()
		if err != nil {
			return Reading{}, err
		}
		b[measurement] = readings
	}
	r := b[measurement][variant]
	delete(b[measurement], variant)
	return r, nil
}
