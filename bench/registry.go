package main

// cases has every case, in the order in which they are listed and run.
func cases() []*Case {
	return []*Case{
		seedCase(),
		pauseCase(),
		armingTaxCase(),
		faultCase(),
		containersCase(),
		gcCase(),
		snapshotTaxCase(),
		framesCase(),
		rollbackCase(),
		forkCase(),
		allocCase(),
		checkpointCase(),
		checkpointTaxCase(),
		storeCase(),
		restoreCase(),
		prefetchCase(),
		growthCase(),
		redisCase(),
	}
}
