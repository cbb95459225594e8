/*
 * grammar_bench.c
 *		What a grammar costs: milliseconds for each token, with and without.
 *
 *	 grammar_bench [model.gguf [tokens [repetitions]]]
 *
 * One sequence, greedily, no drafts, without a grammar and with several in turn; the median of the
 * repetitions.  "first" is a grammar's first text, which makes the states and masks that later ones find.  The
 * last column is the first text's time in the grammar alone, walked over the same tokens without a model.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../engine/loaded_model.h"
#include "engine/engine.h"
#include "machine_limits.h"
#include "text/detokenize.h"

#define BUNDLED_MODEL "models/tinychat-6m.gguf"
#define MAX_REPETITIONS 50

typedef struct GrammarCase
{
	const char *name;
	const char *gbnf;			/* NULL: no grammar; "json": any JSON */
} GrammarCase;

static const GrammarCase cases[] = {
	{"none", NULL},
	{"any text", "root ::= [^\\x00]*"},
	{"any JSON", "json"},
	{"an object", "root ::= \"{\\\"name\\\": \" s \", \\\"age\\\": \" [0-9]{1,3} \", \\\"tags\\\": [\" s (\", \" s)* \"], \\\"text\\\": \" s \"}\"\n"
	"s ::= \"\\\"\" [^\"\\\\\\x00-\\x1F]* \"\\\"\""},
	{"at most 4000 characters", "root ::= [^\\x00]{1,4000}"},
};

#define N_CASES ((int) (sizeof(cases) / sizeof(cases[0])))

typedef struct Bench
{
	LoadedModel loaded;
	LlmVocabulary *vocabulary;
	LlmEngine  *engine;
	int			n_tokens;
	LlmTokenResult *results;
	int			n_results;
} Bench;

static void
fail(const char *message)
{
	fprintf(stderr, "grammar_bench: %s\n", message);
	exit(1);
}

static void
load(Bench *bench, const char *path)
{
	LlmEngineOptions options;
	LlmError	error = {0};
	LlmModelFile *file = llm_model_open(path, &error);
	uint64_t	size;

	if (file == NULL)
		fail(error.message);
	size = llm_model_vocabulary_size(file);
	bench->vocabulary = aligned_alloc(64, (size + 63) / 64 * 64);
	if (bench->vocabulary == NULL || !llm_model_build_vocabulary(file, bench->vocabulary, size, &error) ||
		!load_model(&bench->loaded, path))
		fail("the model cannot be loaded");
	llm_model_close(file);
	llm_engine_defaults(&options);
	options.context_length = bench->n_tokens + 16;
	options.max_sequences = 1;
	options.speculation = false;
	bench->engine = llm_engine_create(&bench->loaded.model, bench->vocabulary, &options, &error);
	if (bench->engine == NULL)
		fail(error.message);
	bench->results = calloc((size_t) bench->n_tokens, sizeof(LlmTokenResult));
}

/* Milliseconds for each token after the first. */
static double
run(Bench *bench, const LlmGrammar *grammar)
{
	int32_t		prompt[] = {1, 300, 301, 302};
	LlmRequest	request = {
		.kind = LLM_GENERATE, .prompt = prompt, .n_prompt = 4, .max_tokens = bench->n_tokens, .results = bench->results,
		.grammar = grammar, .grammar_bytes = grammar != NULL ? grammar->size : 0
	};
	LlmError	error = {0};
	double		started;

	llm_sampling_defaults(&request.sampling);
	request.sampling.temperature = 0;
	request.sampling.ignore_eos = true;
	if (!llm_engine_submit(bench->engine, &request, &error))
		fail(error.message);
	while (request.n_results == 0)
		llm_engine_step(bench->engine);
	started = seconds_now();
	while (llm_engine_step(bench->engine) > 0)
		;
	bench->n_results = request.n_results;
	return 1000 * (seconds_now() - started) / (request.n_results > 1 ? request.n_results - 1 : 1);
}

/* The same tokens through the constraint alone. */
static double
run_alone(Bench *bench, const LlmGrammar *grammar)
{
	LlmConstraints *constraints = llm_constraints_create(bench->vocabulary, 0);
	LlmError	error = {0};
	LlmConstraint *constraint;
	double		started;

	/* the tree of tokens is made once for a model */
	llm_constraint_end(llm_constraint_begin(constraints, grammar, grammar->size, bench->n_tokens, false, LLM_ON_LIMIT_CLOSE, &error));
	constraint = llm_constraint_begin(constraints, grammar, grammar->size, bench->n_tokens, false, LLM_ON_LIMIT_CLOSE, &error);
	started = seconds_now();
	for (int i = 0; i < bench->n_results; i++)
	{
		if (llm_constraint_forced(constraint) < 0 && llm_constraint_mask(constraint, &error) == NULL)
			fail(error.message);
		if (llm_constraint_take(constraint, bench->results[i].token, bench->n_tokens - i - 1, &error) < 0)
			fail(error.message);
	}
	started = seconds_now() - started;
	llm_constraint_end(constraint);
	llm_constraints_free(constraints);
	return 1000 * started / (bench->n_results > 0 ? bench->n_results : 1);
}

int
main(int argc, char **argv)
{
	Bench		bench = {.n_tokens = argc > 2 ? atoi(argv[2]) : 128};
	int			n_repetitions = argc > 3 ? atoi(argv[3]) : 5;
	LlmGrammar *grammars[N_CASES] = {NULL};
	double		first[N_CASES];
	double		later[N_CASES][MAX_REPETITIONS];
	double		alone[N_CASES] = {0};
	int			n_results[N_CASES];
	LlmError	error = {0};

	if (bench.n_tokens < 2 || n_repetitions < 1 || n_repetitions > MAX_REPETITIONS)
		fail("tokens must be at least 2, repetitions from 1 to 50");
	load(&bench, argc > 1 ? argv[1] : BUNDLED_MODEL);
	run(&bench, NULL);
	for (int i = 0; i < N_CASES; i++)
	{
		if (cases[i].gbnf != NULL)
			grammars[i] = strcmp(cases[i].gbnf, "json") == 0 ? llm_grammar_from_json(&error) :
				llm_grammar_from_gbnf(cases[i].gbnf, strlen(cases[i].gbnf), &error);
		if (cases[i].gbnf != NULL && grammars[i] == NULL)
			fail(error.message);
		first[i] = run(&bench, grammars[i]);
		n_results[i] = bench.n_results;
		if (grammars[i] != NULL)
			alone[i] = run_alone(&bench, grammars[i]);
	}
	for (int k = 0; k < n_repetitions; k++)
	{
		for (int i = 0; i < N_CASES; i++)
			later[i][k] = run(&bench, grammars[i]);
	}
	printf("grammars %s, vocabulary of %d tokens, %d tokens, median of %d\n\n", argc > 1 ? argv[1] : BUNDLED_MODEL,
		   llm_vocabulary_count(bench.vocabulary), bench.n_tokens, n_repetitions);
	printf("%-26s %8s %12s %12s %9s %16s %9s\n", "grammar", "tokens", "first ms", "later ms", "of none", "grammar alone ms", "of none");
	for (int i = 0; i < N_CASES; i++)
	{
		double		median = median_of(later[i], n_repetitions);
		double		none = median_of(later[0], n_repetitions);

		printf("%-26s %8d %12.3f %12.3f %+8.1f%% %16.3f %+8.1f%%\n", cases[i].name, n_results[i], first[i], median,
			   100 * (median / none - 1), alone[i], 100 * alone[i] / none);
		free(grammars[i]);
	}
	return 0;
}
