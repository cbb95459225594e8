/*
 * standalone.h
 *		A main for fuzzers that are built without libFuzzer.
 *
 * A fuzzer includes this and defines LLVMFuzzerTestOneInput.  Compiled with
 * clang -fsanitize=fuzzer, libFuzzer drives it, whose main goes before this
 * weak one; compiled plainly, it is a TAP program that runs the files named as
 * arguments, or FUZZ_RUNS (20000) random inputs.  A fuzzer that defines
 * FUZZ_OWN_MAIN brings a main of its own, which must be weak too.
 */
#ifndef FUZZ_STANDALONE_H
#define FUZZ_STANDALONE_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "../engine/tap.h"

extern int	LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define FUZZ_LONGEST_INPUT 2048

/* xorshift64 (Marsaglia 2003): the same inputs on every machine. */
static inline uint32_t
fuzz_random(uint64_t *state)
{
	*state ^= *state << 13;
	*state ^= *state >> 7;
	*state ^= *state << 17;
	return (uint32_t) (*state >> 32);
}

/* Run one input from memory that ends where the input ends, for a sanitizer to guard. */
static inline void
fuzz_one(const uint8_t *data, size_t size)
{
	uint8_t    *copy = malloc(size > 0 ? size : 1);

	if (copy == NULL)
		abort();
	memcpy(copy, data, size);
	LLVMFuzzerTestOneInput(copy, size);
	free(copy);
}

static inline bool
fuzz_file(const char *path)
{
	static uint8_t data[1 << 20];
	FILE	   *file = fopen(path, "rb");
	size_t		size;

	if (file == NULL)
		return false;
	size = fread(data, 1, sizeof(data), file);
	fclose(file);
	fuzz_one(data, size);
	return true;
}

/* Bytes of all values, of few values, and repetitions, in turn. */
static inline size_t
fuzz_input(uint64_t *state, uint8_t *data)
{
	size_t		size = fuzz_random(state) % (fuzz_random(state) % 8 ? 256 : FUZZ_LONGEST_INPUT);
	uint32_t	few = 1 + fuzz_random(state) % 8;
	size_t		i = 0;

	while (i < size)
	{
		uint32_t	dice = fuzz_random(state) % 8;

		if (dice == 0 && i > 0)
		{
			size_t		length = 1 + fuzz_random(state) % 16;
			size_t		from = fuzz_random(state) % i;

			while (length-- > 0 && i < size)
				data[i++] = data[from++];
		}
		else
			data[i++] = (uint8_t) (dice < 4 ? 'a' + fuzz_random(state) % few : fuzz_random(state));
	}
	return size;
}

/* A fuzzer whose inputs are of another make defines FUZZ_OWN_MAIN. */
#ifndef FUZZ_OWN_MAIN
__attribute__((weak))
int
main(int argc, char **argv)
{
	static uint8_t data[FUZZ_LONGEST_INPUT];
	const char *runs = getenv("FUZZ_RUNS");
	long		n_runs = runs != NULL ? strtol(runs, NULL, 10) : 20000;
	uint64_t	state = 88172645463325252;
	long		run;
	int			i;

	for (i = 1; i < argc; i++)
		ok(fuzz_file(argv[i]), "%s", argv[i]);
	if (argc == 1)
	{
		for (run = 0; run < n_runs; run++)
			fuzz_one(data, fuzz_input(&state, data));
		ok(true, "%ld random inputs", n_runs);
	}
	return done_testing();
}

#endif							/* FUZZ_OWN_MAIN */

#endif							/* FUZZ_STANDALONE_H */
