package client

// What the tests beside a server of clienttest, which imports this package, share with
// those beside a real Redis.
var (
	ExerciseData  = exerciseData
	ExerciseBatch = exerciseBatch
	ExerciseRaw   = exerciseRaw
	ExerciseTyped = exerciseTyped
)
