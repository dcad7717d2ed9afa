// Plain Groth16 of a chain of squarings with gnark: `go run . LENGTH REPEAT` prints its figures as one line of JSON.
package main

import (
	"encoding/json"
	"fmt"
	"os"
	"strconv"
	"syscall"
	"time"

	"github.com/consensys/gnark-crypto/ecc"
	"github.com/consensys/gnark-crypto/ecc/bn254/fr"
	"github.com/consensys/gnark/backend/groth16"
	"github.com/consensys/gnark/frontend"
	"github.com/consensys/gnark/frontend/cs/r1cs"
	"github.com/consensys/gnark/logger"
)

// Chain says that End is Start squared so many times.
type Chain struct {
	length int
	End    frontend.Variable `gnark:",public"`
	Start  frontend.Variable
}

// Define has one constraint for each squaring, the last of which gives End.
func (c *Chain) Define(api frontend.API) error {
	value := c.Start
	for k := 1; k < c.length; k++ {
		value = api.Mul(value, value)
	}
	api.AssertIsEqual(api.Mul(value, value), c.End)
	return nil
}

func processor() float64 {
	var usage syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &usage); err != nil {
		panic(err)
	}
	return float64(usage.Utime.Nano()+usage.Stime.Nano()) / 1e9
}

func must[T any](value T, err error) T {
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	return value
}

func main() {
	logger.Disable()
	length, repeat := must(strconv.Atoi(os.Args[1])), must(strconv.Atoi(os.Args[2]))
	field := ecc.BN254.ScalarField()
	system := must(frontend.Compile(field, r1cs.NewBuilder, &Chain{length: length}))

	started := time.Now()
	pk, vk, err := groth16.Setup(system)
	must(0, err)
	setup := time.Since(started).Seconds()

	var start, end fr.Element
	start.SetUint64(3)
	end.Set(&start)
	for k := 0; k < length; k++ {
		end.Square(&end)
	}
	witness := must(frontend.NewWitness(&Chain{Start: start, End: end}, field))
	public := must(witness.Public())

	found := map[string]any{"setup": setup, "constraints": system.GetNbConstraints()}
	var prove, cpu, verify []float64
	valid := true
	for run := 0; run <= repeat; run++ { // the first is not counted
		started, used := time.Now(), processor()
		proof := must(groth16.Prove(system, pk, witness))
		seconds, spent := time.Since(started).Seconds(), processor()-used
		started = time.Now()
		valid = valid && groth16.Verify(proof, vk, public) == nil
		if run > 0 {
			prove, cpu, verify = append(prove, seconds), append(cpu, spent), append(verify, time.Since(started).Seconds())
		}
	}
	found["prove"], found["cpu"], found["verify"], found["valid"] = prove, cpu, verify, valid
	fmt.Println(string(must(json.Marshal(found))))
}
