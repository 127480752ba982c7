package client

// ExerciseData lets the tests beside a server of clienttest, which imports this package,
// go through the same calls as those beside a real Redis.
var ExerciseData = exerciseData
