/*
 * grammar_bench.c
 *		What a constraint costs: milliseconds for each token, with and without.
 *
 *	 grammar_bench [model.gguf [tokens [pairs [constraint]]]]
 *
 * One sequence, greedily, no drafts.  Each kind of constraint in turn, in pairs of a generation with it and one of as many
 * tokens without, by two engines that take turns token by token, so that what else the machine does meets both.  "Of none" is the
 * median of what the pairs differ by, and the interval that this median is in by 95% (order statistics), so that noise shows as its
 * width.
 * "First" is a grammar's first text, which makes the states and masks that later ones find.  "Alone" is the first text's time in
 * the grammar alone, walked over the same tokens without a model.
 */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../engine/json_tree_parse.h"
#include "../engine/loaded_model.h"
#include "engine/engine.h"
#include "machine_limits.h"
#include "text/detokenize.h"

#define BUNDLED_MODEL "models/tinychat-6m.gguf"
#define MAX_PAIRS 100
#define N_CHOICES 100

typedef LlmGrammar *(*MakeGrammar) (const char *source, LlmError *error);

typedef struct GrammarCase
{
	const char *name;
	MakeGrammar make;
	const char *source;
} GrammarCase;

static LlmGrammar *make_gbnf(const char *source, LlmError *error);
static LlmGrammar *make_regex(const char *source, LlmError *error);
static LlmGrammar *make_schema(const char *source, LlmError *error);
static LlmGrammar *make_choices(const char *source, LlmError *error);
static LlmGrammar *make_json(const char *source, LlmError *error);

static const GrammarCase cases[] = {
	{"json_schema", make_schema,
		"{\"type\": \"object\", \"properties\": {\"name\": {\"type\": \"string\", \"minLength\": 3}, \"age\": {\"type\": \"integer\", \"minimum\": 0, \"maximum\": 130},"
		" \"kind\": {\"enum\": [\"person\", \"company\"]}, \"tags\": {\"type\": \"array\", \"items\": {\"type\": \"string\", \"maxLength\": 20}, \"minItems\": 1},"
		" \"born\": {\"type\": \"string\", \"format\": \"date\"}, \"text\": {\"type\": \"string\", \"minLength\": 10}},"
	" \"required\": [\"name\", \"age\", \"kind\", \"tags\", \"born\", \"text\"]}"},
	{"json_schema, not, if", make_schema,
		"{\"type\": \"array\", \"minItems\": 1, \"items\": {\"type\": \"object\", \"properties\": {\"kind\": {\"enum\": [\"a\", \"b\", \"c\"]}, \"n\": {\"type\": \"integer\", \"multipleOf\": 7},"
		" \"text\": {\"type\": \"string\", \"not\": {\"pattern\": \"[0-9]{3}\"}}}, \"required\": [\"kind\"], \"if\": {\"properties\": {\"kind\": {\"const\": \"a\"}}},"
	" \"then\": {\"required\": [\"n\"]}, \"else\": {\"required\": [\"text\"]}}}"},
	{"json", make_json, NULL},
	{"regex", make_regex, "([A-Z][a-z]*( [a-z]+){3,12}\\. ){1,30}"},
	{"regex, 4000 characters", make_regex, "(.|\\n){40,4000}"},
	{"choices", make_choices, NULL},
	{"grammar", make_gbnf, "root ::= \"{\\\"name\\\": \" s \", \\\"age\\\": \" [0-9]{1,3} \", \\\"tags\\\": [\" s (\", \" s)* \"], \\\"text\\\": \" s \"}\"\n"
	"s ::= \"\\\"\" [^\"\\\\\\x00-\\x1F]{40,} \"\\\"\""},
	{"grammar, any text", make_gbnf, "root ::= [^\\x00]*"},
};

#define N_CASES ((int) (sizeof(cases) / sizeof(cases[0])))

typedef struct Bench
{
	LoadedModel loaded;
	LlmVocabulary *vocabulary;
	LlmEngine  *engines[2];		/* with a constraint, and without */
	int			n_tokens;
	LlmTokenResult *results[2];
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
	for (int i = 0; i < 2; i++)
	{
		bench->engines[i] = llm_engine_create(&bench->loaded.model, bench->vocabulary, &options, &error);
		if (bench->engines[i] == NULL)
			fail(error.message);
		bench->results[i] = calloc((size_t) bench->n_tokens, sizeof(LlmTokenResult));
	}
}

/* The prompt, and its first token. */
static void
start(Bench *bench, int which, LlmRequest *request, const LlmGrammar *grammar, int n_tokens)
{
	static const int32_t prompt[] = {1, 300, 301, 302};
	LlmError	error = {0};

	*request = (LlmRequest) {
		.kind = LLM_GENERATE, .prompt = prompt, .n_prompt = 4, .max_tokens = n_tokens, .results = bench->results[which],
		.grammar = grammar, .grammar_bytes = grammar != NULL ? grammar->size : 0
	};
	llm_sampling_defaults(&request->sampling);
	request->sampling.temperature = 0;
	request->sampling.ignore_eos = true;
	if (!llm_engine_submit(bench->engines[which], request, &error))
		fail(error.message);
	while (request->n_results == 0)
		llm_engine_step(bench->engines[which]);
}

static double
step(Bench *bench, int which)
{
	double		started = seconds_now();

	llm_engine_step(bench->engines[which]);
	return 1000 * (seconds_now() - started);
}

/* Milliseconds for each token after the first. */
static double
run(Bench *bench, const LlmGrammar *grammar)
{
	LlmRequest	request;
	double		ms = 0;

	start(bench, 0, &request, grammar, bench->n_tokens);
	while (request.state != LLM_REQUEST_DONE)
		ms += step(bench, 0);
	bench->n_results = request.n_results;
	return ms / (request.n_results > 1 ? request.n_results - 1 : 1);
}

/* The same for both engines, token by token, now the one first and now the other. */
static void
run_pair(Bench *bench, const LlmGrammar *grammar, int n_tokens, double *ms)
{
	LlmRequest	requests[2];

	start(bench, 0, &requests[0], grammar, bench->n_tokens);
	start(bench, 1, &requests[1], NULL, n_tokens);
	ms[0] = ms[1] = 0;
	for (int i = 1; i < n_tokens; i++)
	{
		for (int k = 0; k < 2; k++)
			ms[(i + k) % 2] += step(bench, (i + k) % 2);
	}
	for (int k = 0; k < 2; k++)
	{
		while (requests[k].state != LLM_REQUEST_DONE)
			step(bench, k);
		ms[k] /= n_tokens > 1 ? n_tokens - 1 : 1;
	}
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
		if (llm_constraint_take(constraint, bench->results[0][i].token, bench->n_tokens - i - 1, &error) < 0)
			fail(error.message);
	}
	started = seconds_now() - started;
	llm_constraint_end(constraint);
	llm_constraints_free(constraints);
	return 1000 * started / (bench->n_results > 0 ? bench->n_results : 1);
}

static LlmGrammar *
make_gbnf(const char *source, LlmError *error)
{
	return llm_grammar_from_gbnf(source, strlen(source), error);
}

static LlmGrammar *
make_regex(const char *source, LlmError *error)
{
	return llm_grammar_from_regex(source, strlen(source), error);
}

static LlmGrammar *
make_schema(const char *source, LlmError *error)
{
	JsonArena	arena = {0};
	LlmGrammar *grammar = llm_grammar_from_schema(json_parse(&arena, source, strlen(source)), error);

	free(arena.bytes);
	return grammar;
}

static LlmGrammar *
make_json(const char *source, LlmError *error)
{
	(void) source;
	return llm_grammar_from_json(error);
}

/* Long ones, which begin alike. */
static LlmGrammar *
make_choices(const char *source, LlmError *error)
{
	static const char *const words[] = {"the boat ", "a lamp ", "one friend ", "red water ", "small cities ", "and then ", "went ", "saw ", "was there "};
	static char choices[N_CHOICES][640];
	const char *pointers[N_CHOICES];
	size_t		lengths[N_CHOICES];
	uint32_t	random = 1;

	(void) source;
	for (int i = 0; i < N_CHOICES; i++)
	{
		lengths[i] = 0;
		while (lengths[i] < 100)
		{
			random = random * 1664525 + 1013904223;
			lengths[i] += (size_t) snprintf(choices[i] + lengths[i], sizeof(choices[i]) - lengths[i], "%s", words[(random >> 16) % 9]);
		}
		pointers[i] = choices[i];
	}
	return llm_grammar_from_choices(N_CHOICES, pointers, lengths, error);
}

/* One kind: its first text, its time alone, and the pairs. */
static void
run_case(Bench *bench, const GrammarCase *one, int n_pairs)
{
	LlmError	error = {0};
	LlmGrammar *grammar = one->make(one->source, &error);
	double		with[MAX_PAIRS];
	double		without[MAX_PAIRS];
	double		differences[MAX_PAIRS];
	double		first;
	double		alone;
	int			n_results;
	int			rank = (int) (0.5 * n_pairs - 0.98 * sqrt(n_pairs));

	if (grammar == NULL)
		fail(error.message);
	first = run(bench, grammar);
	n_results = bench->n_results;
	alone = run_alone(bench, grammar);
	for (int i = 0; i < n_pairs; i++)
	{
		double		ms[2];

		run_pair(bench, grammar, n_results, ms);
		with[i] = ms[0];
		without[i] = ms[1];
		differences[i] = 100 * (with[i] / without[i] - 1);
	}
	qsort(differences, (size_t) n_pairs, sizeof(double), compare_doubles);
	rank = rank < 0 ? 0 : rank;
	printf("%-24s %7d %9.3f %9.3f %9.3f %+8.2f%% %+8.2f%% to %+6.2f%% %9.4f %8.2f%%\n", one->name, n_results, first,
		   median_of(without, n_pairs), median_of(with, n_pairs), median_of(differences, n_pairs), differences[rank],
		   differences[n_pairs - 1 - rank], alone, 100 * alone / median_of(without, n_pairs));
	fflush(stdout);
	free(grammar);
}

int
main(int argc, char **argv)
{
	Bench		bench = {.n_tokens = argc > 2 ? atoi(argv[2]) : 128};
	int			n_pairs = argc > 3 ? atoi(argv[3]) : 20;

	if (bench.n_tokens < 2 || n_pairs < 1 || n_pairs > MAX_PAIRS)
		fail("tokens must be at least 2, pairs from 1 to 100");
	load(&bench, argc > 1 ? argv[1] : BUNDLED_MODEL);
	run(&bench, NULL);
	printf("constraints, %s, vocabulary of %d tokens, %d pairs\n\n", argc > 1 ? argv[1] : BUNDLED_MODEL,
		   llm_vocabulary_count(bench.vocabulary), n_pairs);
	printf("%-24s %7s %9s %9s %9s %9s %20s %9s %9s\n", "constraint", "tokens", "first ms", "none ms", "with ms", "of none", "interval of 95%",
		   "alone ms", "of none");
	for (int i = 0; i < N_CASES; i++)
	{
		if (argc > 4 && strcmp(argv[4], cases[i].name) != 0)
			continue;
		run_case(&bench, &cases[i], n_pairs);
	}
	return 0;
}
